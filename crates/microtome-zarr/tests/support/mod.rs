//! What the tests of this crate share: pixels, whole writes, folders as maps, and `zarrs` as a second reader.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use microtome_array::{ArraySpec, BufferPool, PerAxis, PixelType, Pixels, Region, Shape, copy_region};
use microtome_io::{Completion, Output, Place, Prepare, Receipt, SyntheticReader, WriteContext, read_region};
use zarrs::array::{Array, ArrayBytes};
use zarrs::filesystem::FilesystemStore;

pub(crate) fn spec(extents: [u64; 6], dtype: PixelType) -> ArraySpec {
    ArraySpec { shape: Shape::new(extents).unwrap(), dtype }
}

/// Pixels that are all different.
pub(crate) fn numbered(spec: ArraySpec) -> Pixels {
    read_region(&SyntheticReader::new(spec), Place::default(), &spec.shape.region()).unwrap()
}

/// The part of an array in a region.
pub(crate) fn cut(whole: &Pixels, region: &Region) -> Pixels {
    let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype: whole.spec().dtype });
    copy_region(whole.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), region).unwrap();
    part
}

/// Prepares, writes every unit on some threads, a unit a box, and finishes.
pub(crate) fn write_all(output: &dyn Output, pixels: &Pixels, threads: usize) -> Vec<Receipt> {
    let plan = "0123456789abcdef";
    output.prepare(&Prepare::fresh(plan)).unwrap();
    let sink = output.array(0);
    let (next, receipts) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let pool = BufferPool::new(64 << 20);
    let units = sink.spec().units;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= units.count() {
                        return;
                    }
                    let region = units.region(&units.index(n)).unwrap();
                    let mut writer = sink.begin(units.index(n), &WriteContext { pool: &pool }).unwrap();
                    writer.write(&region, cut(pixels, &region).as_ref()).unwrap();
                    receipts.lock().unwrap().extend(writer.finish(true).unwrap());
                }
            });
        }
    });
    let mut receipts = receipts.into_inner().unwrap();
    receipts.sort_by_key(|receipt: &Receipt| receipt.unit);
    let settled: Vec<(usize, Receipt)> = receipts.iter().map(|receipt| (0, receipt.clone())).collect();
    output.settle(&settled).unwrap();
    output.finish(&Completion { plan, units: &[receipts.iter().map(Into::into).collect()], quarantine: None }).unwrap();
    receipts
}

/// Every file below a folder by its path.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root.join(&path).is_dir() {
                folders.push(path);
            } else {
                files.insert(path.to_string_lossy().into_owned(), std::fs::read(root.join(&path)).unwrap());
            }
        }
    }
    files
}

/// The pixels of an output of ours as `zarrs` reads them, in the order of our axes.
pub(crate) fn oracle(out: &Path, spec: ArraySpec) -> Vec<u8> {
    let store = std::sync::Arc::new(FilesystemStore::new(out).unwrap());
    let array = Array::open(store, "/0").unwrap();
    let stored: ArrayBytes<'static> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    let stored = stored.into_fixed().unwrap().into_owned();
    samples_last(&stored, spec)
}

/// Turns T, C×S, Z, Y, X into T, C, Z, Y, X, S.
fn samples_last(stored: &[u8], spec: ArraySpec) -> Vec<u8> {
    let [t, c, z, y, x, s] = spec.shape.dims();
    let (size, plane) = (spec.dtype.size(), z * y * x);
    let mut out = Vec::with_capacity(stored.len());
    for channel in 0..t * c {
        for pixel in 0..plane {
            for sample in 0..s {
                let at = ((channel * s + sample) * plane + pixel) * size;
                out.extend_from_slice(&stored[at..at + size]);
            }
        }
    }
    out
}
