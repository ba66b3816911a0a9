//! What may be asked: verbs and flags. Parsing never touches the world.
//!
//! Every flag `--some-flag` has an environment twin `MICROTOME_SOME_FLAG`; a test below sees to it.

mod bench;
mod cluster;
mod connect;
mod everywhere;
mod measure;
mod number;
mod pattern;
mod pixel_size;
mod region;
mod source;
mod store;
mod target;
mod thumbnail;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use microtome::checksum::AxisOrder;
use microtome::{Axis, PixelType, Projection};
use tracing::level_filters::LevelFilter;

pub(crate) use bench::BenchArgs;
pub(crate) use cluster::{CheckArgs, ClusterArgs, ClusterVerb, DeepArgs, LocalArgs};
pub(crate) use connect::{ConnectArgs, WhereArgs};
pub(crate) use everywhere::{Everywhere, ProgressMode};
pub(crate) use measure::MeasureArgs;
pub(crate) use pattern::PatternArgs;
pub(crate) use region::PartialRegion;
pub(crate) use source::{ChunkArgs, SourceArgs};
pub(crate) use store::StoreArgs;
pub(crate) use target::target;
pub(crate) use thumbnail::ThumbnailArgs;

/// Microscopy images as lazy arrays: look into them, count what a computation costs, and run it within a memory budget.
#[derive(Debug, Parser)]
#[command(name = "microtome", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Every flag --some-flag may also be given as environment variable MICROTOME_SOME_FLAG.\n\
    Exit codes: 0 done, 1 a bug of ours, 2 usage, 3 done but for what is listed, 4 input unreadable or unsupported, 5 output cannot be written,\n\
    6 plan refused, 7 input changed while running, 8 cluster unreachable or not fit for work, 9 verification found a difference,\n\
    130 and 143 stopped by Ctrl-C and by SIGTERM.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Cli {
    /// Where a trace of the run goes, if one was asked for.
    pub(crate) fn trace(&self) -> Option<&Path> {
        match &self.verb {
            Verb::Convert(args) => args.store.trace.as_deref(),
            Verb::Project(args) => args.store.trace.as_deref(),
            Verb::Inspect(_)
            | Verb::Plan(_)
            | Verb::Checksum(_)
            | Verb::Verify(_)
            | Verb::Thumbnail(_)
            | Verb::Measure(_)
            | Verb::Bench(_)
            | Verb::Cluster(_) => None,
        }
    }

    /// What is logged. A check says on standard output what the handler would only warn of.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match (&self.verb, self.everywhere.log_level) {
            (Verb::Cluster(ClusterArgs { verb: ClusterVerb::Check(_) }), LevelFilter::WARN) => LevelFilter::ERROR,
            (_, level) => level,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Inspect(InspectArgs),
    Plan(PlanArgs),
    Convert(ConvertArgs),
    Project(ProjectArgs),
    Measure(MeasureArgs),
    Bench(BenchArgs),
    Checksum(ChecksumArgs),
    Verify(VerifyArgs),
    Thumbnail(ThumbnailArgs),
    Cluster(ClusterArgs),
}

/// Tell what is in images, from their headers alone: scenes, axes, channels, pixel sizes, storage, task counts
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// TIFF files, OME-Zarr folders or their URLs (http, https, s3, gs)
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this scene: its number, identity or name
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    #[command(flatten)]
    pub(crate) pattern: PatternArgs,
    #[command(flatten)]
    pub(crate) chunks: ChunkArgs,
    /// Print the OME-XML as it stands in the file (with --json: as field `ome_xml`)
    #[arg(long, env = "MICROTOME_OME_XML", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) ome_xml: bool,
    /// Tell when and where each plane was taken, as far as the OME-XML says so (with --json: as field `planes` of scenes)
    #[arg(long, env = "MICROTOME_PLANES", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) planes: bool,
}

/// Tell what convert or project would do, without doing it: tasks, bytes and memory of each layer, or why it is refused
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    pub(crate) verb: PlannedVerb,
    /// Say in words why it is so: what is fused and what is not, what bounds the memory, what runs at once, what would help
    #[arg(long, global = true, env = "MICROTOME_EXPLAIN", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) explain: bool,
    /// Draw the layers, and the tasks of the first groups, as SVG into FILE
    #[arg(long, global = true, value_name = "FILE", env = "MICROTOME_SVG", hide_env = true)]
    pub(crate) svg: Option<PathBuf>,
    /// The same drawing as Graphviz DOT
    #[arg(long, global = true, value_name = "FILE", env = "MICROTOME_DOT", hide_env = true)]
    pub(crate) dot: Option<PathBuf>,
    /// Of how many groups of write units the tasks are drawn; 0 for none
    #[arg(long, global = true, value_name = "N", env = "MICROTOME_TASK_GRAPH", hide_env = true, default_value_t = 1)]
    pub(crate) task_graph: u64,
    /// Draw every task of the unfused graph as Graphviz DOT into FILE, of up to ten thousand tasks
    #[arg(long, global = true, value_name = "FILE", env = "MICROTOME_DOT_TASKS", hide_env = true)]
    pub(crate) dot_tasks: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlannedVerb {
    Convert(ConvertArgs),
    Project(ProjectArgs),
}

/// Write images, or a part of one, as OME-Zarr or OME-TIFF, or a plane as PNG; with labels, wells and series
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The image to read: a path, or the URL of a Zarr (http, https, s3, gs)
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// What to write: a name that ends in .ome.zarr or .zarr, .ome.tif(f) or .tif(f), or .png
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Pixel type of the output, by NumPy's name; values are clamped to its range and rounded half to even
    #[arg(long, value_name = "TYPE", env = "MICROTOME_DTYPE", hide_env = true)]
    pub(crate) dtype: Option<PixelType>,
    /// Write all scenes as an OME-Zarr plate, each as the field of a well: by {well} and {field} in a pattern of names, or by
    /// what the OME-XML of the files says
    #[arg(long, env = "MICROTOME_PLATE", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) plate: bool,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

/// Project an image along an axis and write the result as OME-Zarr or OME-TIFF, or a plane of it as PNG
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// The image to read: a path, or the URL of a Zarr (http, https, s3, gs)
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// What to write: a name that ends in .ome.zarr or .zarr, .ome.tif(f) or .tif(f), or .png
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The axis that is folded to length 1: t, c or z
    #[arg(long, value_name = "AXIS", env = "MICROTOME_AXIS", hide_env = true, value_parser = parse_axis)]
    pub(crate) axis: Axis,
    /// What is taken of the pixels along it: max, min, mean or sum
    #[arg(long, value_name = "METHOD", env = "MICROTOME_METHOD", hide_env = true, default_value = "max")]
    pub(crate) method: Projection,
    /// Pixel type of the output. By default max, min and mean keep the type (mean rounds half to even) and sums of
    /// integers are 64 bit. mean to float32 or float64 and sum to float64 are computed so; others are clamped afterwards
    #[arg(long, value_name = "TYPE", env = "MICROTOME_DTYPE", hide_env = true)]
    pub(crate) dtype: Option<PixelType>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

/// Hash the pixels of each scene: sha256 of the full resolution, C order, little-endian, axes TCZYXS
#[derive(Debug, Args)]
pub(crate) struct ChecksumArgs {
    /// TIFF files, OME-Zarr folders or their URLs (http, https, s3, gs)
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this scene: its number, identity or name
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    /// Another order of axes, as TZCYX; letters that are no axis, as I or Q, stand for pages in file order
    #[arg(long, value_name = "AXES", env = "MICROTOME_AXES", hide_env = true, value_parser = AxisOrder::parse)]
    pub(crate) axes: Option<AxisOrder>,
    #[command(flatten)]
    pub(crate) pattern: PatternArgs,
}

/// Look whether an output is as it was written, by the checksums it keeps of itself; or compare two images pixel by pixel
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// An output of microtome; or the first image to compare
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// The image that must have the same pixels at full resolution, in whatever format
    #[arg(value_name = "OTHER")]
    pub(crate) other: Option<PathBuf>,
    /// Compare only this scene of both: its number, identity or name
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
}

fn parse_axis(text: &str) -> Result<Axis, String> {
    let mut letters = text.chars();
    let axis = letters.next().and_then(|letter| Axis::parse(letter).ok());
    match (axis, letters.next()) {
        (Some(axis @ (Axis::T | Axis::C | Axis::Z)), None) => Ok(axis),
        _ => Err("images are projected along t, c or z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Checks that every flag of a command and of those below it has its twin.
    fn check_twins(command: &clap::Command) {
        let own = ["help", "version"];
        for flag in command.get_arguments().filter(|a| !a.is_positional() && !own.contains(&a.get_id().as_str())) {
            let long = flag.get_long().unwrap_or_default();
            let twin = format!("MICROTOME_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().and_then(|e| e.to_str()), Some(twin.as_str()), "--{long}");
        }
        command.get_subcommands().for_each(check_twins);
    }

    #[test]
    fn every_flag_has_an_environment_twin() {
        check_twins(&Cli::command());
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everywhere_flags_may_stand_anywhere() {
        let first = Cli::try_parse_from(["microtome", "--json", "inspect", "a.tif"]).unwrap();
        let last = Cli::try_parse_from(["microtome", "inspect", "a.tif", "--json"]).unwrap();
        let planned = ["microtome", "plan", "convert", "a.tif", "b.zarr", "--json", "--dot", "x", "--memory", "1_000M"];
        let planned = Cli::try_parse_from(planned).unwrap();
        assert!(first.everywhere.json && last.everywhere.json && planned.everywhere.json);
        assert_eq!(planned.everywhere.memory, Some(1000 << 20));
    }
}
