//! Several images that appear in one file together: the scenes of a file, the fields of a plate.
//!
//! Each image is an output of its own, with its own journal and record, in a folder inside the partial one; when all are whole,
//! their tiles are joined. So a run that goes on passes over finished images by one small file each.
//!
//! *Invariant:* nothing stands under the output's name until every image does; an image is whole when its record says so, and
//! stays as it is until the whole file has its name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use microtome_array::ArraySpec;
use microtome_io::ome::{self, OmeMeta};
use microtome_io::{
    Check, Completion, Durability, Output, Prepare, ReadError, Reader, Receipt, Sink, Standing, StoredUnit, WriteError,
    disk,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::complete::{Listed, OfImage, Record, TILE_BYTES, record, units};
use super::ifd::Width;
use super::join::{Piece, Whole};
use super::level::TiffLevel;
use super::place::{Partial, Place};
use super::{NO_UUID, misfit, most_bytes, reopen, spill, uuid, with_zero};
use crate::TiffOptions;

/// The journal of an image's units, while it is unfinished.
const JOURNAL: &str = "journal";
/// Length and checksum of every tile of a finished image.
const UNITS: &str = "units";
/// What is said of a finished image; its last document.
const RECORD: &str = "record.json";

/// Several images in one OME-TIFF: levels, full resolution first, and what is said of each.
#[derive(Debug)]
pub struct TiffCollection {
    place: Place,
    images: Vec<(Vec<ArraySpec>, OmeMeta)>,
    options: TiffOptions,
    width: Width,
}

impl TiffCollection {
    /// Describes images that appear in one file, page behind page. Nothing is touched on disk. The original OME-XML that is
    /// kept is that of the first.
    ///
    /// # Errors
    /// As [`create`](crate::create), for each image, which is named by its number and name.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{ArraySpec, PixelType, Shape};
    /// use microtome_io::Output;
    /// use microtome_tiff::{TiffCollection, TiffOptions};
    /// let plane = ArraySpec { shape: Shape::new([1, 1, 1, 30, 40, 1])?, dtype: PixelType::U8 };
    /// let images = vec![(vec![plane], Default::default()), (vec![plane], Default::default())];
    /// let together = TiffCollection::new("out.ome.tif".as_ref(), images, &TiffOptions::default())?;
    /// let second = together.member(1, "out.ome.tif.partial-0123/1".as_ref())?;
    /// assert_eq!((together.images(), second.array(0).spec().array), (2, plane));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        path: &Path,
        images: Vec<(Vec<ArraySpec>, OmeMeta)>,
        options: &TiffOptions,
    ) -> Result<TiffCollection, WriteError> {
        let path = path.components().as_path();
        let refused = |why: String| WriteError::Unsupported { path: path.to_owned(), why };
        let complaint = options.compression.complaint();
        let complaint = complaint.or_else(|| images.is_empty().then(|| "it would hold no image".to_owned()));
        let misfits = || images.iter().enumerate().find_map(|(n, image)| Some(of(n, &image.1, &misfit(&image.0)?)));
        if let Some(why) = complaint.or_else(misfits) {
            return Err(refused(why));
        }
        let place = Place { out: path.to_owned(), overwrite: options.overwrite };
        let small = TiffCollection { place, images, options: *options, width: Width { big: false } };
        let levels: Vec<Vec<TiffLevel>> =
            (0..small.images()).map(|n| small.levels(n)).collect::<Result<_, _>>().map_err(refused)?;
        let levels: Vec<&[TiffLevel]> = levels.iter().map(Vec::as_slice).collect();
        let big = most_bytes(&levels, small.xml(NO_UUID).len() as u64) > u64::from(u32::MAX);
        Ok(TiffCollection { width: Width { big }, ..small })
    }

    /// How many there are.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.place.out
    }

    /// What decides its bytes beside the pixels of the images.
    pub fn parameters(&self) -> Value {
        json!({"sink": "ome-tiff", "xml": self.xml(NO_UUID), "big": self.width.big})
    }

    /// What stands where it is to stand; refuses what is in the way. Nothing is changed.
    ///
    /// # Errors
    /// As [`Output::look`].
    pub fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        self.place.look(plan, resume)
    }

    /// Makes its partial folder, or takes up the one that is there.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be made.
    pub fn begin(&self, plan: &str, standing: Standing, sync: bool) -> Result<TiffBuilding<'_>, WriteError> {
        let partial = self.place.begin(plan, standing)?;
        if sync {
            partial.sync()?;
        }
        Ok(TiffBuilding { collection: self, partial, plan: plan.to_owned(), sync })
    }

    /// Removes what a run left that was killed after the file had its name.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be removed.
    pub fn clear(&self, plan: &str) -> Result<(), WriteError> {
        self.place.clear(plan)
    }

    /// One of the images, to be written in a folder inside the partial one.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] as [`create`](crate::create), and for a number that there is not.
    pub fn member(&self, image: usize, dir: &Path) -> Result<TiffMember, WriteError> {
        let levels = self.levels(image).map_err(|why| WriteError::Unsupported { path: self.place.out.clone(), why })?;
        let (out, options) = (self.place.out.clone(), self.options);
        let (width, begun) = (self.width, OnceLock::new());
        Ok(TiffMember { out, dir: dir.to_owned(), image, levels, width, options, begun })
    }

    fn levels(&self, image: usize) -> Result<Vec<TiffLevel>, String> {
        let (arrays, meta) = self.images.get(image).ok_or_else(|| format!("there is no image {image}"))?;
        let start = |level: usize| if (image, level) == (0, 0) { self.width.header(0).len() as u64 } else { 0 };
        let made = arrays.iter().enumerate();
        let made = made.map(|(n, array)| TiffLevel::new(&self.place.out, *array, &self.options, start(n)));
        made.collect::<Result<_, _>>().map_err(|why| of(image, meta, &why))
    }

    fn xml(&self, uuid: &str) -> String {
        let images: Vec<_> = self.images.iter().map(|(levels, meta)| (levels[0], meta)).collect();
        ome::write_images(&images, uuid).unwrap_or_default()
    }
}

/// What is wrong with one image of several.
fn of(image: usize, meta: &OmeMeta, why: &str) -> String {
    let name = if meta.name.is_empty() { String::new() } else { format!(" ({})", meta.name) };
    format!("image {image}{name}: {why}")
}

/// A file of several images that is being written.
#[derive(Debug)]
pub struct TiffBuilding<'a> {
    collection: &'a TiffCollection,
    partial: Partial,
    plan: String,
    sync: bool,
}

impl TiffBuilding<'_> {
    /// The folder in which the images are built, each in one of its own, named by its number.
    pub fn dir(&self) -> &Path {
        self.partial.dir()
    }

    /// Joins the images and publishes the file; called once every image is finished.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be published; it then keeps its partial name.
    pub fn finish(&self) -> Result<(), WriteError> {
        let TiffCollection { images, width, .. } = self.collection;
        let dirs = (0..images.len()).map(|n| self.dir().join(n.to_string()));
        let dirs: Vec<PathBuf> = dirs.collect();
        let (mut levels, mut pieces, mut list, mut of_images) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (n, dir) in dirs.iter().enumerate() {
            let of_image = self.collection.levels(n).map_err(|why| unfinished(dir, &why))?;
            let found = Finished::read(dir).ok_or_else(|| unfinished(dir, "it has no record"))?;
            pieces.extend(found.pieces(dir, &of_image)?);
            list.extend(found.units);
            of_images.push(OfImage { levels: of_image.len(), ..found.said });
            levels.push(of_image);
        }
        let path = dirs[0].join("0");
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|e| WriteError::os(&path, "open", e))?;
        let whole = Whole { file: &file, path: &path, width: *width };
        let (tiles, end) = whole.join(pieces)?;
        let xml = with_zero(self.collection.xml(&uuid(&self.plan)));
        let tiles_of = levels.iter().flatten().map(TiffLevel::tiles).collect();
        let record = Record::new(&self.plan, tiles_of, (&list, &xml), (None, of_images));
        let levels: Vec<&[TiffLevel]> = levels.iter().map(Vec::as_slice).collect();
        whole.write_tables(&levels, (&tiles, end), (record, &xml, &list))?;
        if self.sync {
            file.sync_data().map_err(|e| WriteError::os(&path, "bring to the disk", e))?;
        }
        self.partial.publish(&path, self.sync)
    }

    /// Removes it as far as possible.
    pub fn abandon(&self) {
        self.partial.abandon();
    }
}

fn unfinished(dir: &Path, why: &str) -> WriteError {
    let why = format!("an image of it is not finished ({why}); --resume=verify or --overwrite makes it anew");
    WriteError::Journal { path: dir.to_owned(), why }
}

/// What a finished image says of itself.
struct Finished {
    said: OfImage,
    /// The list of its tiles, as in the record of a file.
    units: Vec<u8>,
}

/// The record of an image.
#[derive(Serialize, Deserialize)]
struct Said {
    #[serde(flatten)]
    image: OfImage,
    /// Length and CRC-32C of the list of tiles.
    units: (u64, u32),
}

impl Finished {
    /// The record in a folder; `None` if there is none that is whole.
    fn read(dir: &Path) -> Option<Finished> {
        let said: Said = serde_json::from_slice(&fs::read(dir.join(RECORD)).ok()?).ok()?;
        let units = fs::read(dir.join(UNITS)).ok()?;
        let right = (units.len() as u64, crc32c::crc32c(&units)) == said.units;
        right.then_some(Finished { said: said.image, units })
    }

    fn pieces(&self, dir: &Path, levels: &[TiffLevel]) -> Result<Vec<Piece>, WriteError> {
        let count: u64 = levels.iter().map(|level| level.spec.units.count()).sum();
        if self.units.len() as u64 != count * TILE_BYTES {
            return Err(unfinished(dir, "its record is of other tiles"));
        }
        let length = |entry: &[u8]| entry.first_chunk().map_or(0, |four| u64::from(u32::from_le_bytes(*four)));
        let mut lengths = self.units.chunks_exact(TILE_BYTES as usize).map(length);
        let piece = |(n, level): (usize, &TiffLevel)| {
            let lengths = lengths.by_ref().take(level.spec.units.count() as usize).collect();
            Piece { path: dir.join(n.to_string()), lengths }
        };
        Ok(levels.iter().enumerate().map(piece).collect())
    }
}

/// One image of several that appear in one file.
#[derive(Debug)]
pub struct TiffMember {
    /// The file of all images.
    out: PathBuf,
    dir: PathBuf,
    image: usize,
    levels: Vec<TiffLevel>,
    width: Width,
    options: TiffOptions,
    begun: OnceLock<Durability>,
}

impl TiffMember {
    fn misused(&self, why: &str) -> WriteError {
        WriteError::Unsupported { path: self.dir.clone(), why: format!("{why}: a bug in the caller") }
    }

    /// What its record says, or that of the file of all images, once that has its name.
    fn said(&self) -> Option<OfImage> {
        let here = Finished::read(&self.dir).map(|found| found.said);
        here.or_else(|| record(&self.out)?.images.into_iter().nth(self.image))
    }

    fn syncs(&self) -> Result<bool, WriteError> {
        let begun = self.begun.get().ok_or_else(|| self.misused("it is not prepared"))?;
        Ok(*begun != Durability::None)
    }
}

impl Output for TiffMember {
    fn path(&self) -> &Path {
        &self.dir
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
        json!({"sink": "ome-tiff", "levels": levels, "image": self.image, "compression": self.options.compression})
    }

    fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        if resume && self.said().is_some_and(|said| said.plan == plan) {
            return Ok(Standing::Finished);
        }
        let journal = self.dir.join(JOURNAL);
        let found = disk::found(&journal).map_err(|e| WriteError::os(&journal, "look at", e))?;
        Ok(if resume && found.is_some() { Standing::Unfinished } else { Standing::Fresh })
    }

    /// None once the file of all images has its name: there is nothing to keep any more.
    fn journal(&self, _plan: &str) -> Option<PathBuf> {
        disk::parent(&self.dir).is_dir().then(|| self.dir.join(JOURNAL))
    }

    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError> {
        let standing = self.look(how.plan, how.resume)?;
        if standing == Standing::Finished {
            return Ok(standing);
        }
        if standing == Standing::Fresh {
            disk::remove(&self.dir)?;
            fs::create_dir(&self.dir).map_err(|e| WriteError::os(&self.dir, "create", e))?;
        }
        for (n, level) in self.levels.iter().enumerate() {
            let header = if (self.image, n) == (0, 0) { self.width.header(0) } else { Vec::new() };
            level.part.open(&self.dir.join(n.to_string()), &header)?;
        }
        self.begun.set(how.durability).map_err(|_| self.misused("it is prepared twice"))?;
        if how.durability != Durability::None {
            disk::sync_folder(&self.dir)?;
            disk::sync_folder(disk::parent(&self.dir))?;
        }
        Ok(standing)
    }

    fn join(&self, _plan: &str, _durability: Durability) -> Result<(), WriteError> {
        self.levels.iter().enumerate().try_for_each(|(n, level)| level.join(&self.dir, n))
    }

    fn adopt(&self, units: &[(usize, Receipt)]) -> Result<Vec<(usize, Receipt)>, WriteError> {
        spill::adopt(&self.levels, &self.dir, units, |why| self.misused(why))
    }

    fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        if self.levels.iter().any(TiffLevel::is_joined) {
            return Ok(()); // tiles are brought to the disk where they are appended
        }
        super::settle(&self.levels, units, self.syncs()?, |why| self.misused(why))
    }

    fn check(&self, array: usize, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        let level = &self.levels[array];
        level.part.check(level.spec.units.linear(&receipt.unit), &StoredUnit::from(receipt), how)
    }

    fn reopen(&self, array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        reopen::reopen(&self.levels[array])
    }

    fn finish(&self, completion: &Completion<'_>) -> Result<(), WriteError> {
        let sync = self.syncs()?;
        super::pieces(&self.levels, completion.units, |why| self.misused(why))?;
        if sync {
            self.levels.iter().try_for_each(|level| level.part.sync())?;
        }
        let list = units(completion.units);
        let quarantine = completion.quarantine.map(Listed::new);
        let image = OfImage { plan: completion.plan.to_owned(), levels: self.levels.len(), quarantine };
        let said = Said { image, units: (list.len() as u64, crc32c::crc32c(&list)) };
        disk::write(&self.dir.join(UNITS), &list, sync)?;
        disk::write(&self.dir.join(RECORD), &serde_json::to_vec(&said).unwrap_or_default(), sync)?;
        if sync {
            disk::sync_folder(&self.dir)?;
        }
        disk::remove(&self.dir.join(JOURNAL))
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        self.said().and_then(|said| said.quarantine).map(|listed| listed.checked(&self.dir)).transpose()
    }

    fn abandon(&self) {
        // Of two errors the first is told where there is a place for it, and a later run clears up.
        let _ = disk::remove(&self.dir);
    }
}
