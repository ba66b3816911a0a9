//! The output: one image as OME-Zarr 0.5 or 0.4, at one or several levels, sharded or not.
//!
//! *Invariant:* the document that makes the folder an image is written last, in a folder that gets its name after it.

mod building;
mod collection;
pub(crate) mod complete;
mod desk;
mod document;
mod file;
mod join;
mod level;
mod member;
mod publish;
mod records;
mod reopen;
mod scratch;
mod spool;
mod unit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_array::Axis;
use microtome_io::disk;
use microtome_io::{
    Check, Completion, Durability, Output, Prepare, ReadError, Reader, Receipt, Sink, Standing, WriteError,
};
use serde_json::{Value, json};

pub use self::collection::{ZarrBuilding, ZarrCollection, create_member};

use self::building::{Building, Site};
use self::document::Dataset;
use self::level::ZarrLevel;
use self::member::Member;
use self::publish::Place;
use self::records::Records;
use self::spool::Spool;
use crate::{LevelSpec, OutputMeta, ZarrOptions};

/// An OME-Zarr image being written.
#[derive(Debug)]
pub struct ZarrOutput {
    place: Place,
    /// Its place if it is one of several images.
    member: Option<Member>,
    /// Its place if it is in a bucket.
    away: Option<Spool>,
    levels: Vec<ZarrLevel>,
    group: Value,
    records: Records,
    building: Arc<Building>,
}

/// Describes an output of one or several levels, full resolution first; nothing is touched on disk before
/// [`Output::prepare`].
///
/// NGFF has five axes and no samples: an image whose pixels have samples (RGB) is stored with `C × S` channels, named
/// R, G, B where it has one channel, all samples of a pixel in one stored chunk. Chunks and shards that are not asked for
/// follow from each level's shape alone.
///
/// # Errors
/// [`WriteError::Unsupported`] for no level, levels that do not fit the first, a shard that parts a chunk, a chunk over
/// 1 GiB, a shard of more than 2^20 chunks, or a compression level that there is not.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, BufferPool, PixelType, PixelsRef, Shape};
/// use microtome_io::{Completion, Output, Prepare, WriteContext};
/// use microtome_zarr::{LevelSpec, OutputMeta, ZarrOptions, create};
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("out.ome.zarr");
/// let array = ArraySpec { shape: Shape::new([1, 1, 2, 3, 4, 1])?, dtype: PixelType::U8 };
/// let output = create(&out, &[LevelSpec::full(array)], &OutputMeta::default(), &ZarrOptions::default())?;
/// let sink = output.array(0);
/// assert_eq!(sink.spec().units.count(), 1); // both planes in one shard
///
/// output.prepare(&Prepare::fresh("0123456789ab"))?;
/// let pool = BufferPool::new(1 << 20);
/// let mut writer = sink.begin(sink.spec().units.index(0), &WriteContext { pool: &pool })?;
/// writer.write(&array.shape.region(), PixelsRef::new(array, &[7; 24])?)?;
/// let receipt = writer.finish(true)?.remove(0);
/// assert_eq!(receipt.pixel_bytes, 24);
/// let units = [vec![(&receipt).into()]];
/// output.settle(&[(0, receipt)])?;
/// output.finish(&Completion { plan: "0123456789ab", units: &units, quarantine: None })?;
/// assert!(out.join("0/c/0/0/0/0/0").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(
    path: &Path,
    levels: &[LevelSpec],
    meta: &OutputMeta,
    options: &ZarrOptions,
) -> Result<ZarrOutput, WriteError> {
    let refused = |why: String| WriteError::Unsupported { path: path.to_owned(), why };
    if let Some(why) = options.compression.complaint().or_else(|| misfit(levels)) {
        return Err(refused(why));
    }
    let away = crate::is_url(path).then(|| Spool::new(path, options.overwrite)).transpose()?;
    let building = Arc::new(Building::default());
    let made = levels.iter().enumerate();
    let made = made.map(|(n, level)| ZarrLevel::new(path.to_owned(), n, level, options, &building));
    let made = made.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let names: Vec<String> = made.iter().map(ZarrLevel::name).collect();
    let datasets: Vec<Dataset<'_>> = names.iter().zip(levels).map(|(path, level)| Dataset { path, level }).collect();
    let group = document::image(&made[0].layout, meta, &datasets);
    let place = Place { out: path.to_owned(), overwrite: options.overwrite };
    let records = Records::new(meta, options.version);
    Ok(ZarrOutput { place, member: None, away, levels: made, group, records, building })
}

/// Why levels do not belong together.
fn misfit(levels: &[LevelSpec]) -> Option<String> {
    let Some(full) = levels.first() else { return Some("an image has at least one level".to_owned()) };
    if full.downsample != [1.0; 6] {
        return Some("the first level is the full resolution".to_owned());
    }
    levels.iter().enumerate().find_map(|(n, level)| {
        let (found, first) = (level.array, full.array);
        let factors = level.downsample.iter().all(|f| f.is_finite() && *f > 0.0);
        let alike = found.dtype == first.dtype && found.shape.get(Axis::S) == first.shape.get(Axis::S);
        let why = format!("level {n} has other pixels than level 0, or factors that are none");
        (!(factors && alike)).then_some(why)
    })
}

impl ZarrOutput {
    fn misused(&self, why: &str) -> WriteError {
        WriteError::Unsupported { path: self.place.out.clone(), why: format!("{why}: a bug in the caller") }
    }

    fn site(&self) -> Result<&Site, WriteError> {
        self.building.site().ok_or_else(|| self.misused("it is not prepared"))
    }

    fn write(&self, folder: &Path, documents: &document::Documents) -> Result<(), WriteError> {
        documents.iter().try_for_each(|(name, document)| {
            disk::write(&folder.join(name), document::text(document).as_bytes(), self.building.syncs())
        })
    }

    /// The folders and documents of levels, which are there before their units so that they can be read back.
    fn write_levels(&self) -> Result<(), WriteError> {
        for level in &self.levels {
            let folder = level.folder()?;
            std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
            self.write(&folder, &document::of_array(level.layout.version, &level.document))?;
            if self.building.syncs() {
                disk::sync_folder(&folder)?;
            }
        }
        Ok(())
    }
}

impl Output for ZarrOutput {
    fn path(&self) -> &Path {
        &self.place.out
    }

    fn desk(&self) -> &Path {
        self.away.as_ref().map_or(&self.place.out, Spool::desk)
    }

    fn arrays(&self) -> usize {
        self.levels.len()
    }

    fn array(&self, n: usize) -> &dyn Sink {
        &self.levels[n]
    }

    fn parameters(&self) -> Value {
        let arrays: Vec<&Value> = self.levels.iter().map(|level| &level.document).collect();
        let group = document::of_group(self.levels[0].layout.version, self.group.clone());
        let group = group.first().map(|(_, document)| document);
        json!({"sink": "ome-zarr", "group": group, "arrays": arrays, "records": self.records.parameters()})
    }

    fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        match (&self.member, &self.away) {
            (Some(member), _) => member.look(plan, resume),
            (None, Some(spool)) => spool.look(plan, resume),
            (None, None) => self.place.look(plan, resume),
        }
    }

    fn journal(&self, plan: &str) -> Option<PathBuf> {
        match (&self.member, &self.away) {
            (Some(member), _) => Some(member.journal()),
            (None, Some(spool)) => spool.journal(plan).ok(),
            (None, None) => self.place.journal(plan).ok(),
        }
    }

    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError> {
        let standing = self.look(how.plan, how.resume)?;
        if standing == Standing::Finished {
            match (&self.member, &self.away) {
                (Some(member), _) => member.end(false)?,
                (None, Some(spool)) => spool.clear(how.plan)?,
                (None, None) => self.place.clear(how.plan)?,
            }
            return Ok(standing);
        }
        let site = match (&self.member, &self.away) {
            (Some(member), _) => {
                member.begin(standing)?;
                Site::Inside(Member { dir: member.folder().to_owned() })
            }
            (None, Some(spool)) => Site::Away(spool.begin(how.plan, standing)?),
            (None, None) => Site::Own(self.place.begin(how.plan, standing)?.0),
        };
        if !self.building.begin(site, how.durability) {
            return Err(self.misused("it is prepared twice"));
        }
        self.write_levels()?;
        if let Some(Site::Away(spool)) = self.building.site() {
            spool.put_documents()?;
        }
        Ok(standing)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn join(&self, plan: &str, durability: Durability) -> Result<(), WriteError> {
        self.join_as(plan, durability)
    }

    fn adopt(&self, units: &[(usize, Receipt)]) -> Result<Vec<(usize, Receipt)>, WriteError> {
        self.adopt_from_others(units).map(|()| units.to_vec())
    }

    fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        let mut files = Vec::with_capacity(units.len());
        for (n, receipt) in units {
            let level = self.levels.get(*n).ok_or_else(|| self.misused("there is no such array"))?;
            match self.building.take(*n, receipt.unit) {
                Some(file) => files.push(file),
                None if self.building.was_adopted(*n, receipt.unit) => {}
                None if receipt.stored_bytes == 0 => level.clear(&receipt.unit)?,
                None => return Err(self.misused("a unit is settled that was not written")),
            }
        }
        self.building.place(&files)
    }

    fn check(&self, array: usize, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        self.levels[array].check(receipt, how)
    }

    fn reopen(&self, array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        reopen::reopen(&self.levels[array])
    }

    fn finish(&self, completion: &Completion<'_>) -> Result<(), WriteError> {
        let (site, syncs) = (self.site()?, self.building.syncs());
        self.sweep_after_others(site)?;
        let documents = document::of_group(self.levels[0].layout.version, self.group.clone());
        self.records.write(site.dir(), completion.plan, syncs)?;
        match site {
            Site::Own(partial) => {
                complete::write(partial.dir(), completion, syncs)?;
                self.write(partial.dir(), &documents)?;
                partial.publish(syncs)
            }
            Site::Inside(member) => {
                self.write(member.folder(), &documents)?;
                complete::write(member.folder(), completion, syncs)?;
                member.end(syncs)
            }
            Site::Away(spool) => {
                complete::write(spool.dir(), completion, syncs)?;
                self.write(spool.dir(), &documents)?;
                let top: Vec<&str> = documents.iter().map(|(name, _)| *name).collect();
                spool.publish(&top, completion.plan)
            }
        }
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        match &self.away {
            Some(spool) => spool.quarantine(),
            None => complete::quarantine(&self.place.out),
        }
    }

    fn abandon(&self) {
        match self.building.site() {
            Some(Site::Own(partial)) => partial.abandon(),
            Some(Site::Inside(member)) => {
                if let Err(error) = member.wipe() {
                    tracing::warn!(%error, "an unfinished image could not be removed");
                }
            }
            Some(Site::Away(spool)) => spool.abandon(),
            None => {}
        }
    }
}
