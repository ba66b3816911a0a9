//! What is measured and learnt, of images that are made here. No test waits for a clock: what is asserted are bounds and
//! what is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, PixelsMut, Region, Shape};
use microtome_io::{
    ImageInfo, Place, ReadContext, ReadCount, ReadError, Reader, SourceSpec, SyntheticReader, WriteError,
};
use microtome_ops::Projection;

use super::*;
use crate::{Compute, Image, Levels, TiffOptions, ZarrOptions};

/// An image that counts what is read of it, or that cannot be read.
#[derive(Debug)]
struct Counting {
    image: SyntheticReader,
    bytes: AtomicU64,
    is_broken: bool,
}

impl Reader for Counting {
    fn info(&self) -> &ImageInfo {
        self.image.info()
    }

    fn source(&self) -> SourceSpec {
        self.image.source()
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        if self.is_broken {
            return Err(ReadError::NotFound { path: "broken".into() });
        }
        self.bytes.fetch_add(out.as_ref().bytes().len() as u64, Ordering::Relaxed);
        self.image.read(at, region, out, context)
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        self.image.scratch_bytes(at, region)
    }
}

fn counting(extents: [u64; 6], is_broken: bool) -> Arc<Counting> {
    let spec = ArraySpec { shape: Shape::new(extents).unwrap(), dtype: PixelType::U16 };
    Arc::new(Counting { image: SyntheticReader::new(spec), bytes: AtomicU64::new(0), is_broken })
}

/// The projection of an image, stored with levels.
fn mip(image: &Arc<Counting>, path: &Path) -> Result<[Store; 1], WriteError> {
    let stack = Image::of(Arc::clone(image) as Arc<dyn Reader>).scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let options = StoreOptions { levels: Levels::Count(2), ..StoreOptions::from(ZarrOptions::default()) };
    Ok([stack.project(Axis::Z, Projection::Max).unwrap().store(path, options)?])
}

fn limits(seconds: u64, mebibytes: u64) -> CalibrationLimits {
    CalibrationLimits { time: Duration::from_secs(seconds), bytes: mebibytes << 20 }
}

#[test]
fn of_a_large_image_a_few_tiles_are_read_and_nothing_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let image = counting([300, 4, 100, 1024, 1024, 1], false); // 252 GB
    let stores = mip(&image, &folder.path().join("out.ome.zarr")).unwrap();
    let mut forecaster = Forecaster { remembered: Remembered::default() };
    forecaster.calibrate(&stores, &RunOptions::default(), &limits(600, 8));
    // 2 MiB, then 8, each once against the clock and once for its pixels.
    assert!(image.bytes.load(Ordering::Relaxed) <= 20 << 20, "{:?}", image.bytes);
    let forecast = forecaster.forecast(&stores, &RunOptions::default()).unwrap().unwrap();
    assert!(forecast.seconds > 0.0 && forecast.runs == 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn where_there_is_no_time_nothing_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let image = counting([3, 1, 5, 64, 64, 1], false);
    let stores = mip(&image, &folder.path().join("out.ome.zarr")).unwrap();
    let mut forecaster = Forecaster { remembered: Remembered::default() };
    forecaster.calibrate(&stores, &RunOptions::default(), &limits(0, 64));
    assert_eq!(image.bytes.load(Ordering::Relaxed), 0);
    assert_eq!(forecaster.forecast(&stores, &RunOptions::default()).unwrap(), None);
}

#[test]
fn what_cannot_be_read_is_no_forecast_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let stores = mip(&counting([3, 1, 5, 64, 64, 1], true), &folder.path().join("out.ome.zarr")).unwrap();
    let mut forecaster = Forecaster { remembered: Remembered::default() };
    forecaster.calibrate(&stores, &RunOptions::default(), &limits(60, 64));
    assert_eq!(forecaster.forecast(&stores, &RunOptions::default()).unwrap(), None);
}

#[test]
fn a_run_that_took_twice_as_long_doubles_the_next_forecast_of_its_kind_alone() {
    let folder = tempfile::tempdir().unwrap();
    let image = counting([3, 2, 5, 64, 64, 1], false);
    let stores = mip(&image, &folder.path().join("out.ome.zarr")).unwrap();
    let options = RunOptions::default();
    let mut forecaster = Forecaster { remembered: Remembered::default() };
    forecaster.calibrate(&stores, &options, &limits(60, 64));
    let first = forecaster.forecast(&stores, &options).unwrap().unwrap();
    forecaster.learn(&stores, &options, 2.0 * first.seconds);
    let second = forecaster.forecast(&stores, &options).unwrap().unwrap();
    assert!((second.seconds / first.seconds - 2.0).abs() < 1e-9 && second.runs == 1, "{first:?} {second:?}");
    let stack = Image::of(image as Arc<dyn Reader>).scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let other = [stack.store(folder.path().join("out.ome.tif"), TiffOptions::default()).unwrap()];
    assert_eq!(forecaster.forecast(&other, &options).unwrap(), None, "another kind was neither measured nor run");
}

#[test]
fn more_of_the_same_takes_longer() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::default();
    let mut forecaster = Forecaster { remembered: Remembered::default() };
    let store = |t| mip(&counting([t, 2, 5, 128, 128, 1], false), &folder.path().join("out.ome.zarr")).unwrap();
    forecaster.calibrate(&store(2), &options, &limits(60, 64));
    let seconds = |t| forecaster.forecast(&store(t), &options).unwrap().map(|forecast| forecast.seconds);
    let (some, more) = (seconds(200).unwrap(), seconds(2000).unwrap());
    assert!(more > some, "{some} {more}");
}
