//! Reads level 0 of an image's first scene for `benches/peers`, which runs other programs beside it.
//!
//! `reading whole PATH` puts it into memory, `reading planes PATH` reads plane after plane into one buffer a thread; both on
//! all threads, or on `BENCH_THREADS`. Prints `{"inner_s": …, "cpu_s": …}`: opening and reading, the start of the process not
//! counted, and processor time. A third argument, `--sum`, adds the CRC-32 of all pixels in TCZYX order, outside the time.
//!
//! The rest are physical limits, plain loops that know nothing of us: `reading maximum PATH FIRST_BYTE STACKS DEPTH PLANE_BYTES`
//! takes the maximum along each stack of planes that lie one behind the other, 16 bit; `reading statistics …` what is known of
//! each plane; `reading bytes FOLDER` reads every file of a folder.

#[path = "../limits/planes.rs"]
#[expect(dead_code, reason = "shared with benchmarks that use all of it")]
mod limits;
#[path = "../usage/mod.rs"]
#[expect(dead_code, reason = "shared with benchmarks that use all of it")]
mod usage;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use microtome::prelude::*;
use microtome::{ArraySpec, BufferPool, Pixels, Place, ReadContext};
use rayon::prelude::*;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [how, path] = [args.first(), args.get(1)].map(|arg| arg.map_or("", String::as_str));
    let path = Path::new(path);
    let threads = std::env::var("BENCH_THREADS").ok().and_then(|count| count.parse().ok());
    let threads = threads.unwrap_or_else(|| RunOptions::default().threads);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let wants_sum = args.get(2).is_some_and(|arg| arg == "--sum");
    let (took, sum) = match how {
        "whole" => {
            let mut pixels = None;
            let took = usage::of(|| pixels = Some(whole(path, threads)));
            (took, pixels.filter(|_| wants_sum).map(|pixels| libdeflater::crc32(pixels.as_ref().bytes())))
        }
        "planes" => {
            let mut sums = Vec::new();
            let took = usage::of(|| sums = planes(path, wants_sum));
            (took, wants_sum.then(|| sums.iter().fold(0, |sum, plane| sum ^ plane)))
        }
        "maximum" => (usage::of(|| drop(black_box(limits::max_over_z(path, places(&args[2..]))))), None),
        "statistics" => (usage::of(|| drop(black_box(limits::statistics(path, places(&args[2..]))))), None),
        "bytes" => (usage::of(|| assert!(black_box(read_files(path)) > 0)), None),
        // `cargo bench` runs every benchmark; this one needs a file.
        _ => return println!("reading: nothing to do; benches/peers/run.py runs it"),
    };
    println!("{}", serde_json::json!({ "inner_s": took.wall, "cpu_s": took.cpu, "pixels": sum }));
}

/// The arguments that say where planes lie.
fn places(args: &[String]) -> limits::RawPlanes {
    let numbers: Vec<u64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let [first_byte, stacks, depth, plane_bytes] = numbers[..] else { panic!("four numbers say where planes lie") };
    limits::RawPlanes { first_byte, stacks: stacks as usize, depth, plane_bytes }
}

/// Reads every file of a folder on all threads, into memory that is used again; how many bytes.
fn read_files(folder: &Path) -> usize {
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let one = |bytes: &mut Vec<u8>, path: &PathBuf| {
        bytes.clear();
        File::open(path).unwrap().read_to_end(bytes).unwrap()
    };
    files.par_iter().map_init(Vec::new, one).sum()
}

/// The whole of level 0.
fn whole(path: &Path, threads: usize) -> Pixels {
    let stack = Image::open(path).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    stack.compute(&RunOptions { threads, memory: 8 << 30, ..RunOptions::default() }).unwrap()
}

/// Reads every plane by itself; the CRC-32 of each, if `wants_sum`.
fn planes(path: &Path, wants_sum: bool) -> Vec<u32> {
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
    regions.par_iter().with_max_len(1).for_each_init(
        || Pixels::zeroed(plane),
        |pixels, region| {
            reader.read(Place::default(), region, &mut pixels.as_mut(), &ReadContext { pool: &pool }).unwrap();
            if wants_sum {
                sums.lock().unwrap().push(libdeflater::crc32(pixels.as_ref().bytes()));
            }
        },
    );
    sums.into_inner().unwrap()
}
