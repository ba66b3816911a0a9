//! The format of an output, by the end of its name.

use std::path::Path;

use crate::error::CliError;

/// What will be written one day, so that asking for it gets a straight answer.
const PLANNED: [(&str, &str); 5] =
    [(".ome.tif", "OME-TIFF"), (".ome.tiff", "OME-TIFF"), (".tif", "TIFF"), (".tiff", "TIFF"), (".png", "PNG")];

/// Checks that the output is one that can be written: an OME-Zarr folder.
pub(crate) fn check_target(output: &Path) -> Result<(), CliError> {
    let name = output.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let stem = name.strip_suffix(".zarr").map(|stem| stem.strip_suffix(".ome").unwrap_or(stem));
    if stem.is_some_and(|stem| !stem.is_empty()) {
        return Ok(());
    }
    let message = match PLANNED.iter().find(|(end, _)| name.ends_with(end)) {
        Some((_, format)) => format!("{}: {format} is not written yet", output.display()),
        None => format!("{}: the end of the name does not say a format", output.display()),
    };
    Err(CliError::Usage { message, hint: Some("OME-Zarr is written: end the name in .ome.zarr or .zarr".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zarr_is_written() {
        for name in ["a.ome.zarr", "a.zarr", "dir/a.ome.zarr/", "A.OME.ZARR"] {
            assert!(check_target(Path::new(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_rest_says_what_is() {
        let error = check_target(Path::new("a.ome.tif")).unwrap_err();
        assert_eq!(error.to_string(), "a.ome.tif: OME-TIFF is not written yet");
        for name in ["a", "a.png", "", "..", ".zarr", "a.zarr/b.jpg"] {
            assert!(check_target(Path::new(name)).is_err(), "{name}");
        }
    }
}
