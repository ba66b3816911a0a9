//! How long a run will take on this machine: counted work, times what one of each was measured to take here.
//!
//! [`Forecaster::calibrate`] measures what is not known yet, on a few stored tiles of the input itself; [`Forecaster::learn`]
//! takes what a run took. Both are remembered in a cache folder, a file a machine.
//!
//! *Invariant:* no forecast changes what is computed, and nothing that goes wrong here ends a run: without a rate there is no
//! forecast.

mod calibrate;
mod nowhere;
mod remembered;
mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

use microtome_exec::RunOptions;
use microtome_graph::{Activity, Forecast, GraphError, Rate, Rates, Work};

use crate::target::OutputFormat;
use crate::{Store, StoreOptions};
use remembered::Remembered;

/// How much a calibration may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationLimits {
    /// About so long: nothing further is measured that would probably end later.
    pub time: Duration,
    /// Bytes of pixels that are read at most, and about as many that are written; at least one stored tile.
    pub bytes: u64,
}

impl Default for CalibrationLimits {
    /// Two seconds and 64 MiB.
    fn default() -> Self {
        CalibrationLimits { time: Duration::from_secs(2), bytes: 64 << 20 }
    }
}

/// Forecasts how long runs take on this machine.
#[derive(Debug)]
pub struct Forecaster {
    remembered: Remembered,
}

impl Forecaster {
    /// With what is remembered of this machine, in `microtome/` below `XDG_CACHE_HOME` (`~/.cache`). What is damaged is
    /// ignored, and said.
    pub fn here() -> Forecaster {
        let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
        Forecaster { remembered: Remembered::load(caches.map(|caches| caches.join("microtome"))) }
    }

    /// With what is remembered in a folder, which need not be there yet.
    ///
    /// # Examples
    /// What was measured is known to whoever asks next:
    /// ```
    /// use std::sync::Arc;
    /// use microtome::prelude::*;
    /// use microtome::{ArraySpec, CalibrationLimits, Forecaster, SyntheticReader};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (cache, out) = (folder.path().join("cache"), folder.path().join("out.ome.zarr"));
    /// let shape = Shape::new([4, 1, 5, 64, 64, 1])?;
    /// let image = Image::of(Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 })));
    /// let mip = image.scene(0)?.array(&ChunkDims::default())?.project(Axis::Z, Projection::Max)?;
    /// let (stores, options) = ([mip.store(&out, ZarrOptions::default())?], RunOptions::default());
    ///
    /// let mut forecaster = Forecaster::remembering(&cache);
    /// assert_eq!(forecaster.forecast(&stores, &options)?, None); // nothing is known
    /// forecaster.calibrate(&stores, &options, &CalibrationLimits::default());
    /// let forecast = forecaster.forecast(&stores, &options)?.expect("all was measured");
    /// assert!(forecast.low < forecast.seconds && forecast.seconds < forecast.high);
    /// forecaster.keep();
    /// assert_eq!(Forecaster::remembering(&cache).forecast(&stores, &options)?, Some(forecast));
    /// # Ok(())
    /// # }
    /// ```
    pub fn remembering(folder: &Path) -> Forecaster {
        Forecaster { remembered: Remembered::load(Some(folder.to_owned())) }
    }

    /// How long a run that stores these will take; `None` where neither rates nor an earlier run of the kind are known.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if a store does not fit the budget.
    pub fn forecast(&self, stores: &[Store], options: &RunOptions) -> Result<Option<Forecast>, GraphError> {
        let work = work(stores, options)?;
        Ok(self.expected(&work, options).1)
    }

    /// Measures what is not known of the work that these stores are: reads and decodes stored tiles of their source, applies
    /// the operations to them, and encodes the result into a folder of its own beside the output, which is removed. What
    /// cannot be measured stays unknown.
    pub fn calibrate(&mut self, stores: &[Store], options: &RunOptions, limits: &CalibrationLimits) {
        let start = std::time::Instant::now();
        for store in stores {
            let left = limits.time.saturating_sub(start.elapsed());
            let Ok(work) = store_work(store, options) else { continue };
            if left.is_zero() || self.remembered.rates.suffice(&work) {
                continue;
            }
            let limits = CalibrationLimits { time: left, ..*limits };
            match calibrate::measure(store, options, &limits) {
                Ok(rates) => self.remembered.take(rates),
                Err(error) => tracing::debug!("how fast this machine is was not measured: {error}"),
            }
        }
    }

    /// Takes what a whole run of these stores took, in seconds, for the next forecast of its kind.
    pub fn learn(&mut self, stores: &[Store], options: &RunOptions, seconds: f64) {
        let Ok(work) = work(stores, options) else { return };
        let (base, known) = self.base(&work);
        let said = Forecast::of(&work, &base, &microtome_graph::Learnt::default());
        if let Some(said) = said.filter(|said| said.seconds > 0.0) {
            let kind = kind(&work, options, known, said.seconds);
            self.remembered.learn(kind, seconds / said.seconds);
        }
    }

    /// Writes what was measured and learnt to the cache folder, if there is one and it can be written.
    pub fn keep(&self) {
        self.remembered.keep();
    }

    /// The kind of a run, and what is expected of it.
    fn expected(&self, work: &Work, options: &RunOptions) -> (String, Option<Forecast>) {
        let (base, known) = self.base(work);
        let Some(said) = Forecast::of(work, &base, &microtome_graph::Learnt::default()) else {
            return (String::new(), None);
        };
        let kind = kind(work, options, known, said.seconds);
        let learnt = self.remembered.learnt(&kind);
        let is_known = known || learnt.runs > 0.0;
        let forecast = Forecast::of(work, &base, &learnt).filter(|_| is_known);
        (kind, forecast)
    }

    /// Rates for all of some work, and whether all of them were measured.
    fn base(&self, work: &Work) -> (Rates, bool) {
        let mut rates = self.remembered.rates.clone();
        let missing = rates.missing(work);
        for kind in &missing {
            rates.set(kind, typical(kind.activity));
        }
        (rates, missing.is_empty())
    }
}

/// What stands for a rate that was not measured, so that runs can be compared with each other.
fn typical(activity: Activity) -> Rate {
    let seconds = match activity {
        Activity::Read => 1e-9,
        Activity::Compute => 0.3e-9,
        Activity::Encode => 2e-9,
        Activity::Files => 50e-6,
        Activity::Settle => 0.5e-9,
        Activity::Start => 5e-3,
    };
    Rate { seconds, at_once: 1, measured: 0 }
}

/// The kind of run that learns from others of it: the same work, in amounts of the same order, on as many threads.
fn kind(work: &Work, options: &RunOptions, known: bool, seconds: f64) -> String {
    let kinds: Vec<String> = work.kinds().iter().map(ToString::to_string).collect();
    let (order, threads) = (seconds.max(1e-6).log10().floor(), options.threads);
    remembered::digest(&format!("{kinds:?} 1e{order} {threads} {known}"))
}

fn work(stores: &[Store], options: &RunOptions) -> Result<Work, GraphError> {
    stores.iter().try_fold(Work::default(), |work, store| Ok(work.then(store_work(store, options)?)))
}

fn store_work(store: &Store, options: &RunOptions) -> Result<Work, GraphError> {
    store.plan().work(&codec(store, options), options)
}

/// How a store encodes a byte, in words.
fn codec(store: &Store, options: &RunOptions) -> String {
    let spec = store.output().array(0).spec();
    let StoreOptions { zarr, tiff, .. } = &store.recipe().options;
    let format = OutputFormat::of(store.path()).unwrap_or(OutputFormat::OmeZarr);
    let codec = match format {
        OutputFormat::OmeZarr => serde_json::to_string(&zarr.compression),
        OutputFormat::OmeTiff => serde_json::to_string(&tiff.compression),
        OutputFormat::Png => Ok(String::new()),
    };
    let (part, unit, dtype) = (spec.part, spec.units.chunk(), spec.array.dtype);
    let codec = codec.unwrap_or_default();
    let durability = options.durability;
    format!("{format:?} {codec} {dtype} {part} in {unit} {durability:?}")
}

#[cfg(test)]
mod tests;
