//! Flags that say how an output is stored and what it says of itself.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{FalseyValueParser, PossibleValuesParser};
use microtome::{
    Axis, BadPlanes, Compression, Durability, Intermediates, Levels, MostBad, Naming, NgffVersion, OnError,
    OutputFormat, PixelSize, PngOptions, Resume, RunOptions, Shape, ShardChoice, Shrink, StoreOptions, TiffCompression,
    TiffOptions, ZarrOptions,
};

use super::{pixel_size, source};
use crate::error::CliError;

/// Every compression of every format.
const CODECS: [&str; 7] = ["blosc", "blosc-lz4", "zstd", "gzip", "deflate", "lzw", "none"];
/// Those of OME-Zarr.
const ZARR_CODECS: [&str; 5] = ["blosc", "blosc-lz4", "zstd", "gzip", "none"];

/// How it is stored.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is written")]
pub(crate) struct StoreArgs {
    /// Stored chunks of this shape: T,C,Z,Y,X; of a TIFF: tiles, 1,1,1,Y,X, multiples of 16 [default: Zarr 1024 × 1024,
    /// TIFF 512 × 512]
    #[arg(long, value_name = "SHAPE", env = "MICROTOME_CHUNK_SHAPE", hide_env = true, value_parser = source::shape)]
    chunk_shape: Option<Shape>,
    /// Files of this shape, each holding whole stored chunks, or `none` for a file a chunk; of Zarr alone
    #[arg(long, value_name = "SHAPE", env = "MICROTOME_SHARD_SHAPE", hide_env = true, value_parser = shard)]
    shard_shape: Option<ShardChoice>,
    /// How stored chunks are compressed: Zarr blosc, blosc-lz4, zstd, gzip, none; TIFF deflate, lzw, zstd, none [default:
    /// Zarr blosc, which is Zstandard behind a shuffle of bytes; TIFF deflate, which every reader has]
    #[arg(long, value_name = "CODEC", env = "MICROTOME_COMPRESSION", hide_env = true)]
    #[arg(value_parser = PossibleValuesParser::new(CODECS), hide_possible_values = true)]
    compression: Option<String>,
    /// Effort of the compression: blosc, gzip and deflate 0 to 9, zstd 1 to 22
    #[arg(long, value_name = "N", env = "MICROTOME_COMPRESSION_LEVEL", hide_env = true)]
    compression_level: Option<i32>,
    /// The version of OME-Zarr: 0.5 is Zarr v3 with shards, 0.4 is Zarr v2 with a file a stored chunk [default: 0.5]
    #[arg(long, value_name = "VERSION", env = "MICROTOME_NGFF_VERSION", hide_env = true)]
    #[arg(value_parser = PossibleValuesParser::new(NgffVersion::ALL.map(NgffVersion::name)))]
    ngff_version: Option<String>,
    /// Distance between pixels, instead of what the image says: z=0.3,y=0.1,x=0.1,unit=um
    #[arg(long, value_name = "SIZES", env = "MICROTOME_PIXEL_SIZE", hide_env = true, value_parser = pixel_size::parse)]
    pixel_size: Option<PixelSize>,
    /// Names of the output's channels, instead of what the image says: DAPI,GFP
    #[arg(long, value_name = "NAMES", env = "MICROTOME_CHANNEL_NAMES", hide_env = true, value_delimiter = ',')]
    channel_names: Option<Vec<String>>,
    /// Levels of resolution, the full one among them; each halves Y and X of the one before. `auto`: until planes are at
    /// most 256 pixels wide and high
    #[arg(long, value_name = "N|auto", env = "MICROTOME_LEVELS", hide_env = true, default_value = "auto")]
    #[arg(value_parser = levels)]
    levels: Levels,
    /// How a pixel of a level is made of a block of the one before; labels are never averaged [default: mean, of labels mode]
    #[arg(long, value_name = "METHOD", env = "MICROTOME_DOWNSAMPLE", hide_env = true)]
    #[arg(value_parser = PossibleValuesParser::new(Shrink::ALL.map(Shrink::name)))]
    downsample: Option<String>,
    /// Replace an output of this name
    #[arg(long, env = "MICROTOME_OVERWRITE", hide_env = true, value_parser = FalseyValueParser::new())]
    overwrite: bool,
    /// Go on with what an earlier run of the same command left unfinished; `verify` checks the bytes of all that is there
    #[arg(long, value_name = "HOW", env = "MICROTOME_RESUME", hide_env = true, value_parser = resume)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "yes", default_value = "no")]
    #[arg(hide_default_value = true)]
    resume: Resume,
    /// What is done about planes that cannot be read or computed: the run ends (stop), or goes on without them, lists them,
    /// and ends with exit code 3 (quarantine)
    #[arg(long, value_name = "WHAT", env = "MICROTOME_ON_ERROR", hide_env = true, default_value = "stop")]
    #[arg(value_parser = PossibleValuesParser::new(["stop", "quarantine"]))]
    on_error: String,
    /// Planes that may be left out at most: a number, or a part of all as 1%
    #[arg(long, value_name = "N|P%", env = "MICROTOME_MAX_BAD", hide_env = true, value_parser = most_bad)]
    max_bad: Option<MostBad>,
    /// What a projection does about planes that --on-error quarantine leaves out: a pixel is left out where one of its planes
    /// is (refuse), or is projected from the other planes (skip) [default: refuse]
    #[arg(long, value_name = "WHAT", env = "MICROTOME_BAD_PLANES", hide_env = true)]
    #[arg(value_parser = PossibleValuesParser::new(["refuse", "skip"]))]
    bad_planes: Option<String>,
    /// What finished write units outlive: a crash of the machine but for the last seconds (batch), all of it (unit), or
    /// only one of the program (none)
    #[arg(long, value_name = "WHEN", env = "MICROTOME_DURABILITY", hide_env = true, default_value = "batch")]
    #[arg(value_parser = durability)]
    durability: Durability,
    /// Whether pixels are stored for a while on the way, beside the output, where memory does not hold what is needed
    /// again: where that is thought to cost less than reading it again (auto), never, or always
    #[arg(long, value_name = "WHEN", env = "MICROTOME_INTERMEDIATE", hide_env = true, default_value = "auto")]
    #[arg(value_parser = PossibleValuesParser::new(["auto", "never", "always"]))]
    intermediate: String,
    /// Write what the run does on which thread into FILE, as a trace that Perfetto and Chrome open
    #[arg(long, value_name = "FILE", env = "MICROTOME_TRACE", hide_env = true)]
    pub(crate) trace: Option<PathBuf>,
}

impl StoreArgs {
    /// How the run treats what is there and keeps what it finishes.
    pub(crate) fn keeping(&self, options: RunOptions) -> RunOptions {
        let bad_planes = match self.bad_planes.as_deref() {
            Some("skip") => BadPlanes::Skip,
            _ => BadPlanes::Refuse,
        };
        let on_error = match self.on_error.as_str() {
            "quarantine" => OnError::Quarantine { most: self.max_bad.unwrap_or_default(), bad_planes },
            _ => OnError::Stop,
        };
        let intermediate = match self.intermediate.as_str() {
            "never" => Intermediates::Never,
            "always" => Intermediates::Always,
            _ => Intermediates::Auto,
        };
        RunOptions { resume: self.resume, durability: self.durability, on_error, intermediate, ..options }
    }

    /// Refuses what contradicts itself.
    pub(crate) fn check(&self, format: OutputFormat) -> Result<(), CliError> {
        if self.bad_planes.is_some() && self.on_error != "quarantine" {
            return Err(CliError::usage(
                "--bad-planes is of planes that are left out; give --on-error quarantine too".to_owned(),
            ));
        }
        self.options(format).map(drop)
    }

    /// The options of an output; what is of other formats is refused.
    pub(crate) fn options(&self, format: OutputFormat) -> Result<StoreOptions, CliError> {
        let downsample = self.downsample.as_deref().and_then(Shrink::parse);
        let options = StoreOptions { levels: self.levels, downsample, ..StoreOptions::default() };
        Ok(match format {
            OutputFormat::OmeZarr => StoreOptions { zarr: self.zarr()?, ..options },
            OutputFormat::OmeTiff => StoreOptions { tiff: self.tiff()?, ..options },
            OutputFormat::Png => StoreOptions { png: self.png()?, ..options },
        })
    }

    fn tiff(&self) -> Result<TiffOptions, CliError> {
        let of_zarr = [("--shard-shape", self.shard_shape.is_some()), ("--ngff-version", self.ngff_version.is_some())];
        if let Some((flag, _)) = of_zarr.iter().find(|(_, given)| *given) {
            return Err(CliError::usage(format!("{flag} is of OME-Zarr, and the output is an OME-TIFF; leave it out")));
        }
        let planes = |shape: &Shape| [Axis::T, Axis::C, Axis::Z].iter().all(|&axis| shape.get(axis) == 1);
        if let Some(shape) = self.chunk_shape.filter(|shape| !planes(shape)) {
            let (y, x) = (shape.get(Axis::Y), shape.get(Axis::X));
            return Err(CliError::usage(format!(
                "--chunk-shape {shape} holds several planes, and a tile of a TIFF is of one; give 1,1,1,{y},{x}"
            )));
        }
        let tile = self.chunk_shape.map(|shape| [shape.get(Axis::Y), shape.get(Axis::X)]);
        if let Some(off) = tile.iter().flatten().find(|extent| !extent.is_multiple_of(16)) {
            return Err(CliError::usage(format!("--chunk-shape: tiles of a TIFF are multiples of 16, not {off}")));
        }
        let compression = self.codec("deflate", "OME-TIFF", &TiffCompression::NAMES, TiffCompression::parse)?;
        Ok(TiffOptions { tile, compression: compression.unwrap_or_default(), overwrite: self.overwrite })
    }

    /// A PNG is a plane and nothing else.
    fn png(&self) -> Result<PngOptions, CliError> {
        let of_others = [
            ("--chunk-shape", self.chunk_shape.is_some()),
            ("--shard-shape", self.shard_shape.is_some()),
            ("--compression", self.compression.is_some()),
            ("--compression-level", self.compression_level.is_some()),
            ("--ngff-version", self.ngff_version.is_some()),
            ("--pixel-size", self.pixel_size.is_some()),
            ("--channel-names", self.channel_names.is_some()),
            ("--downsample", self.downsample.is_some()),
            ("--levels", !matches!(self.levels, Levels::Auto | Levels::Count(1))),
        ];
        if let Some((flag, _)) = of_others.iter().find(|(_, given)| *given) {
            return Err(CliError::usage(format!(
                "{flag} is of OME-Zarr and OME-TIFF, and a PNG is one plane without levels, names or sizes; leave it out"
            )));
        }
        Ok(PngOptions { overwrite: self.overwrite })
    }

    /// The options of a level.
    fn zarr(&self) -> Result<ZarrOptions, CliError> {
        let version = self.ngff_version.as_deref().and_then(NgffVersion::parse).unwrap_or_default();
        if let (NgffVersion::V04, Some(ShardChoice::Shape(_))) = (version, self.shard_shape) {
            return Err(CliError::usage(
                "OME-Zarr 0.4 has no shards; leave --shard-shape out, or write --ngff-version 0.5".to_owned(),
            ));
        }
        Ok(ZarrOptions {
            version,
            chunk: self.chunk_shape,
            shard: self.shard_shape.unwrap_or_default(),
            compression: self.codec("blosc", "OME-Zarr", &ZARR_CODECS, Compression::parse)?.unwrap_or_default(),
            overwrite: self.overwrite,
        })
    }

    /// The compression that was asked for, of those that a format has; at a level alone it is the default one.
    fn codec<C>(
        &self,
        default: &str,
        format: &str,
        names: &[&str],
        parse: fn(&str, Option<i32>) -> Option<C>,
    ) -> Result<Option<C>, CliError> {
        let level = self.compression_level;
        let name = match (&self.compression, level) {
            (None, None) => return Ok(None),
            (None, Some(_)) => default,
            (Some(name), _) => name,
        };
        if !names.contains(&name) {
            let all = names.join(", ");
            return Err(CliError::usage(format!("{format} has no compression {name}; it has {all}")));
        }
        if let ("none" | "lzw", Some(level)) = (name, level) {
            return Err(CliError::usage(format!(
                "--compression {name} has no level; leave --compression-level {level} out"
            )));
        }
        let wrong = || CliError::usage(format!("{name} has no compression level {}", level.unwrap_or_default()));
        parse(name, level).map(Some).ok_or_else(wrong)
    }

    /// What the output is called.
    pub(crate) fn naming(&self) -> Naming {
        Naming { channels: self.channel_names.clone(), pixel_size: self.pixel_size.clone().unwrap_or_default() }
    }
}

fn shard(text: &str) -> Result<ShardChoice, String> {
    match text {
        "none" => Ok(ShardChoice::None),
        _ => source::shape(text)
            .map(ShardChoice::Shape)
            .map_err(|_| format!("`{text}` is no shape; write T,C,Z,Y,X or none")),
    }
}

fn resume(text: &str) -> Result<Resume, String> {
    match text.to_ascii_lowercase().as_str() {
        "" | "no" | "n" | "0" | "false" | "off" | "f" => Ok(Resume::No),
        "yes" | "y" | "1" | "true" | "on" | "t" => Ok(Resume::Yes),
        "verify" => Ok(Resume::Verify),
        _ => Err("write --resume or --resume=verify".to_owned()),
    }
}

pub(super) fn most_bad(text: &str) -> Result<MostBad, String> {
    let wrong = || "write a number of planes, or a part of all as 1%".to_owned();
    match text.strip_suffix('%') {
        None => text.replace('_', "").parse().map(MostBad::Planes).map_err(|_| wrong()),
        Some(percent) => {
            let percent: f64 = percent.parse().map_err(|_| wrong())?;
            if (0.0..=100.0).contains(&percent) { Ok(MostBad::Part(percent / 100.0)) } else { Err(wrong()) }
        }
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "batch" => Ok(Durability::Batch),
        "unit" => Ok(Durability::Unit),
        "none" => Ok(Durability::None),
        _ => Err("write batch, unit or none".to_owned()),
    }
}

fn levels(text: &str) -> Result<Levels, String> {
    match text {
        "auto" => Ok(Levels::Auto),
        _ => match text.parse() {
            Ok(0) | Err(_) => Err("write a number from 1 on, or auto".to_owned()),
            Ok(count) => Ok(Levels::Count(count)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Wrapped {
        #[command(flatten)]
        store: StoreArgs,
    }

    fn zarr(args: &[&str]) -> Result<ZarrOptions, String> {
        let parsed = Wrapped::try_parse_from([&["microtome"], args].concat()).map_err(|e| e.to_string())?;
        parsed.store.zarr().map_err(|e| e.to_string())
    }

    #[test]
    fn without_flags_all_is_as_the_image_suggests() {
        assert_eq!(zarr(&[]), Ok(ZarrOptions::default()));
    }

    #[test]
    fn shapes_and_codecs_are_passed_on() {
        let given = zarr(&["--chunk-shape", "1,1,1,64,64", "--shard-shape", "none", "--compression", "gzip"]).unwrap();
        assert_eq!(given.chunk, Some(Shape::new([1, 1, 1, 64, 64, 1]).unwrap()));
        assert_eq!(given.shard, ShardChoice::None);
        assert_eq!(given.compression, Compression::parse("gzip", None).unwrap());
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        assert_eq!(zarr(&["--ngff-version", "0.4"]).unwrap().version, NgffVersion::V04);
        assert!(zarr(&["--ngff-version", "0.4", "--shard-shape", "1,1,1,64,64"]).unwrap_err().contains("no shards"));
        assert!(zarr(&["--ngff-version", "0.4", "--shard-shape", "none"]).is_ok());
        assert!(zarr(&["--ngff-version", "0.3"]).is_err());
        assert!(zarr(&["--compression", "none", "--compression-level", "3"]).is_err());
        assert!(zarr(&["--chunk-shape", "YX"]).is_err());
        assert!(zarr(&["--compression", "jpeg"]).is_err());
    }

    #[test]
    fn a_tiff_has_tiles_and_compressions_of_its_own() {
        let tiff = |args: &[&str]| {
            let parsed = Wrapped::try_parse_from([&["microtome"], args].concat()).map_err(|e| e.to_string())?;
            parsed.store.options(OutputFormat::OmeTiff).map(|options| options.tiff).map_err(|e| e.to_string())
        };
        assert_eq!(tiff(&[]), Ok(TiffOptions::default()));
        let given = tiff(&["--chunk-shape", "1,1,1,256,128", "--compression", "lzw", "--overwrite"]);
        let expected = TiffOptions { tile: Some([256, 128]), compression: TiffCompression::Lzw, overwrite: true };
        assert_eq!(given, Ok(expected));
        assert_eq!(tiff(&["--compression-level", "9"]).unwrap().compression, TiffCompression::Deflate { level: 9 });
        let refused = |args: &[&str], why: &str| assert_eq!(tiff(args).unwrap_err(), why);
        let has = "it has deflate, lzw, zstd, none";
        refused(&["--compression", "blosc"], &format!("OME-TIFF has no compression blosc; {has}"));
        refused(&["--chunk-shape", "1,1,1,100,128"], "--chunk-shape: tiles of a TIFF are multiples of 16, not 100");
        assert!(tiff(&["--chunk-shape", "1,1,2,64,64"]).unwrap_err().ends_with("give 1,1,1,64,64"));
        assert!(tiff(&["--shard-shape", "none"]).unwrap_err().starts_with("--shard-shape is of OME-Zarr"));
        assert!(tiff(&["--ngff-version", "0.5"]).unwrap_err().starts_with("--ngff-version is of OME-Zarr"));
        assert!(tiff(&["--compression", "lzw", "--compression-level", "2"]).is_err());
        assert!(zarr(&["--compression", "lzw"]).unwrap_err().contains("OME-Zarr has no compression lzw"));
    }

    #[test]
    fn a_png_has_no_flags_of_how_it_is_stored() {
        let png = |args: &[&str]| {
            let parsed = Wrapped::try_parse_from([&["microtome"], args].concat()).map_err(|e| e.to_string())?;
            parsed.store.options(OutputFormat::Png).map(|options| options.png).map_err(|e| e.to_string())
        };
        assert_eq!(png(&["--levels", "1", "--overwrite"]), Ok(PngOptions { overwrite: true }));
        for args in [
            ["--levels", "2"],
            ["--chunk-shape", "1,1,1,64,64"],
            ["--compression", "none"],
            ["--pixel-size", "x=1"],
            ["--channel-names", "A"],
            ["--ngff-version", "0.4"],
        ] {
            assert!(
                png(&args).unwrap_err().starts_with(&format!("{} is of OME-Zarr and OME-TIFF", args[0])),
                "{args:?}"
            );
        }
    }

    #[test]
    fn resume_has_an_optional_value_and_takes_no_word_that_follows() {
        let given = |args: &[&str]| {
            let parsed = Wrapped::try_parse_from([&["microtome"], args].concat()).map_err(|e| e.to_string())?;
            let options = parsed.store.keeping(RunOptions::default());
            Ok::<_, String>((options.resume, options.durability))
        };
        assert_eq!(given(&[]), Ok((Resume::No, Durability::Batch)));
        assert_eq!(given(&["--resume", "--durability", "none"]), Ok((Resume::Yes, Durability::None)));
        assert_eq!(given(&["--resume=verify"]), Ok((Resume::Verify, Durability::Batch)));
        assert!(given(&["--resume", "verify"]).is_err());
        assert!(given(&["--resume=later"]).unwrap_err().contains("--resume=verify"));
    }

    #[test]
    fn a_limit_of_bad_planes_is_a_number_or_a_part() {
        assert_eq!(most_bad("1_000"), Ok(MostBad::Planes(1000)));
        assert_eq!(most_bad("50%"), Ok(MostBad::Part(0.5)));
        assert!(most_bad("101%").is_err() && most_bad("-1").is_err() && most_bad("some").is_err());
    }

    #[test]
    fn names_are_separated_by_commas() {
        let parsed = Wrapped::try_parse_from(["microtome", "--channel-names", "DAPI,GFP"]).unwrap();
        assert_eq!(parsed.store.naming().channels, Some(vec!["DAPI".to_owned(), "GFP".to_owned()]));
    }
}
