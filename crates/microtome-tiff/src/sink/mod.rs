//! The output: one image as OME-TIFF, at one or several levels, in tiles.
//!
//! The file has its header, all tiles of the full resolution in the order T, C, Z, Y, X, all tiles of the next level, and so
//! on, then the tag tables, the OME-XML among their values; the header tells where the first lies and is written last.
//!
//! *Invariant:* the bytes of a finished output follow from its pixels, options and plan alone; while it is built, each level
//! has a file of its own, which begins with tiles that are settled.

mod complete;
mod ifd;
mod join;
mod level;
mod part;
mod place;
mod reopen;
mod several;
mod spill;
mod unit;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use microtome_array::{ArraySpec, Axis};
use microtome_io::ome::{self, OmeMeta};
use microtome_io::{
    Check, Completion, Durability, Output, Prepare, ReadError, Reader, Receipt, Sink, Standing, StoredUnit, WriteError,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::complete::Listed;
use self::ifd::Width;
use self::join::{Piece, Whole};
use self::level::TiffLevel;
use self::place::{Partial, Place};
pub use self::several::{TiffBuilding, TiffCollection, TiffMember};
pub use self::verify::verify;
use crate::TiffOptions;

/// Room left in a file with offsets of 4 bytes for what cannot be known in advance: the list of what is missing.
const SPARE: u64 = 64 << 20;
const SPARE_PER_PLANE: u64 = 4 << 10;
/// A UUID where its value does not matter.
const NO_UUID: &str = "00000000-0000-8000-8000-000000000000";

/// An OME-TIFF being written.
#[derive(Debug)]
pub struct TiffOutput {
    place: Place,
    levels: Vec<TiffLevel>,
    width: Width,
    meta: OmeMeta,
    options: TiffOptions,
    begun: OnceLock<(Partial, Durability)>,
}

/// Describes an output of one or several levels, full resolution first; nothing is touched on disk before
/// [`Output::prepare`].
///
/// Every plane is a page, Z fastest, then C, then T; its smaller levels are its `SubIFDs`. Offsets have 8 bytes (`BigTIFF`) if
/// the file could become larger than 4 GiB.
///
/// # Errors
/// [`WriteError::Unsupported`] for a pixel type that OME-TIFF does not have, no level, levels that do not fit the first, no
/// pixels, a tile that is no multiple of 16 or over 1 GiB, or a compression level that there is not.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, BufferPool, PixelType, PixelsRef, Shape};
/// use microtome_io::{Completion, Limits, Output, Prepare, Reader, WriteContext};
/// use microtome_tiff::{TiffOptions, create, open};
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("out.ome.tif");
/// let array = ArraySpec { shape: Shape::new([1, 1, 2, 3, 4, 1])?, dtype: PixelType::U8 };
/// let output = create(&out, &[array], &Default::default(), &TiffOptions::default())?;
/// let sink = output.array(0);
/// assert_eq!(sink.spec().units.count(), 2); // a tile for each plane
///
/// output.prepare(&Prepare::fresh("0123456789ab"))?;
/// let pool = BufferPool::new(1 << 20);
/// let mut units = Vec::new();
/// for unit in sink.spec().units.all().iter() {
///     let mut writer = sink.begin(unit, &WriteContext { pool: &pool })?;
///     let region = sink.spec().units.region(&unit).unwrap();
///     let plane = ArraySpec { shape: region.shape(), ..array };
///     writer.write(&region, PixelsRef::new(plane, &[7; 12])?)?;
///     for receipt in writer.finish(true)? {
///         units.push((&receipt).into());
///         output.settle(&[(0, receipt)])?;
///     }
/// }
/// output.finish(&Completion { plan: "0123456789ab", units: &[units], quarantine: None })?;
/// assert_eq!(open(&out, &Limits::default())?.info().scenes[0].shape(), array.shape);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(
    path: &Path,
    levels: &[ArraySpec],
    meta: &OmeMeta,
    options: &TiffOptions,
) -> Result<TiffOutput, WriteError> {
    // A slash at the end would name a folder.
    let path = path.components().as_path();
    let refused = |why: String| WriteError::Unsupported { path: path.to_owned(), why };
    if let Some(why) = options.compression.complaint().or_else(|| misfit(levels)) {
        return Err(refused(why));
    }
    let small = TiffOutput::new(path, levels, meta, options, Width { big: false }).map_err(refused)?;
    let big = most_bytes(&[&small.levels], small.xml(NO_UUID).len() as u64) > u64::from(u32::MAX);
    if big { TiffOutput::new(path, levels, meta, options, Width { big }).map_err(refused) } else { Ok(small) }
}

/// Why levels cannot be stored, or do not belong together.
fn misfit(levels: &[ArraySpec]) -> Option<String> {
    let Some(full) = levels.first() else { return Some("an image has at least one level".to_owned()) };
    let dtype = full.dtype;
    if dtype.is_complex() || dtype.component_size() != dtype.size() {
        return Some(format!("OME-TIFF of {dtype} pixels is read by few programs; write OME-Zarr, which has them"));
    }
    if dtype == microtome_array::PixelType::Bool || ome::type_name(dtype).is_none() {
        let (fits, all) = match () {
            () if dtype.is_float() => ("float32", "float32 and float64"),
            () if dtype.size() == 1 => ("uint8", "integers of 8 bits and more"),
            () if dtype.is_signed_integer() => ("int32 or float64", "integers of up to 32 bits and floats"),
            () => ("uint32 or float64", "integers of up to 32 bits and floats"),
        };
        return Some(format!(
            "OME-TIFF has no {dtype} pixels, but {all}; give --dtype {fits}, or write OME-Zarr, which has them"
        ));
    }
    levels.iter().enumerate().find_map(|(n, level)| {
        if level.shape.is_empty() {
            return Some("it has no pixels, and a page of a TIFF has some".to_owned());
        }
        let same = |axes: &[Axis]| axes.iter().all(|&a| level.shape.get(a) == full.shape.get(a));
        let alike = level.dtype == dtype && same(&[Axis::T, Axis::C, Axis::Z, Axis::S]);
        (!alike).then(|| format!("level {n} has other planes or pixels than level 0; OME-TIFF shrinks Y and X alone"))
    })
}

/// Most bytes that a file may have, however its tiles are compressed; `images` are the levels of each.
fn most_bytes(images: &[&[TiffLevel]], xml: u64) -> u64 {
    let of_image = |levels: &&[TiffLevel]| {
        let units = levels.iter().map(|level| level.spec.units.count()).fold(0, u64::saturating_add);
        let planes = levels[0].spec.units.count() / levels[0].tiles_of_plane().max(1);
        let tables = planes.saturating_mul(1024 * levels.len() as u64 + SPARE_PER_PLANE);
        let tiles = levels.iter().map(TiffLevel::most_bytes).fold(0, u64::saturating_add);
        tiles.saturating_add(tables).saturating_add(units.saturating_mul(16))
    };
    images.iter().map(of_image).chain([xml, SPARE]).fold(0, u64::saturating_add)
}

/// A UUID (of the kind whose bits are one's own) that follows from the plan.
fn uuid(plan: &str) -> String {
    let mut bytes = Sha256::digest(format!("microtome OME-TIFF {plan}"));
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{bytes:x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

/// Text as a tag has it.
fn with_zero(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.push(0);
    bytes
}

impl TiffOutput {
    fn new(
        path: &Path,
        levels: &[ArraySpec],
        meta: &OmeMeta,
        options: &TiffOptions,
        width: Width,
    ) -> Result<TiffOutput, String> {
        let start = |n: usize| if n == 0 { width.header(0).len() as u64 } else { 0 };
        let made = levels.iter().enumerate().map(|(n, array)| TiffLevel::new(path, *array, options, start(n)));
        let place = Place { out: path.to_owned(), overwrite: options.overwrite };
        let (meta, options, begun) = (meta.clone(), *options, OnceLock::new());
        Ok(TiffOutput { place, levels: made.collect::<Result<_, _>>()?, width, meta, options, begun })
    }

    fn misused(&self, why: &str) -> WriteError {
        WriteError::Unsupported { path: self.place.out.clone(), why: format!("{why}: a bug in the caller") }
    }

    fn begun(&self) -> Result<(&Partial, bool), WriteError> {
        let begun = self.begun.get().ok_or_else(|| self.misused("it is not prepared"))?;
        Ok((&begun.0, begun.1 != Durability::None))
    }

    fn xml(&self, uuid: &str) -> String {
        ome::write(self.levels[0].spec.array, &self.meta, uuid).unwrap_or_default()
    }
}

/// The tiles of each level, all of which must be there as they were recorded.
fn pieces(
    levels: &[TiffLevel],
    units: &[Vec<StoredUnit>],
    misused: impl Fn(&str) -> WriteError,
) -> Result<Vec<Piece>, WriteError> {
    let piece = |(n, level): (usize, &TiffLevel)| {
        let lengths = level.part.lengths();
        let recorded = units.get(n).map(|units| units.iter().map(|unit| unit.stored_bytes));
        let all_there = lengths.len() as u64 == level.spec.units.count();
        if !all_there || !recorded.is_some_and(|recorded| recorded.eq(lengths.iter().copied())) {
            return Err(misused("it is finished and some of its tiles are not stored"));
        }
        Ok(Piece { path: level.path(), lengths })
    };
    levels.iter().enumerate().map(piece).collect()
}

/// Brings tiles of some levels to the disk, if that is waited for.
fn settle(
    levels: &[TiffLevel],
    units: &[(usize, Receipt)],
    syncs: bool,
    misused: impl Fn(&str) -> WriteError,
) -> Result<(), WriteError> {
    let mut touched = vec![false; levels.len()];
    for (n, receipt) in units {
        let level = levels.get(*n).ok_or_else(|| misused("there is no such array"))?;
        if level.spec.units.linear(&receipt.unit) >= level.part.len().1 {
            return Err(misused("a unit is settled that was not written"));
        }
        touched[*n] = true;
    }
    let touched = levels.iter().zip(touched).filter(|(_, touched)| *touched && syncs);
    touched.into_iter().try_for_each(|(level, _)| level.part.sync())
}

impl Output for TiffOutput {
    fn path(&self) -> &Path {
        &self.place.out
    }

    fn arrays(&self) -> usize {
        self.levels.len()
    }

    fn array(&self, n: usize) -> &dyn Sink {
        &self.levels[n]
    }

    fn files(&self, n: usize) -> u64 {
        u64::from(n == 0)
    }

    fn parameters(&self) -> Value {
        let level = |level: &TiffLevel| json!([level.spec.array.shape, level.tile]);
        let levels: Vec<Value> = self.levels.iter().map(level).collect();
        json!({
            "sink": "ome-tiff", "xml": self.xml(NO_UUID), "levels": levels, "big": self.width.big,
            "compression": self.options.compression,
        })
    }

    fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        self.place.look(plan, resume)
    }

    fn journal(&self, plan: &str) -> Option<PathBuf> {
        self.place.journal(plan).ok()
    }

    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError> {
        let standing = self.place.look(how.plan, how.resume)?;
        if standing == Standing::Finished {
            self.place.clear(how.plan)?;
            return Ok(standing);
        }
        if self.begun.get().is_some() {
            return Err(self.misused("it is prepared twice"));
        }
        let partial = self.place.begin(how.plan, standing)?;
        let (partial, durability) = self.begun.get_or_init(|| (partial, how.durability));
        for (n, level) in self.levels.iter().enumerate() {
            let header = if n == 0 { self.width.header(0) } else { Vec::new() };
            level.part.open(&partial.level(n), &header)?;
        }
        if *durability != Durability::None {
            partial.sync()?;
        }
        Ok(standing)
    }

    fn join(&self, plan: &str, _durability: Durability) -> Result<(), WriteError> {
        let partial = self.place.partial(plan)?;
        self.levels.iter().enumerate().try_for_each(|(n, level)| level.join(&partial, n))
    }

    fn adopt(&self, units: &[(usize, Receipt)]) -> Result<Vec<(usize, Receipt)>, WriteError> {
        spill::adopt(&self.levels, self.begun()?.0.dir(), units, |why| self.misused(why))
    }

    fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        if self.levels.iter().any(TiffLevel::is_joined) {
            return Ok(()); // tiles are brought to the disk where they are appended
        }
        settle(&self.levels, units, self.begun()?.1, |why| self.misused(why))
    }

    fn check(&self, array: usize, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        let level = &self.levels[array];
        level.part.check(level.spec.units.linear(&receipt.unit), &StoredUnit::from(receipt), how)
    }

    fn reopen(&self, array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        reopen::reopen(&self.levels[array])
    }

    fn finish(&self, completion: &Completion<'_>) -> Result<(), WriteError> {
        let (partial, syncs) = self.begun()?;
        let first = &self.levels[0];
        let whole = Whole { file: first.part.file()?, path: &first.path(), width: self.width };
        let (tiles, end) = whole.join(pieces(&self.levels, completion.units, |why| self.misused(why))?)?;
        let xml = with_zero(self.xml(&uuid(completion.plan)));
        let units = complete::units(completion.units);
        let levels = self.levels.iter().map(TiffLevel::tiles).collect();
        let missing = completion.quarantine.map(Listed::new);
        let record = complete::Record::new(completion.plan, levels, (&units, &xml), (missing, Vec::new()));
        whole.write_tables(&[&self.levels], (&tiles, end), (record, &xml, &units))?;
        if syncs {
            first.part.sync()?;
        }
        partial.publish(&partial.level(0), syncs)
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        complete::quarantine(&self.place.out)
    }

    fn abandon(&self) {
        if let Some((partial, _)) = self.begun.get() {
            partial.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use microtome_array::{PixelType, Pixels, Shape};
    use microtome_io::{Limits, Place as At, contract, read_region};

    use super::*;
    use crate::TiffCompression;

    #[test]
    fn offsets_of_8_bytes_keep_the_contract_too() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.ome.tif");
        let level = |y, x| ArraySpec { shape: Shape::new([2, 1, 3, y, x, 3]).unwrap(), dtype: PixelType::U16 };
        let levels = [level(50, 70), level(25, 35)];
        let options = TiffOptions { tile: Some([16, 32]), overwrite: true, compression: TiffCompression::Lzw };
        let read_back = |_: &TiffOutput, level: usize| -> Pixels {
            let reader = crate::open(&out, &Limits::default()).unwrap();
            read_region(&reader, At { scene: 0, level }, &levels[level].shape.region()).unwrap()
        };
        let make = || TiffOutput::new(&out, &levels, &OmeMeta::default(), &options, Width { big: true }).unwrap();
        contract::output(make, read_back);
        assert_eq!(std::fs::read(&out).unwrap()[..4], *b"II+\0");
        assert_eq!(complete::plan(&out).as_deref(), Some("c0ffee00c0ffee00"));
    }

    #[test]
    fn equal_plans_have_equal_uuids_of_the_free_kind() {
        assert_eq!(uuid("a"), uuid("a"));
        assert_ne!(uuid("a"), uuid("b"));
        assert_eq!((uuid("a").len(), uuid("a").as_bytes()[14]), (36, b'8'));
    }
}
