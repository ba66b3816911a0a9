//! The formats that are written, by the end of a name.

use std::path::Path;

use microtome_graph::LazyArray;
use microtome_io::ome::OmeMeta;
use microtome_io::{Output, SceneInfo, WriteError};
use microtome_picture::PngOutput;
use microtome_zarr::{LevelSpec, OutputMeta};

use crate::levels::{Levels, StoreOptions};

/// A format that is written.
///
/// # Examples
/// ```
/// use std::path::Path;
/// use microtome::OutputFormat;
/// assert_eq!(OutputFormat::of(Path::new("a.ome.tif")), Some(OutputFormat::OmeTiff));
/// assert_eq!(OutputFormat::of(Path::new("A.Zarr/")), Some(OutputFormat::OmeZarr));
/// assert_eq!(OutputFormat::of(Path::new("a.png")), Some(OutputFormat::Png));
/// assert_eq!(OutputFormat::of(Path::new("a.jpg")), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// A folder: OME-Zarr 0.5.
    OmeZarr,
    /// A file: OME-TIFF.
    OmeTiff,
    /// A file: PNG, of one plane alone.
    Png,
}

/// How names end, longer ends first.
const ENDS: [(&str, OutputFormat); 7] = [
    (".ome.zarr", OutputFormat::OmeZarr),
    (".zarr", OutputFormat::OmeZarr),
    (".ome.tiff", OutputFormat::OmeTiff),
    (".ome.tif", OutputFormat::OmeTiff),
    (".tiff", OutputFormat::OmeTiff),
    (".tif", OutputFormat::OmeTiff),
    (".png", OutputFormat::Png),
];

impl OutputFormat {
    /// The format that the end of a name says; `None` if it says none, or there is nothing before it.
    pub fn of(path: &Path) -> Option<OutputFormat> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let (end, format) = ENDS.iter().find(|(end, _)| name.ends_with(end))?;
        (name.len() > end.len()).then_some(*format)
    }

    /// Which levels an output of this format has, of those that are wished for.
    pub(crate) fn levels(self, wished: Levels) -> Levels {
        match (self, wished) {
            (OutputFormat::Png, Levels::Auto) => Levels::Count(1),
            _ => wished,
        }
    }

    /// An output of this format: levels of an array, with the names and sizes of a scene.
    pub(crate) fn create(
        self,
        path: &Path,
        levels: &[LevelSpec],
        meta: &OutputMeta,
        (array, scene): (&LazyArray, Option<&SceneInfo>),
        options: &StoreOptions,
    ) -> Result<Box<dyn Output>, WriteError> {
        if microtome_zarr::is_url(path) && self != OutputFormat::OmeZarr {
            let path = microtome_zarr::checked_url(path).unwrap_or_default();
            let why = "only OME-Zarr is written behind a URL; end the name in .ome.zarr, or write it here and copy it"
                .to_owned();
            return Err(WriteError::Unsupported { path, why });
        }
        match self {
            OutputFormat::OmeZarr => Ok(Box::new(microtome_zarr::create(path, levels, meta, &options.zarr)?)),
            OutputFormat::OmeTiff => {
                let original = array.reader().and_then(|(reader, ..)| reader.info().ome_xml.clone());
                let meta = OmeMeta { original, ..scene.map_or_else(OmeMeta::default, OmeMeta::from) };
                let arrays: Vec<_> = levels.iter().map(|level| level.array).collect();
                Ok(Box::new(microtome_tiff::create(path, &arrays, &meta, &options.tiff)?))
            }
            OutputFormat::Png => {
                let [plane] = levels else {
                    let why = format!("a PNG has one level, not {}; leave --levels out", levels.len());
                    return Err(WriteError::Unsupported { path: path.to_owned(), why });
                };
                Ok(Box::new(PngOutput::new(path, plane.array, &options.png)?))
            }
        }
    }
}
