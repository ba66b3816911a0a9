//! The format of an output, by the end of its name.

use std::path::Path;

use microtome::OutputFormat;

use crate::error::CliError;

/// The format of an output, or what would be one.
pub(crate) fn target(output: &Path) -> Result<OutputFormat, CliError> {
    OutputFormat::of(output).ok_or_else(|| {
        // What will be written one day, so that asking for it gets a straight answer.
        let message = if output.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
            format!("{}: PNG is not written yet", output.display())
        } else {
            format!("{}: the end of the name does not say a format", output.display())
        };
        let hint =
            "end the name in .ome.zarr or .zarr for OME-Zarr, in .ome.tif, .ome.tiff, .tif or .tiff for OME-TIFF";
        CliError::Usage { message, hint: Some(hint.to_owned()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_the_format() {
        for name in ["a.ome.zarr", "a.zarr", "dir/a.ome.zarr/", "A.OME.ZARR"] {
            assert_eq!(target(Path::new(name)).unwrap(), OutputFormat::OmeZarr, "{name}");
        }
        for name in ["a.ome.tif", "a.tif", "dir.zarr/a.tiff", "A.OME.TIFF"] {
            assert_eq!(target(Path::new(name)).unwrap(), OutputFormat::OmeTiff, "{name}");
        }
    }

    #[test]
    fn the_rest_says_what_is() {
        let error = target(Path::new("a.png")).unwrap_err();
        assert_eq!(error.to_string(), "a.png: PNG is not written yet");
        for name in ["a", "a.jpg", "", "..", ".zarr", ".ome.tif", "a.zarr/b.jpg"] {
            assert!(target(Path::new(name)).is_err(), "{name}");
        }
    }
}
