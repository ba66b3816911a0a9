//! Physical limits of what works on planes that lie one behind the other, not compressed, 16 bit: page cache, plain loops,
//! reused buffers, and nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;

/// Block that stays in the second-level cache together with an accumulator of the same size.
const BLOCK: usize = 256 << 10;

/// Where planes lie in a file.
#[derive(Clone, Copy)]
pub(crate) struct RawPlanes {
    pub(crate) first_byte: u64,
    /// Stacks of [`depth`](Self::depth) planes each.
    pub(crate) stacks: usize,
    pub(crate) depth: u64,
    pub(crate) plane_bytes: u64,
}

/// What is known of the pixels of a plane after one pass.
#[derive(Clone, Copy)]
pub(crate) struct Statistics {
    pub(crate) min: u16,
    pub(crate) max: u16,
    pub(crate) sum: u64,
    pub(crate) sum_of_squares: u64,
}

/// Reads the page cache and takes the maximum over z, on all threads; gives the result, in fresh memory.
pub(crate) fn max_over_z(path: &Path, planes: RawPlanes) -> Vec<u16> {
    let file = File::open(path).unwrap();
    let pixels = planes.plane_bytes as usize / 2;
    let mut result = vec![0u16; planes.stacks * pixels];
    result.par_chunks_mut(pixels).enumerate().for_each(|(stack, out)| {
        out.par_chunks_mut(BLOCK / 2).enumerate().for_each_init(
            || vec![0u8; BLOCK],
            |bytes, (block, most)| max_of_block(&file, planes, (stack, block), most, bytes),
        );
    });
    result
}

/// The same, but the result is added up block by block and thrown away: no memory is touched that is not reused.
pub(crate) fn max_over_z_thrown_away(path: &Path, planes: RawPlanes) -> u64 {
    let file = File::open(path).unwrap();
    let blocks = (planes.plane_bytes as usize).div_ceil(BLOCK);
    let jobs: Vec<(usize, usize)> = (0..planes.stacks).flat_map(|n| (0..blocks).map(move |b| (n, b))).collect();
    let scratch = || (vec![0u16; BLOCK / 2], vec![0u8; BLOCK]);
    jobs.par_iter()
        .map_init(scratch, |(most, bytes), &(stack, block)| {
            let len = BLOCK.min(planes.plane_bytes as usize - block * BLOCK) / 2;
            max_of_block(&file, planes, (stack, block), &mut most[..len], bytes);
            most[..len].iter().map(|&m| u64::from(m)).sum::<u64>()
        })
        .sum()
}

fn max_of_block(file: &File, planes: RawPlanes, (stack, block): (usize, usize), most: &mut [u16], bytes: &mut [u8]) {
    let bytes = &mut bytes[..most.len() * 2];
    for k in 0..planes.depth {
        let plane = stack as u64 * planes.depth + k;
        let at = planes.first_byte + plane * planes.plane_bytes + (block * BLOCK) as u64;
        file.read_exact_at(bytes, at).unwrap();
        if k == 0 {
            most.iter_mut().zip(pixels(bytes)).for_each(|(m, p)| *m = p);
        } else {
            most.iter_mut().zip(pixels(bytes)).for_each(|(m, p)| *m = (*m).max(p));
        }
    }
}

/// Reads the page cache and takes what is known of each plane, on all threads.
pub(crate) fn statistics(path: &Path, planes: RawPlanes) -> Vec<Statistics> {
    let file = File::open(path).unwrap();
    let count = planes.stacks * planes.depth as usize;
    let one = |bytes: &mut Vec<u8>, plane: usize| {
        let first = planes.first_byte + plane as u64 * planes.plane_bytes;
        let starts = (0..planes.plane_bytes).step_by(BLOCK);
        let blocks = starts.map(|start| {
            let bytes = &mut bytes[..BLOCK.min((planes.plane_bytes - start) as usize)];
            file.read_exact_at(bytes, first + start).unwrap();
            statistics_of(bytes)
        });
        blocks.reduce(Statistics::and).unwrap()
    };
    (0..count).into_par_iter().map_init(|| vec![0u8; BLOCK], one).collect()
}

/// Of a block: a plain loop, which the compiler makes fast.
fn statistics_of(bytes: &[u8]) -> Statistics {
    let (mut min, mut max, mut sum, mut sum_of_squares) = (u16::MAX, 0, 0u64, 0u64);
    for pixel in pixels(bytes) {
        min = min.min(pixel);
        max = max.max(pixel);
        sum += u64::from(pixel);
        sum_of_squares += u64::from(pixel) * u64::from(pixel);
    }
    Statistics { min, max, sum, sum_of_squares }
}

impl Statistics {
    fn and(self, other: Statistics) -> Statistics {
        Statistics {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
            sum_of_squares: self.sum_of_squares + other.sum_of_squares,
        }
    }
}

fn pixels(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]]))
}

/// What both sides of a projection are checked by, on all threads.
pub(crate) fn sum(pixels: &[u16]) -> u64 {
    pixels.par_chunks(BLOCK).map(|part| part.iter().map(|&p| u64::from(p)).sum::<u64>()).sum()
}
