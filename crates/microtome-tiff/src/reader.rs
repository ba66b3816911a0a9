//! The reader of the TIFF family: scenes and levels on top of pages.

use std::path::Path;
use std::sync::OnceLock;

use microtome_array::{ArrayError, ArraySpec, Axis, ChunkGrid, PixelsMut, Region, Shape};
use microtome_io::{
    ImageInfo, Io, LevelInfo, Limits, MAP_BYTES, Place, ReadContext, ReadCount, ReadError, Reader, SourceSpec,
};
use sha2::{Digest, Sha256};

use crate::extras;
use crate::plane::{Page, PlaneReader, Window};
use crate::scenes::{Arranged, Level, Scene, arrange, build};
use crate::set::Set;

/// An opened TIFF: its description, and where each plane lies.
///
/// Holds about 30 bytes for each plane; strips that do not follow each other add 16 bytes each.
#[derive(Debug)]
pub struct TiffReader {
    pub(crate) info: ImageInfo,
    pub(crate) set: Set,
    pub(crate) scenes: Vec<Scene>,
    pub(crate) digest: OnceLock<String>,
}

/// Opens a TIFF, `BigTIFF`, OME-TIFF or `ImageJ` file from its headers; no pixel is read.
///
/// # Errors
/// [`ReadError`] if the file is missing, no TIFF, cut within its headers, or over a limit. A compression that is not
/// read is no error here: the image is described, and reading it is refused.
///
/// # Examples
/// ```
/// use microtome_io::{Limits, Reader};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("small.tif");
/// # let mut tiff = b"II*\0\x08\0\0\0\x07\0".to_vec(); // one page of 3 × 2 pixels of 8 bits
/// # for (tag, value) in [(256u16, 3u32), (257, 2), (258, 8), (262, 1), (273, 98), (278, 2), (279, 6)] {
/// #     tiff.extend(tag.to_le_bytes()); tiff.extend([4, 0, 1, 0, 0, 0]); tiff.extend(value.to_le_bytes());
/// # }
/// # tiff.extend([0; 4]); tiff.extend([1, 2, 3, 4, 5, 6]);
/// # std::fs::write(&path, tiff).unwrap();
/// let reader = microtome_tiff::open(&path, &Limits::default())?;
/// let scene = &reader.info().scenes[0];
/// assert_eq!((scene.shape().extents(), scene.dtype.name()), ([1, 1, 1, 2, 3, 1], "uint8"));
/// let pixels = microtome_io::read_region(&reader, Default::default(), &scene.shape().region())?;
/// assert_eq!(pixels.as_ref().bytes(), [1, 2, 3, 4, 5, 6]);
/// # Ok::<(), microtome_io::ReadError>(())
/// ```
pub fn open(path: &Path, limits: &Limits) -> Result<TiffReader, ReadError> {
    let mut set = Set::open(path, limits)?;
    let arranged = arrange(&mut set)?;
    assemble(path, set, arranged)
}

/// The reader of scenes whose pages are known.
pub(crate) fn assemble(path: &Path, mut set: Set, arranged: Arranged) -> Result<TiffReader, ReadError> {
    let (mut infos, mut scenes) = (Vec::new(), Vec::new());
    for draft in arranged.drafts {
        if let Some((info, scene)) = build(&mut set, draft, infos.len())? {
            infos.push(info);
            scenes.push(scene);
        }
    }
    if infos.is_empty() {
        return Err(nothing_understood(&set));
    }
    let info = ImageInfo {
        path: path.to_owned(),
        format: arranged.format.to_owned(),
        bytes: set.files.iter().map(|f| f.source.size()).sum(),
        files: set.files.iter().map(|f| f.source.path().to_owned()).chain(set.companions.iter().cloned()).collect(),
        missing_files: set.missing.clone(),
        warnings: std::mem::take(&mut set.warnings),
        scenes: infos,
        ome_xml: arranged.ome_xml,
        extras: extras::extras(&set, arranged.description.as_deref()),
    };
    Ok(TiffReader { info, set, scenes, digest: OnceLock::new() })
}

fn nothing_understood(set: &Set) -> ReadError {
    let index = &set.main().index;
    let why = index.kind(0).as_ref().err().cloned().unwrap_or_else(|| "no page is understood".to_owned());
    ReadError::Corrupt { path: set.path().to_owned(), what: "page 0".to_owned(), location: String::new(), why }
}

impl TiffReader {
    fn place(&self, at: Place) -> Result<(ArraySpec, &Level), ReadError> {
        let (scene, info) = self.level(at)?;
        let level = &self.scenes[at.scene].levels[at.level];
        Ok((ArraySpec { shape: info.shape, dtype: scene.dtype }, level))
    }

    fn wrong(&self, source: ArrayError) -> ReadError {
        ReadError::Array { path: self.info.path.clone(), source }
    }

    /// Checks that the region lies in the level and that the result fits it.
    fn check(&self, spec: ArraySpec, region: &Region, out: &PixelsMut<'_>) -> Result<(), ReadError> {
        region.check_inside(&spec.shape).map_err(|e| self.wrong(e))?;
        if out.dtype() != spec.dtype {
            return Err(self.wrong(ArrayError::PixelType { expected: spec.dtype, found: out.dtype() }));
        }
        let wanted = ArraySpec { shape: region.shape(), dtype: spec.dtype };
        if out.shape() != wanted.shape || region.len(Axis::S) != spec.shape.get(Axis::S) {
            return Err(self.wrong(ArrayError::Length { expected: wanted.bytes(), found: out.spec().bytes() }));
        }
        Ok(())
    }

    /// The page of the plane at T, C, Z.
    fn page(&self, level: &Level, shape: Shape, plane: [u64; 3]) -> Result<Page<'_>, ReadError> {
        let [t, c, z] = plane;
        let number = (t * shape.get(Axis::C) + c) * shape.get(Axis::Z) + z;
        let found = level.page(&self.set, number as usize);
        let absent = |why: String| ReadError::Corrupt {
            path: self.info.path.clone(),
            what: format!("plane t={t} c={c} z={z}"),
            location: String::new(),
            why,
        };
        if found.is_absent() {
            return Err(absent(self.set.absent[found.page() as usize].clone()));
        }
        let file = &self.set.files[found.file() as usize];
        match file.index.kind(found.page()) {
            Ok(layout) => Ok(Page { file: &file.source, index: &file.index, layout, number: found.page(), plane }),
            Err(why) => Err(absent(why.clone())),
        }
    }

    fn compute_digest(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.set.files {
            hash.update(file.source.size().to_le_bytes());
            file.index.hash(&mut hash);
        }
        for scene in &self.info.scenes {
            let shapes: Vec<_> = scene.levels.iter().map(|l| l.shape).collect();
            hash.update(format!("{shapes:?} {} {:?}", scene.dtype, scene.page_order));
        }
        hash.update(self.info.ome_xml.as_deref().unwrap_or_default());
        if self.set.files.len() > 1 {
            // Which plane lies in which file may follow from names alone.
            self.scenes.iter().flat_map(|scene| &scene.levels).for_each(|level| level.hash(&mut hash));
        }
        format!("{:x}", hash.finalize())
    }
}

impl Reader for TiffReader {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        let digest = self.digest.get_or_init(|| self.compute_digest()).clone();
        let uri = Some(self.info.path.to_string_lossy().into_owned());
        SourceSpec { uri, stamp: Some(self.set.stamp()), digest }
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        let (spec, level) = self.place(at)?;
        self.check(spec, region, out)?;
        if region.is_empty() {
            return Ok(ReadCount::default());
        }
        let range = |axis| region.start(axis)..region.end(axis);
        let window = Window {
            y0: region.start(Axis::Y),
            y1: region.end(Axis::Y),
            x0: region.start(Axis::X),
            x1: region.end(Axis::X),
        };
        let plane_bytes = region.len(Axis::Y) * region.len(Axis::X) * region.len(Axis::S) * spec.dtype.size() as u64;
        let mut planes = PlaneReader::new(context.pool, self.set.limits.io);
        let mut start = 0;
        for t in range(Axis::T) {
            for c in range(Axis::C) {
                for z in range(Axis::Z) {
                    let page = self.page(level, spec.shape, [t, c, z])?;
                    planes.plane(page, window, out.bytes(), start)?;
                    start += plane_bytes as usize;
                }
            }
        }
        let fetched = planes.finish(out.bytes())?;
        Ok(ReadCount { fetched, decoded: touched(&self.info.scenes[at.scene].levels[at.level], spec, region) })
    }

    fn unchanged(&self) -> Result<(), ReadError> {
        self.set.files.iter().try_for_each(|file| file.source.unchanged())
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        let Ok((spec, level)) = self.place(at) else { return 0 };
        let full_width = region.len(Axis::X) == spec.shape.get(Axis::X);
        let scratch = if level.direct && full_width { 0 } else { level.scratch };
        // What is mapped beside: no more than the region where that is read as it lies in the file.
        let most = if level.direct && full_width { region.shape().bytes(spec.dtype).min(MAP_BYTES) } else { MAP_BYTES };
        if self.set.limits.io == Io::Mmap { scratch + most } else { scratch }
    }
}

/// Bytes of pixels of the granules that a region touches, cut to the array: what plans count, whatever is stored beyond
/// the edges, and however bits are packed.
fn touched(level: &LevelInfo, spec: ArraySpec, region: &Region) -> u64 {
    let grid = ChunkGrid::new(spec.shape, level.storage.granule);
    grid.map_or(0, |grid| grid.box_region(&grid.covering(region)).shape().bytes(spec.dtype))
}
