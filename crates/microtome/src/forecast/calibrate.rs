//! Measures what one of each kind of work takes, on a part of the real input.
//!
//! Each kind is measured alone, on as many threads as a run would use: tiles are read; the operations are applied to their
//! pixels in memory, one more each time; the result is encoded into an output like the real one; a few files are made; what
//! was written is brought to the disk.
//!
//! *Invariant:* what is written lies in a folder of its own beside the output, which is removed; bytes and time are bounded.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use microtome_array::{Pixels, Shape};
use microtome_exec::{CancelToken, Intermediates, Plan, Resume, RunError, RunOptions, computing, encoding};
use microtome_graph::{Activity, Fusing, LayerKind, LazyArray, Rate, Rates, WorkKind};
use microtome_io::{Durability, WriteError};
use microtome_ops::Op;
use microtome_zarr::ShardChoice;
use tempfile::TempDir;

use super::nowhere::Nowhere;
use super::sample::{Sample, memory};
use super::{CalibrationLimits, codec};
use crate::{Image, Levels, Store, StoreOptions};

/// What is tried first: each further try reads so many times more.
const FIRST_BYTES: u64 = 2 << 20;
const GROWTH: u64 = 6;
/// Files that are made to see what one takes.
const FILES: u32 = 48;
/// Bytes that are brought to the disk to see how fast it is.
const SETTLED: u64 = 16 << 20;
/// Part of the budget that pixels in memory may take.
const SHARE: u64 = 4;

/// The rates of all that a store does, as far as they can be measured.
pub(super) fn measure(store: &Store, options: &RunOptions, limits: &CalibrationLimits) -> Result<Rates, RunError> {
    let options = quiet(options);
    let most = limits.bytes.min(options.memory / SHARE).max(1);
    let (start, mut bytes, mut tries) = (Instant::now(), FIRST_BYTES.min(most), 0);
    let trial = Trial { store, options: &options, codec: codec(store, &options) };
    loop {
        let before = start.elapsed();
        // Another place each time: what was read a moment ago is in memory now.
        let place = [0.5, 0.0, 1.0][tries % 3];
        let rates = trial.rates(bytes, place)?;
        let spent = start.elapsed();
        let taken = spent.saturating_sub(before);
        let reads_all = store.array().chain()[0].spec().bytes() <= bytes;
        if bytes >= most || reads_all || spent + taken * GROWTH as u32 > limits.time {
            return Ok(rates);
        }
        (bytes, tries) = ((bytes * GROWTH).min(most), tries + 1);
    }
}

/// Options of a run that nobody hears of.
fn quiet(options: &RunOptions) -> RunOptions {
    RunOptions {
        counters: Arc::default(),
        cancel: CancelToken::default(),
        resume: Resume::No,
        intermediate: Intermediates::Never,
        window: None,
        ..options.clone()
    }
}

/// A store that is tried on a part of its source.
struct Trial<'a> {
    store: &'a Store,
    options: &'a RunOptions,
    codec: String,
}

impl Trial<'_> {
    fn rates(&self, bytes: u64, place: f64) -> Result<Rates, RunError> {
        let mut rates = Rates::default();
        let array = self.store.array();
        let Some(sample) = Sample::of(array, bytes, place) else { return Ok(rates) };
        tracing::debug!("measuring on {} bytes of pixels", sample.bytes());
        for kind in self.kinds(Activity::Read) {
            rates.set(&kind, sample.read(self.options.threads)?);
        }
        let pixels = sample.in_memory()?;
        let made = self.compute(array, &pixels, &mut rates)?;
        self.encode(made, &mut rates)?;
        Ok(rates)
    }

    /// The kinds of an activity that the store's work is of, those of read-back pixels left out.
    fn kinds(&self, activity: Activity) -> Vec<WorkKind> {
        let plan = self.store.plan();
        let work = plan.work(&self.codec, self.options).unwrap_or_default();
        let read_back = self.read_back();
        work.kinds().into_iter().filter(|kind| kind.activity == activity && *kind != read_back).collect()
    }

    fn read_back(&self) -> WorkKind {
        microtome_exec::reading_back(&self.codec, self.store.output())
    }

    /// Applies one more operation each time; what it adds is its own. Gives the pixels that come out at the end.
    fn compute(&self, array: &LazyArray, pixels: &LazyArray, rates: &mut Rates) -> Result<Pixels, RunError> {
        let made = array.over(pixels)?;
        let (mut before, _) = self.to_nowhere(pixels)?;
        for (step, below) in made.chain().windows(2).map(|pair| (&pair[1], &pair[0])) {
            let (seconds, at_once) = self.to_nowhere(step)?;
            if let Some(op) = operation(step) {
                Trial::computed(op.as_ref(), below, (seconds - before, at_once), rates);
            }
            before = seconds;
        }
        Plan::compute(&made, Fusing::Full).collect(self.options).map(|(pixels, _)| pixels)
    }

    fn computed(op: &dyn Op, on: &LazyArray, (seconds, at_once): (f64, u64), rates: &mut Rates) {
        let measured = on.spec().bytes();
        let seconds = seconds.max(0.0) / measured.max(1) as f64;
        rates.set(&computing(op, on.dtype()), Rate { seconds, at_once, measured });
    }

    /// Seconds until an array is computed, and how many threads did it at once. The quicker of two: of the first, memory is
    /// still being taken.
    fn to_nowhere(&self, array: &LazyArray) -> Result<(f64, u64), RunError> {
        let unit = self.store.output().array(0).spec().units.chunk();
        let Some(output) = Nowhere::new(array.spec(), &unit) else { return Ok((0.0, 1)) };
        let plan = Plan::store(array, &output);
        let at_once = plan.work("", self.options)?.passes.first().map_or(1, |pass| pass.at_once);
        let once = || plan.run(&quiet(self.options)).map(|report| report.seconds);
        Ok((once()?.min(once()?), at_once))
    }

    /// Encodes pixels into an output like the real one.
    fn encode(&self, pixels: Pixels, rates: &mut Rates) -> Result<(), RunError> {
        let parent = microtome_io::disk::parent(self.store.path());
        let os = |error| WriteError::os(parent, "measure in", error);
        let scratch = tempfile::Builder::new().prefix(".microtome-calibration-").tempdir_in(parent).map_err(os)?;
        let output = self.store.output();
        let kind = |activity| encoding(activity, &self.codec, output);
        let seconds = time_of_a_file(scratch.path()).map_err(os)?;
        rates.set(&kind(Activity::Files), Rate { seconds, at_once: 1, measured: u64::from(FILES) });
        let start = self.time_to_begin(&scratch)?;
        rates.set(&kind(Activity::Start), Rate { seconds: start.1, at_once: 1, measured: 1 });

        let array = memory(pixels, &self.store.array().grid().chunk())?;
        let like = self.like(&array, &scratch)?;
        self.shrink(&like, &array, rates)?;
        let free = RunOptions { durability: Durability::None, ..quiet(self.options) };
        let report = like.run(&free)?;
        let work = like.plan().work(&self.codec, &free)?;
        let at_once = work.passes.first().map_or(1, |pass| pass.at_once);
        let levels = work.passes.iter().flat_map(|pass| &pass.amounts);
        let other: f64 = levels
            .filter(|amount| matches!(amount.kind.activity, Activity::Compute | Activity::Files))
            .filter_map(|amount| Some(rates.get(&amount.kind)?.at(at_once) * amount.count as f64))
            .sum();
        let (copied, _) = self.to_nowhere(&array)?;
        // What is left has taken something, however little: a tenth at least.
        let encoding = (report.seconds - start.0 - other - copied).max(report.seconds / 10.0);
        let (measured, written) = (report.bytes_written, report.bytes_written.max(1) as f64);
        rates.set(&kind(Activity::Encode), Rate { seconds: encoding / written, at_once, measured });
        if self.options.durability != Durability::None {
            let stored = report.bytes_stored as f64 / written;
            let seconds = time_to_settle_a_byte(scratch.path()).map_err(os)? * stored;
            rates.set(&kind(Activity::Settle), Rate { seconds, at_once: 1, measured });
        }
        self.reread(&like, rates);
        Ok(())
    }

    /// What making a level from the one below takes.
    fn shrink(&self, like: &Store, array: &LazyArray, rates: &mut Rates) -> Result<(), RunError> {
        let (copied, _) = self.to_nowhere(array)?;
        for op in self.store.steps().iter().chain(like.steps()) {
            if rates.get(&computing(op.as_ref(), array.dtype())).is_some() {
                continue;
            }
            let Ok(smaller) = array.apply(Arc::clone(op)) else { continue };
            let (seconds, at_once) = self.to_nowhere(&smaller)?;
            Trial::computed(op.as_ref(), array, (seconds - copied, at_once), rates);
        }
        Ok(())
    }

    /// What reading stored pixels back takes.
    fn reread(&self, like: &Store, rates: &mut Rates) {
        let read = || {
            let image = Image::open(like.path()).ok()?;
            let array = image.scene(0).ok()?.array(&microtome_array::ChunkDims::default()).ok()?;
            Sample::of(&array, u64::MAX, 0.0)?.read(self.options.threads).ok()
        };
        if let Some(rate) = read() {
            rates.set(&self.read_back(), rate);
        }
    }

    /// An output like the real one, for a smaller array.
    fn like(&self, array: &LazyArray, scratch: &TempDir) -> Result<Store, WriteError> {
        let spec = self.store.output().array(0).spec();
        let (shape, part, unit) = (array.shape(), spec.part, spec.units.chunk());
        let mut options: StoreOptions = self.store.recipe().options.clone();
        options.zarr.chunk = Some(part.cut_to(&shape));
        options.zarr.shard = if part == unit { ShardChoice::None } else { ShardChoice::Shape(unit.cut_to(&shape)) };
        options.levels = Levels::Count(self.store.output().arrays() as u32);
        let path = scratch.path().join(self.store.path().file_name().unwrap_or_default());
        let plain = StoreOptions { levels: Levels::Count(1), ..self.store.recipe().options.clone() };
        Store::of(array, &path, None, &options).or_else(|_| Store::of(array, &path, None, &plain))
    }

    /// Seconds that an output of a few pixels takes: nothing waited for, and as it was asked for.
    fn time_to_begin(&self, scratch: &TempDir) -> Result<(f64, f64), RunError> {
        let few = Shape::new([1, 1, 1, 16, 16, 1]).map_err(microtome_graph::GraphError::Array)?;
        let dtype = self.store.array().dtype();
        let pixels = Pixels::zeroed(microtome_array::ArraySpec { shape: few, dtype });
        let array = memory(pixels, &few)?;
        let options = StoreOptions { levels: Levels::Count(1), ..self.store.recipe().options.clone() };
        let name = self.store.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let run = |durability: Durability| -> Result<f64, RunError> {
            let folder = scratch.path().join(format!("{durability:?}"));
            std::fs::create_dir_all(&folder).map_err(|error| WriteError::os(&folder, "create", error))?;
            let store = Store::of(&array, &folder.join(&name), None, &options)?;
            Ok(store.run(&RunOptions { durability, ..quiet(self.options) })?.seconds)
        };
        let free = run(Durability::None)?;
        Ok((free, if self.options.durability == Durability::None { free } else { run(self.options.durability)? }))
    }
}

fn operation(array: &LazyArray) -> Option<Arc<dyn Op>> {
    let stage = array.stage();
    match &stage.get(stage.top()).layer.kind {
        LayerKind::Op(op) => Some(Arc::clone(op)),
        _ => None,
    }
}

/// Seconds that making a small file takes, and giving it its name.
fn time_of_a_file(folder: &Path) -> std::io::Result<f64> {
    let start = Instant::now();
    for n in 0..FILES {
        let (partial, whole) = (folder.join(format!("{n}.partial")), folder.join(format!("{n}.file")));
        std::fs::write(&partial, [0; 16])?;
        std::fs::rename(partial, whole)?;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(FILES))
}

/// Seconds that bringing a byte to the disk takes that was just written, beside what it takes whatever the bytes.
fn time_to_settle_a_byte(folder: &Path) -> std::io::Result<f64> {
    let few = time_to_settle(folder, 4 << 10)?;
    let many = time_to_settle(folder, SETTLED)?;
    Ok((many - few).max(many / 10.0) / SETTLED as f64)
}

/// Seconds until so many written bytes are on the disk.
fn time_to_settle(folder: &Path, bytes: u64) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(folder.join("settled"))?;
    let block = vec![0x5a; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len() as u64);
        file.write_all(&block[..now as usize])?;
        left -= now;
    }
    let start = Instant::now();
    file.sync_data()?;
    Ok(start.elapsed().as_secs_f64())
}
