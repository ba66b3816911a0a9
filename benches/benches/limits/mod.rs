//! Physical limits: the same bytes moved by the plainest loop there is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;

use crate::data::{FIRST_BYTE, Sample};

mod planes;

pub(crate) use planes::{RawPlanes, Statistics, max_over_z, max_over_z_thrown_away, statistics, sum};

impl Sample {
    /// How its planes lie in the file.
    pub(crate) fn raw(&self) -> RawPlanes {
        let [t, c, z, ..] = self.sizes;
        RawPlanes { first_byte: FIRST_BYTE, stacks: (t * c) as usize, depth: z, plane_bytes: self.plane_bytes() }
    }
}

/// Copies a file through 128 KiB buffers, on all threads: reads the page cache and fills it again.
pub(crate) fn copy(from: &Path, to: &Path) {
    let source = File::open(from).unwrap();
    let size = source.metadata().unwrap().len();
    let target = File::create(to).unwrap();
    let step = 128u64 << 10;
    let starts: Vec<u64> = (0..size.div_ceil(step)).map(|n| n * step).collect();
    starts.par_iter().for_each_init(
        || vec![0u8; step as usize],
        |buffer, &start| {
            let len = step.min(size - start) as usize;
            source.read_exact_at(&mut buffer[..len], start).unwrap();
            target.write_all_at(&buffer[..len], start).unwrap();
        },
    );
    std::fs::remove_file(to).unwrap();
}

/// Compresses every plane of a file with zstd, on all threads, and throws the result away: raw encode.
pub(crate) fn zstd_encode(path: &Path, sample: &Sample, level: i32) -> usize {
    let file = File::open(path).unwrap();
    let plane = sample.plane_bytes() as usize;
    let planes: Vec<u64> = (0..sample.planes()).collect();
    planes
        .par_iter()
        .map_init(
            || (vec![0u8; plane], vec![0u8; plane * 2], zstd::bulk::Compressor::new(level).unwrap()),
            |(raw, encoded, compressor), &n| {
                file.read_exact_at(raw, FIRST_BYTE + n * plane as u64).unwrap();
                compressor.compress_to_buffer(&raw[..], &mut encoded[..]).unwrap()
            },
        )
        .sum()
}

/// Follows the chain of directories: one small read each.
pub(crate) fn walk_directories(path: &Path) -> u64 {
    let file = File::open(path).unwrap();
    let mut word = [0u8; 8];
    file.read_exact_at(&mut word, 8).unwrap();
    let mut at = u64::from_le_bytes(word);
    let mut pages = 0;
    while at != 0 {
        file.read_exact_at(&mut word, at).unwrap();
        let tags = u64::from_le_bytes(word);
        let mut ifd = vec![0u8; tags as usize * 20 + 8];
        file.read_exact_at(&mut ifd, at + 8).unwrap();
        at = u64::from_le_bytes(ifd[ifd.len() - 8..].try_into().unwrap());
        pages += 1;
    }
    pages
}

/// A task a spawn on rayon, each adding to a counter: what scheduling costs at least when tasks are independent.
pub(crate) fn spawn_tasks(tasks: u64) -> u64 {
    let done = std::sync::atomic::AtomicU64::new(0);
    let done = &done;
    rayon::scope(|scope| {
        for chunk in 0..tasks.div_ceil(1024) {
            scope.spawn(move |scope| {
                for _ in chunk * 1024..((chunk + 1) * 1024).min(tasks) {
                    scope.spawn(move |_| {
                        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    });
                }
            });
        }
    });
    done.load(std::sync::atomic::Ordering::Relaxed)
}
