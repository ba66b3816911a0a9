//! Physical limits: the same bytes moved by the plainest loop there is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;

use crate::data::{FIRST_BYTE, Sample};

/// Block that stays in the second-level cache together with an accumulator of the same size.
const BLOCK: usize = 256 << 10;

/// Reads the page cache and takes the maximum over z, on all threads, with reused buffers and nothing else; gives the
/// result, in fresh memory.
pub(crate) fn max_over_z(path: &Path, sample: &Sample) -> Vec<u16> {
    let file = File::open(path).unwrap();
    let plane = sample.plane_bytes() as usize;
    let mut result = vec![0u16; sample.result_pixels()];
    result.par_chunks_mut(plane / 2).enumerate().for_each(|(tc, out)| {
        out.par_chunks_mut(BLOCK / 2).enumerate().for_each_init(
            || vec![0u8; BLOCK],
            |bytes, (block, most)| max_of_block(&file, sample, (tc, block), most, bytes),
        );
    });
    result
}

/// The same, but the result is added up block by block and thrown away: no memory is touched that is not reused.
pub(crate) fn max_over_z_thrown_away(path: &Path, sample: &Sample) -> u64 {
    let file = File::open(path).unwrap();
    let blocks = (sample.plane_bytes() as usize).div_ceil(BLOCK);
    let stacks = sample.result_pixels() * 2 / sample.plane_bytes() as usize;
    let jobs: Vec<(usize, usize)> = (0..stacks).flat_map(|tc| (0..blocks).map(move |b| (tc, b))).collect();
    let scratch = || (vec![0u16; BLOCK / 2], vec![0u8; BLOCK]);
    jobs.par_iter()
        .map_init(scratch, |(most, bytes), &(tc, block)| {
            let len = BLOCK.min(sample.plane_bytes() as usize - block * BLOCK) / 2;
            max_of_block(&file, sample, (tc, block), &mut most[..len], bytes);
            most[..len].iter().map(|&m| u64::from(m)).sum::<u64>()
        })
        .sum()
}

fn max_of_block(file: &File, sample: &Sample, (tc, block): (usize, usize), most: &mut [u16], bytes: &mut [u8]) {
    let depth = sample.sizes[2];
    let bytes = &mut bytes[..most.len() * 2];
    for k in 0..depth {
        let at = FIRST_BYTE + (tc as u64 * depth + k) * sample.plane_bytes() + (block * BLOCK) as u64;
        file.read_exact_at(bytes, at).unwrap();
        let pixels = bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]]));
        if k == 0 {
            most.iter_mut().zip(pixels).for_each(|(m, p)| *m = p);
        } else {
            most.iter_mut().zip(pixels).for_each(|(m, p)| *m = (*m).max(p));
        }
    }
}

/// What both sides of a projection are checked by, on all threads.
pub(crate) fn sum(pixels: &[u16]) -> u64 {
    pixels.par_chunks(BLOCK).map(|part| part.iter().map(|&p| u64::from(p)).sum::<u64>()).sum()
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
