//! Flags of `measure`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{FalseyValueParser, PossibleValuesParser};
use microtome::{BadPlanes, MostBad, OnError};

use super::{WhereArgs, store};

/// Make a table of every plane of images: smallest and largest value, mean, standard deviation, sum
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// TIFF files, OME-Zarr folders, their URLs, patterns of names, or folders of such files
    #[arg(value_name = "IN", required = true, num_args = 1..)]
    pub(crate) inputs: Vec<PathBuf>,
    /// The table: a name that ends in .csv or .parquet
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Only this scene of each image: its number, identity or name
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    /// Replace a table of this name
    #[arg(long, env = "MICROTOME_OVERWRITE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) overwrite: bool,
    /// What is done about images and planes that cannot be read: the run goes on without them, lists them, and ends with exit
    /// code 3 (quarantine), or ends at the first (stop)
    #[arg(long, value_name = "WHAT", env = "MICROTOME_ON_ERROR", hide_env = true, default_value = "quarantine")]
    #[arg(value_parser = PossibleValuesParser::new(["stop", "quarantine"]))]
    on_error: String,
    /// Planes that may be left out at most, an image that cannot be opened counting as one: a number, or a part of all as 1%
    #[arg(long, value_name = "N|P%", env = "MICROTOME_MAX_BAD", hide_env = true, value_parser = store::most_bad)]
    max_bad: Option<MostBad>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

impl MeasureArgs {
    pub(crate) fn on_error(&self) -> OnError {
        match self.on_error.as_str() {
            "stop" => OnError::Stop,
            _ => OnError::Quarantine { most: self.max_bad.unwrap_or_default(), bad_planes: BadPlanes::default() },
        }
    }
}
