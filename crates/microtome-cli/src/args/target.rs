//! The format of an output, by the end of its name.

use std::path::Path;

use microtome::OutputFormat;

use crate::error::CliError;

/// The format of an output, or what would be one.
pub(crate) fn target(output: &Path) -> Result<OutputFormat, CliError> {
    OutputFormat::of(output).ok_or_else(|| {
        let message = format!("{}: the end of the name does not say a format", output.display());
        let hint = "end the name in .ome.zarr or .zarr for OME-Zarr, in .ome.tif, .ome.tiff, .tif or .tiff for OME-TIFF, in \
                    .png for one plane";
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
        assert_eq!(target(Path::new("dir.zarr/A.Png")).unwrap(), OutputFormat::Png);
    }

    #[test]
    fn the_rest_says_what_is() {
        for name in ["a", "a.jpg", "", "..", ".png", ".zarr", ".ome.tif", "a.zarr/b.jpg"] {
            assert!(target(Path::new(name)).is_err(), "{name}");
        }
    }
}
