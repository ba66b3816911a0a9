//! Flags that every verb takes.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use microtome::{Image, Io, Limits, ReadError, RunOptions};
use tracing::level_filters::LevelFilter;

use super::number;

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Everywhere {
    /// Print one JSON object instead of text for people
    #[arg(long, global = true, env = "MICROTOME_JSON", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Print no progress and no summary
    #[arg(long, global = true, env = "MICROTOME_QUIET", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// What is logged on standard error: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", env = "MICROTOME_LOG_LEVEL", hide_env = true)]
    #[arg(default_value = "warn")]
    pub(crate) log_level: LevelFilter,
    /// Threads that compute [default: all of this machine]
    #[arg(long, global = true, value_name = "N", env = "MICROTOME_THREADS", hide_env = true)]
    #[arg(value_parser = number::threads)]
    pub(crate) threads: Option<usize>,
    /// Budget for pixels, as 2GiB or 500MB [default: half of the memory this process may use]
    #[arg(long, global = true, value_name = "SIZE", env = "MICROTOME_MEMORY", hide_env = true)]
    #[arg(value_parser = number::size)]
    pub(crate) memory: Option<u64>,
    /// A folder, beside the image's own, in which files are opened that the image names; may be given several times
    #[arg(long, global = true, value_name = "DIR", env = "MICROTOME_ALLOW_ROOT", hide_env = true)]
    #[arg(value_delimiter = ':', action = clap::ArgAction::Append)]
    pub(crate) allow_root: Vec<PathBuf>,
    /// How uncompressed pixels of local TIFF files are read; it changes no result
    #[arg(long, global = true, value_name = "HOW", env = "MICROTOME_IO", hide_env = true)]
    #[arg(value_enum, default_value_t = IoMode::Auto)]
    pub(crate) io: IoMode,
    /// Neither measure how fast this machine is nor remember it: times are forecast from what is remembered already
    #[arg(long, global = true, env = "MICROTOME_NO_CALIBRATE", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_calibrate: bool,
    /// When to show progress on standard error
    #[arg(long, global = true, value_name = "WHEN", env = "MICROTOME_PROGRESS", hide_env = true)]
    #[arg(value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
}

/// How bytes that hold pixels as they are are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IoMode {
    /// By what was found to be faster
    Auto,
    /// Into buffers
    Pread,
    /// Through memory maps, under a guard against files that are cut
    Mmap,
}

impl From<IoMode> for Io {
    fn from(mode: IoMode) -> Io {
        match mode {
            IoMode::Auto => Io::Auto,
            IoMode::Pread => Io::Pread,
            IoMode::Mmap => Io::Mmap,
        }
    }
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// On a terminal, unless --json or --quiet is given
    Auto,
    /// Also where there is no terminal, then as lines
    Always,
    /// Not at all
    Never,
}

impl Everywhere {
    /// Opens an image within the limits that were asked for.
    pub(crate) fn open(&self, path: &Path) -> Result<Image, ReadError> {
        let (allowed_roots, io) = (self.allow_root.clone(), self.io.into());
        Image::open_within(path, &Limits { allowed_roots, io, ..Limits::default() })
    }

    /// How to run.
    pub(crate) fn run_options(&self) -> RunOptions {
        let mut options = RunOptions::default();
        options.threads = self.threads.unwrap_or(options.threads);
        options.memory = self.memory.unwrap_or(options.memory);
        options
    }
}
