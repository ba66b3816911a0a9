//! Reads level 0 of an image's first scene for `benches/peers`, which runs other programs beside it.
//!
//! `reading whole PATH` puts it into memory, `reading planes PATH` reads plane after plane into one buffer a thread; both on
//! all threads, or on `BENCH_THREADS`. Prints `{"inner_s": …}`: opening and reading, the start of the process not counted. A
//! third argument, `--sum`, adds the CRC-32 of all pixels in TCZYX order, outside the time.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use microtome::prelude::*;
use microtome::{ArraySpec, BufferPool, Pixels, Place, ReadContext};
use rayon::prelude::*;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [how, path] = [args.first(), args.get(1)].map(|arg| arg.map_or("", String::as_str));
    let threads = std::env::var("BENCH_THREADS").ok().and_then(|count| count.parse().ok());
    let threads = threads.unwrap_or_else(|| RunOptions::default().threads);
    let wants_sum = args.get(2).is_some_and(|arg| arg == "--sum");
    let start = Instant::now();
    let (seconds, sum) = match how {
        "whole" => {
            let pixels = whole(Path::new(path), threads);
            (start.elapsed(), wants_sum.then(|| libdeflater::crc32(pixels.as_ref().bytes())))
        }
        "planes" => {
            let sums = planes(Path::new(path), threads, wants_sum);
            (start.elapsed(), wants_sum.then(|| sums.iter().fold(0, |sum, plane| sum ^ plane)))
        }
        // `cargo bench` runs every benchmark; this one needs a file.
        _ => return println!("reading: nothing to do; benches/peers/run.py runs it"),
    };
    println!("{}", serde_json::json!({ "inner_s": seconds.as_secs_f64(), "pixels": sum }));
}

/// The whole of level 0.
fn whole(path: &Path, threads: usize) -> Pixels {
    let stack = Image::open(path).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    stack.compute(&RunOptions { threads, memory: 8 << 30, ..RunOptions::default() }).unwrap()
}

/// Reads every plane by itself; the CRC-32 of each, if `wants_sum`.
fn planes(path: &Path, threads: usize, wants_sum: bool) -> Vec<u32> {
    let image = Image::open(path).unwrap();
    let (reader, scene) = (image.reader(), image.scene(0).unwrap());
    let whole = Region::of(scene.info().shape());
    let dtype = scene.info().dtype;
    let mut regions = Vec::new();
    for t in 0..whole.len(Axis::T) {
        for c in 0..whole.len(Axis::C) {
            let row = whole.with(Axis::T, t, t + 1).with(Axis::C, c, c + 1);
            regions.extend((0..whole.len(Axis::Z)).map(|z| row.with(Axis::Z, z, z + 1)));
        }
    }
    let plane = ArraySpec { shape: regions[0].shape(), dtype };
    let pool = BufferPool::new(1 << 30);
    let sums = Mutex::new(Vec::new());
    let workers = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    workers.install(|| {
        regions.par_iter().with_max_len(1).for_each_init(
            || Pixels::zeroed(plane),
            |pixels, region| {
                reader.read(Place::default(), region, &mut pixels.as_mut(), &ReadContext { pool: &pool }).unwrap();
                if wants_sum {
                    sums.lock().unwrap().push(libdeflater::crc32(pixels.as_ref().bytes()));
                }
            },
        );
    });
    sums.into_inner().unwrap()
}
