//! Flags of `bench`.

use std::path::PathBuf;

use clap::Args;

use super::number;

/// Measure this machine on an image of yours, and tell what bounds each step: memory, disk, decoding, arithmetic, encoding
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A TIFF file or an OME-Zarr folder, of which nothing is changed; without it an image is made for the purpose
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// The scene: its number, identity or name; needed where there are several
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    /// Bytes of pixels that each step works on at most
    #[arg(long, value_name = "SIZE", env = "MICROTOME_BYTES", hide_env = true, value_parser = number::size)]
    #[arg(default_value = "256MiB")]
    pub(crate) bytes: u64,
    /// Runs of each step, of which the median counts
    #[arg(long, value_name = "N", env = "MICROTOME_REPEATS", hide_env = true, value_parser = number::count)]
    #[arg(default_value_t = 3)]
    pub(crate) repeats: u64,
    /// Where outputs are written for a while [default: a temporary folder]
    #[arg(long, value_name = "DIR", env = "MICROTOME_FOLDER", hide_env = true)]
    pub(crate) folder: Option<PathBuf>,
}
