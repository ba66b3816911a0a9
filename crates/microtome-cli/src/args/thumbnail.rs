//! Flags of `thumbnail`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use microtome::Axis;

use super::PatternArgs;
use crate::error::CliError;

/// Make a picture of a scene to look at, as PNG: shrunk, stretched in contrast, its channels in their colours
#[derive(Debug, Args)]
pub(crate) struct ThumbnailArgs {
    /// The image
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The picture; its name ends in .png
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) pattern: PatternArgs,
    /// The scene: its number, identity or name; needed where there are several
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    /// Longest side of a plane in the picture, in pixels; small images are not enlarged
    #[arg(long, value_name = "PIXELS", env = "MICROTOME_SIZE", hide_env = true, default_value_t = 512)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=16384))]
    pub(crate) size: u64,
    /// The time that is shown [default: the first]
    #[arg(long, value_name = "T", env = "MICROTOME_TIME", hide_env = true)]
    pub(crate) time: Option<u64>,
    /// The depth that is shown [default: the middle]
    #[arg(long, value_name = "Z", env = "MICROTOME_DEPTH", hide_env = true, conflicts_with = "max_z")]
    pub(crate) depth: Option<u64>,
    /// Show the brightest pixels along Z
    #[arg(long, env = "MICROTOME_MAX_Z", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) max_z: bool,
    /// The channels that are shown, as 0,2 [default: the first six together; with --sheet c all]
    #[arg(long, value_name = "CHANNELS", env = "MICROTOME_CHANNELS", hide_env = true, value_delimiter = ',')]
    pub(crate) channels: Option<Vec<u64>>,
    /// Percentiles of each channel that are shown black and white; of all planes of a sheet together
    #[arg(long, value_name = "LOW,HIGH", env = "MICROTOME_CONTRAST", hide_env = true, default_value = "0.1,99.9")]
    #[arg(value_parser = contrast)]
    pub(crate) contrast: (f64, f64),
    /// Show the planes along an axis (t, c or z) side by side, at most 36 of them
    #[arg(long, value_name = "AXIS", env = "MICROTOME_SHEET", hide_env = true, value_parser = super::parse_axis)]
    pub(crate) sheet: Option<Axis>,
    /// Replace a file of this name
    #[arg(long, env = "MICROTOME_OVERWRITE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) overwrite: bool,
}

impl ThumbnailArgs {
    /// Refuses what contradicts itself.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let chosen = match self.sheet {
            Some(Axis::Z) if self.max_z => Some(("z", "--max-z")),
            Some(Axis::Z) if self.depth.is_some() => Some(("z", "--depth")),
            Some(Axis::T) if self.time.is_some() => Some(("t", "--time")),
            _ => None,
        };
        chosen.map_or(Ok(()), |(axis, flag)| {
            Err(CliError::usage(format!("--sheet {axis} shows all planes along {axis}; leave {flag} out")))
        })
    }
}

fn contrast(text: &str) -> Result<(f64, f64), String> {
    let percentile = |text: &str| text.trim().parse().ok().filter(|p: &f64| (0.0..=100.0).contains(p));
    let both = text.split_once(',').and_then(|(low, high)| Some((percentile(low)?, percentile(high)?)));
    both.filter(|(low, high)| low < high).ok_or_else(|| "two percentiles, the lower first, as 0.1,99.9".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_two_percentiles_in_order() {
        assert_eq!(contrast("1,99.5"), Ok((1.0, 99.5)));
        for wrong in ["", "1", "99,1", "5,5", "-1,50", "0,101", "a,b", "nan,5"] {
            assert!(contrast(wrong).is_err(), "{wrong}");
        }
    }
}
