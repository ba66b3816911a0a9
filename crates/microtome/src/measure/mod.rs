//! A table of what is said of each plane of many images: smallest and largest value, mean, standard deviation, sum.
//!
//! Images are handed out a small file at a time, or some planes of a large one, to threads or to the workers of a cluster; rows
//! come back in the order of the inputs. An image that cannot be read takes no other one along.
//!
//! *Invariant:* the table depends on inputs and options alone: not on threads, memory, nor where it was made.

mod inputs;
mod part;
mod table;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

use microtome_exec::{Lock, MostBad, OnError, RunError, RunOptions};
use microtome_handler::Handler;
use microtome_io::{Limits, ReadError, WriteError, standing};
use serde::{Deserialize, Serialize};

pub use self::inputs::images_of;
use self::part::{Failure, Found, Part, What, measure_part};
use self::table::Table;
pub use self::table::{PlaneRow, TableFormat};
use crate::cluster::{lost, mapped, room};

/// Files of up to this size are handed out whole, unopened.
const SMALL: u64 = 64 << 20;
/// Pixels of a larger image that are handed out at a time, in bytes.
const PART_BYTES: u64 = 32 << 20;

/// What is measured and where it goes.
#[derive(Clone, Debug)]
pub struct MeasureOptions {
    /// Only this scene of each image: its number, identity or name. `None`: all that are images.
    pub scene: Option<String>,
    /// Whether a table of this name may be replaced.
    pub overwrite: bool,
    /// Budget, threads, what is done with what cannot be read, and what is of clusters alone.
    pub run: RunOptions,
}

/// What a measurement did.
#[derive(Clone, Debug, Default)]
pub struct MeasureReport {
    /// Rows of the table.
    pub rows: u64,
    /// Images that gave at least a row.
    pub images: u64,
    /// Images that were left out because an image before them consists of their files too.
    pub repeated: Vec<Repeated>,
    /// Calls that were handed out.
    pub parts: u64,
    /// Those of them that found something they could not read.
    pub failed: u64,
    /// Bytes of pixels that were read.
    pub bytes_read: u64,
    /// Bytes taken from storage.
    pub bytes_fetched: u64,
    /// Bytes of the table.
    pub bytes_written: u64,
    /// Bytes that this process, or the worker with most, held at most for pixels and decoding.
    pub peak_memory: u64,
    /// Bytes that they may have held at most.
    pub memory: u64,
    /// How long it took.
    pub seconds: f64,
    /// What is not in the table, in the order of the inputs.
    pub quarantine: Vec<Unmeasured>,
}

/// An input whose file an earlier input brought along, as files of an OME-TIFF set do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// The input.
    pub path: String,
    /// The earlier one, under whose path the rows are.
    pub with: String,
}

/// An image, or a plane of one, that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmeasured {
    /// The input.
    pub path: String,
    /// The scene; `None` where the image could not be opened.
    pub scene: Option<usize>,
    /// The plane.
    pub t: Option<u64>,
    /// The plane.
    pub c: Option<u64>,
    /// The plane.
    pub z: Option<u64>,
    /// Its page in a TIFF, where that is known.
    pub page: Option<u64>,
    /// Where in the file it lies, where that is known.
    pub offset: Option<u64>,
    /// Why it could not be read.
    pub reason: String,
}

/// Measures every plane of some images into a table whose format follows from the end of its name (`.csv`, `.parquet`), where a
/// handler says. The table appears under its name when it is whole. A file that an earlier input consists of too is measured once,
/// under the path of the first. `told` hears how many inputs are done.
///
/// # Errors
/// [`RunError`] if the table cannot be written, the cluster is lost, or, with [`OnError::Stop`], at the first plane that cannot be
/// read. With [`OnError::Quarantine`] these are listed in the report.
///
/// # Examples
/// ```
/// use microtome::{Handler, MeasureOptions, OnError, RunOptions, measure};
/// # let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
/// # let folder = tempfile::tempdir()?;
/// let inputs = [fixtures.join("cells.ome.tif"), fixtures.join("no-such-file.tif")];
/// let run = RunOptions { on_error: OnError::Quarantine { most: Default::default(), bad_planes: Default::default() }, ..Default::default() };
/// let options = MeasureOptions { scene: None, overwrite: false, run };
/// let report = measure(&inputs, &folder.path().join("planes.csv"), &Handler::new(None)?, &options, &mut |_| {})?;
/// assert_eq!((report.rows, report.quarantine.len()), (48, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn measure(
    inputs: &[PathBuf],
    output: &Path,
    handler: &Handler,
    options: &MeasureOptions,
    told: &mut dyn FnMut(usize),
) -> Result<MeasureReport, RunError> {
    let format = TableFormat::of(output).ok_or_else(|| {
        let why = "a table's name ends in .csv or .parquet".to_owned();
        WriteError::Unsupported { path: output.to_owned(), why }
    })?;
    let start = Instant::now();
    let _lock = Lock::take(output)?;
    standing::check_file(output, options.overwrite)?;
    let sender = Sender::new(inputs, handler, options);
    let mut taker =
        Taker { sender: &sender, table: Table::create(output, format)?, report: sender.report(), last: None };
    let filled = fill(&mut taker, handler, told);
    let Taker { table, report, .. } = taker;
    match filled.and_then(|()| Ok(standing::check_file(output, options.overwrite)?)) {
        Ok(()) => {
            let bytes_written = table.publish()?;
            Ok(MeasureReport { bytes_written, seconds: start.elapsed().as_secs_f64(), ..report })
        }
        Err(error) => {
            table.abandon();
            Err(error)
        }
    }
}

fn fill(taker: &mut Taker<'_>, handler: &Handler, told: &mut dyn FnMut(usize)) -> Result<(), RunError> {
    let sender = taker.sender;
    // What was handed out and has not come back, in order.
    let out: RefCell<VecDeque<(usize, Part)>> = RefCell::default();
    let parts = (0..sender.inputs.len()).flat_map(|n| sender.parts(n).into_iter().map(move |part| (n, part)));
    let sent = parts.map(|(n, part)| {
        out.borrow_mut().push_back((n, part.clone()));
        part
    });
    for result in handler.batched_map(measure_part, sent) {
        let found = result.map_err(|error| lost(&error))?;
        if sender.options.run.cancel.is_cancelled() {
            let left = out.borrow().len() as u64;
            return Err(RunError::Cancelled { done: taker.report.parts, total: taker.report.parts + left });
        }
        let Some((n, part)) = out.borrow_mut().pop_front() else { continue };
        told(n);
        taker.take(n, &part, found)?;
    }
    told(sender.inputs.len());
    taker.check_most()
}

/// What becomes of results, which come in the order of the inputs.
struct Taker<'a> {
    sender: &'a Sender<'a>,
    table: Table,
    report: MeasureReport,
    /// The input that gave a row last.
    last: Option<usize>,
}

impl Taker<'_> {
    fn take(&mut self, n: usize, part: &Part, found: Found) -> Result<(), RunError> {
        if let Some((path, why)) = found.changed {
            return Err(ReadError::Changed { path, why }.into());
        }
        self.sender.check(part, &found)?;
        let path = &self.sender.inputs[n];
        self.report.parts += 1;
        if let Some(first) = self.sender.covered.borrow().get(&part.path).filter(|first| **first != n) {
            let with = self.sender.inputs[*first].display().to_string();
            self.report.repeated.push(Repeated { path: path.display().to_string(), with });
            return Ok(());
        }
        self.sender.cover(n, found.files);
        if !found.rows.is_empty() && self.last.replace(n) != Some(n) {
            self.report.images += 1;
        }
        for row in &found.rows {
            self.table.write(path, row)?;
        }
        self.report.rows += found.rows.len() as u64;
        self.report.failed += u64::from(!found.bad.is_empty());
        self.report.bytes_read += found.decoded;
        self.report.bytes_fetched += found.fetched;
        self.report.peak_memory = self.report.peak_memory.max(found.peak);
        // In the words of whoever asked, wherever it was measured.
        let (here, there) = (path.display().to_string(), part.path.display().to_string());
        let named =
            |bad: Unmeasured| Unmeasured { path: here.clone(), reason: bad.reason.replace(&there, &here), ..bad };
        self.report.quarantine.extend(found.bad.into_iter().map(named));
        self.check_bad()
    }

    /// Ends the run where nothing, or no more, may be left out.
    fn check_bad(&self) -> Result<(), RunError> {
        match (self.sender.options.run.on_error, self.report.quarantine.first()) {
            (OnError::Stop, Some(bad)) => Err(RunError::Unmeasured { message: bad.to_string() }),
            (OnError::Quarantine { most: MostBad::Planes(_), .. }, Some(_)) => self.check_most(),
            _ => Ok(()),
        }
    }

    /// Ends it where more than a part was left out, which is known at the end.
    fn check_most(&self) -> Result<(), RunError> {
        let bad = &self.report.quarantine;
        let OnError::Quarantine { most, .. } = self.sender.options.run.on_error else { return Ok(()) };
        let planes = self.report.rows + bad.len() as u64;
        match bad.last() {
            Some(last) if bad.len() as u64 > most.of(planes) => {
                Err(RunError::TooManyBad { most: most.of(planes), planes, reason: last.reason.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Unmeasured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Some(scene), Some(t), Some(c), Some(z)) = (self.scene, self.t, self.c, self.z) {
            write!(f, "scene {scene} plane t={t} c={c} z={z} of {}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

/// What makes calls of inputs.
struct Sender<'a> {
    inputs: &'a [PathBuf],
    options: &'a MeasureOptions,
    /// Bytes that a call may take.
    memory: u64,
    /// Calls that run at a time in a process.
    at_once: u64,
    /// Files of images of several, as workers see them, with the first input that brought them.
    covered: RefCell<HashMap<PathBuf, usize>>,
}

impl<'a> Sender<'a> {
    fn new(inputs: &'a [PathBuf], handler: &Handler, options: &'a MeasureOptions) -> Sender<'a> {
        let covered = RefCell::default();
        if handler.is_cluster() {
            let memory = room(handler).1.min(options.run.memory);
            return Sender { inputs, options, memory, at_once: 1, covered };
        }
        let at_once = options.run.threads.max(1) as u64;
        Sender { inputs, options, memory: options.run.memory / at_once, at_once, covered }
    }

    fn report(&self) -> MeasureReport {
        MeasureReport { memory: self.memory.saturating_mul(self.at_once), ..MeasureReport::default() }
    }

    /// Keeps in mind of which files an image consists.
    fn cover(&self, n: usize, files: Vec<PathBuf>) {
        let mut covered = self.covered.borrow_mut();
        for file in files {
            covered.entry(file).or_insert(n);
        }
    }

    /// The calls of an input: one for a small file, one for some planes of a large image.
    fn parts(&self, n: usize) -> Vec<Part> {
        let path = &self.inputs[n];
        if self.covered.borrow().contains_key(&mapped(path, &self.options.run.cluster).0) {
            return vec![self.part(path, What::Nothing)];
        }
        let small = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= SMALL);
        if small {
            return vec![self.part(path, What::Whole)];
        }
        match part::planes(path, &self.limits(), self.options.scene.as_deref(), PART_BYTES) {
            Ok(all) => all.into_iter().map(|what| self.part(path, what)).collect(),
            Err(Failure::Bad(bad)) => vec![self.part(path, What::Unreadable(*bad))],
            // Opening it where it is measured tells more.
            Err(Failure::Changed(..)) => vec![self.part(path, What::Whole)],
        }
    }

    fn limits(&self) -> Limits {
        Limits { allowed_roots: self.options.run.cluster.allowed_roots.clone(), ..Limits::default() }
    }

    fn part(&self, path: &Path, what: What) -> Part {
        let map = &self.options.run.cluster;
        let roots = map.allowed_roots.iter().map(|root| mapped(root, map).0).collect();
        let scene = self.options.scene.clone();
        Part { path: mapped(path, map).0, roots, what, scene, memory: self.memory }
    }

    /// Makes a part of what others made again here, and compares.
    fn check(&self, part: &Part, found: &Found) -> Result<(), RunError> {
        let share = self.options.run.cluster.check;
        let what = format!("{}/{:?}", part.path.display(), part.what);
        if share <= 0.0 || f64::from(crc32c::crc32c(what.as_bytes())) >= share * (f64::from(u32::MAX) + 1.0) {
            return Ok(());
        }
        let map = &self.options.run.cluster;
        let here = map.path_map.iter().find_map(|(from, to)| Some(from.join(part.path.strip_prefix(to).ok()?)));
        let again = part::run(&Part { path: here.unwrap_or_else(|| part.path.clone()), ..part.clone() });
        if again.rows == found.rows && again.bad.len() == found.bad.len() {
            return Ok(());
        }
        let differs = again.rows.iter().zip(&found.rows).find(|(ours, theirs)| ours != theirs);
        let told = |rows: usize, row: Option<&PlaneRow>| format!("{rows} rows, {row:?}");
        Err(RunError::Differs {
            unit: format!("the table of {}", part.path.display()),
            worker: found.worker.clone(),
            found: told(found.rows.len(), differs.map(|(_, theirs)| theirs)),
            expected: told(again.rows.len(), differs.map(|(ours, _)| ours)),
        })
    }
}
