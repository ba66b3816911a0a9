//! `convert`: an image, or a part of it, as OME-Zarr or OME-TIFF.

use super::job::{self, Job};
use crate::args::ConvertArgs;
use crate::error::CliError;

/// What is to be done.
pub(super) fn job(args: &ConvertArgs) -> Result<Job, CliError> {
    job::check(&args.output, &args.store)?;
    let array = job::source(&args.input, &args.source)?;
    let array = match args.dtype {
        Some(dtype) => array.cast(dtype)?,
        None => array,
    };
    Job::new(&args.input, &args.output, array, &args.store)
}
