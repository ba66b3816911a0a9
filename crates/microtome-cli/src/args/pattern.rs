//! The flag that makes one image of many files.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::CliError;

/// Which files of a folder are one image.
#[derive(Debug, Args)]
pub(crate) struct PatternArgs {
    /// The TIFF files of the folder IN, or of that of the file IN, that are one image: `img_t{t}_c{c}.tif`, with {z}, {s} for
    /// scenes, {well} and {field} for plates, * and ? for the rest. IN may also be such a path itself
    #[arg(long, value_name = "PATTERN", env = "MICROTOME_PATTERN", hide_env = true)]
    pattern: Option<PathBuf>,
}

impl PatternArgs {
    /// What is opened: the path itself, or its files by the pattern.
    pub(crate) fn within(&self, input: &Path) -> Result<PathBuf, CliError> {
        let Some(pattern) = &self.pattern else { return Ok(input.to_owned()) };
        if input.is_dir() {
            return Ok(input.join(pattern));
        }
        if input.is_file() {
            return Ok(input.with_file_name("").join(pattern));
        }
        Err(CliError::usage(format!(
            "--pattern is of names in a folder, and {} is none; give the folder, or the whole pattern as IN",
            input.display()
        )))
    }
}
