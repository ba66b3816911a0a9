//! `project`: an image folded along an axis, as OME-Zarr, OME-TIFF or PNG.

use microtome::project_as;

use super::job::{self, Job};
use crate::args::{Everywhere, ProjectArgs};
use crate::error::CliError;

/// What is to be done.
pub(super) fn job(args: &ProjectArgs, everywhere: &Everywhere) -> Result<Job, CliError> {
    job::check(&args.output, &args.store)?;
    let input = args.source.pattern.within(&args.input)?;
    let array = job::source(&job::open(&input, everywhere)?, &args.source)?;
    let array = project_as(&array, args.axis, args.method, args.dtype)?;
    Job::new(&input, &args.output, array, &args.store)
}
