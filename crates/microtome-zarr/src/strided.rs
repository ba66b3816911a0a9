//! Moving a box of pixels between two layouts, each given by one stride a canonical axis.
//!
//! A file may keep its axes in any order; a permutation of axes is only another set of strides, so reading and writing
//! share this one copy.
//!
//! *Invariant:* offsets and strides are in bytes; the caller has checked that both ends hold the box, and a box that
//! does not fit panics on a slice bound rather than touching other memory.

use microtome_array::{Axis, PerAxis};

/// Edge of the square in which an axis swap is done: both sides stay in the first-level cache.
const BLOCK: usize = 32;

/// A box of pixels and where it lies in both layouts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Extents of the box in pixels.
    pub(crate) counts: PerAxis<usize>,
    /// Stride of each axis in the source.
    pub(crate) from: PerAxis<usize>,
    /// Stride of each axis in the target.
    pub(crate) to: PerAxis<usize>,
    /// Offset of the first pixel in the source.
    pub(crate) from_at: usize,
    /// Offset of the first pixel in the target.
    pub(crate) to_at: usize,
    /// Size of a pixel.
    pub(crate) element: usize,
}

/// Strides of a contiguous C-order array, T C Z Y X S.
pub(crate) fn c_strides(extents: &PerAxis<usize>, element: usize) -> PerAxis<usize> {
    let mut step = element;
    let mut strides = PerAxis::splat(0);
    for axis in Axis::ALL.into_iter().rev() {
        strides[axis] = step;
        step *= extents[axis];
    }
    strides
}

/// The byte offset of a position under some strides.
pub(crate) fn offset(position: &PerAxis<usize>, strides: &PerAxis<usize>) -> usize {
    Axis::ALL.iter().map(|&a| position[a] * strides[a]).sum()
}

/// One axis of a walk: how often, and how far on each side.
#[derive(Clone, Copy)]
struct Loop {
    count: usize,
    from: usize,
    to: usize,
}

impl Block {
    /// Bytes of the box.
    pub(crate) fn bytes(&self) -> usize {
        self.counts.0.iter().product::<usize>() * self.element
    }

    /// Whether the box is one run of bytes, in the same order, on both sides.
    pub(crate) fn is_one_run(&self) -> bool {
        let (loops, run) = self.walk();
        loops.is_empty() && run == self.bytes()
    }

    /// Copies the box.
    pub(crate) fn copy(&self, source: &[u8], target: &mut [u8]) {
        if self.bytes() == 0 {
            return;
        }
        let (loops, run) = self.walk();
        match (run == self.element, split_swap(&loops, self.element)) {
            (true, Some((outer, swap))) => each(&outer, |from, to| {
                swap_axes(&swap, self.element, &source[self.from_at + from..], &mut target[self.to_at + to..]);
            }),
            _ => each(&loops, |from, to| {
                let (from, to) = (self.from_at + from, self.to_at + to);
                target[to..to + run].copy_from_slice(&source[from..from + run]);
            }),
        }
    }

    /// Writes one value to every pixel of the box in the target.
    pub(crate) fn fill(&self, value: &[u8], target: &mut [u8]) {
        if self.bytes() == 0 {
            return;
        }
        let onto_itself = Block { from: self.to, from_at: self.to_at, ..*self };
        let (loops, run) = onto_itself.walk();
        each(&loops, |_, to| fill_run(value, &mut target[self.to_at + to..self.to_at + to + run]));
    }

    /// The loops that remain, slowest first, when the fast axes that lie alike on both sides are taken as one run.
    fn walk(&self) -> (Vec<Loop>, usize) {
        let mut run = self.element;
        let mut loops = Vec::with_capacity(Axis::ALL.len());
        for axis in Axis::ALL.into_iter().rev().filter(|&a| self.counts[a] != 1) {
            let step = Loop { count: self.counts[axis], from: self.from[axis], to: self.to[axis] };
            if loops.is_empty() && step.from == run && step.to == run {
                run *= step.count;
            } else {
                loops.push(step);
            }
        }
        loops.reverse();
        (loops, run)
    }
}

/// Takes out the pair of loops of which one is contiguous in the source and the other, the last, in the target.
fn split_swap(loops: &[Loop], element: usize) -> Option<(Vec<Loop>, [Loop; 2])> {
    let (last, rest) = loops.split_last()?;
    let other = rest.iter().position(|l| l.from == element)?;
    let mut outer = rest.to_vec();
    let along_source = outer.remove(other);
    Some((outer, [along_source, *last]))
}

/// Calls `f` with the source and target offsets of every step of the loops.
fn each(loops: &[Loop], mut f: impl FnMut(usize, usize)) {
    fn go(loops: &[Loop], from: usize, to: usize, f: &mut dyn FnMut(usize, usize)) {
        let Some((first, rest)) = loops.split_first() else { return f(from, to) };
        for i in 0..first.count {
            go(rest, from + i * first.from, to + i * first.to, f);
        }
    }
    go(loops, 0, 0, &mut f);
}

fn swap_axes(swap: &[Loop; 2], element: usize, source: &[u8], target: &mut [u8]) {
    match element {
        1 => swap_blocks::<1>(swap, source, target),
        2 => swap_blocks::<2>(swap, source, target),
        4 => swap_blocks::<4>(swap, source, target),
        8 => swap_blocks::<8>(swap, source, target),
        _ => swap_blocks::<16>(swap, source, target),
    }
}

/// Copies a two-dimensional box whose fast axis differs, square by square.
fn swap_blocks<const N: usize>([slow, fast]: &[Loop; 2], source: &[u8], target: &mut [u8]) {
    for i0 in (0..slow.count).step_by(BLOCK) {
        for j0 in (0..fast.count).step_by(BLOCK) {
            for i in i0..slow.count.min(i0 + BLOCK) {
                for j in j0..fast.count.min(j0 + BLOCK) {
                    let (from, to) = (i * slow.from + j * fast.from, i * slow.to + j * fast.to);
                    let mut value = [0; N];
                    value.copy_from_slice(&source[from..from + N]);
                    target[to..to + N].copy_from_slice(&value);
                }
            }
        }
    }
}

fn fill_run(value: &[u8], target: &mut [u8]) {
    if value.iter().all(|&b| b == value[0]) {
        target.fill(value[0]);
    } else {
        target.chunks_exact_mut(value.len()).for_each(|pixel| pixel.copy_from_slice(value));
    }
}

/// Reverses the bytes of each component: big-endian pixels become little-endian ones, and back.
pub(crate) fn swap_bytes(bytes: &mut [u8], component: usize) {
    match component {
        2 => bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse),
        4 => bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse),
        8 => bytes.chunks_exact_mut(8).for_each(<[u8]>::reverse),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Strides of a contiguous array whose axes lie in memory in another order (slowest first).
    fn strides_in_order(extents: &PerAxis<usize>, order: &[Axis], element: usize) -> PerAxis<usize> {
        let mut step = element;
        let mut strides = PerAxis::splat(0);
        for &axis in order.iter().rev() {
            strides[axis] = step;
            step *= extents[axis];
        }
        strides
    }

    proptest! {
        #[test]
        fn any_order_of_axes_agrees_with_a_loop_over_pixels(
            extents in proptest::array::uniform6(1usize..5),
            order in Just(Axis::ALL.to_vec()).prop_shuffle(),
            element in prop::sample::select(vec![1usize, 2, 4, 8, 16]),
            first in proptest::array::uniform6(0usize..5),
        ) {
            let whole = PerAxis(extents);
            let first = PerAxis::from_fn(|a| first[a.index()].min(whole[a] - 1));
            let counts = PerAxis::from_fn(|a| whole[a] - first[a]);
            let from = strides_in_order(&whole, &order, element);
            let to = c_strides(&counts, element);
            let bytes = extents.iter().product::<usize>() * element;
            let source: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
            let block = Block { counts, from, to, from_at: offset(&first, &from), to_at: 0, element };
            let mut target = vec![0; block.bytes()];
            block.copy(&source, &mut target);
            let mut expected = Vec::new();
            let boxes = microtome_array::IndexBox { start: PerAxis::splat(0), end: PerAxis(counts.0.map(|n| n as u64)) };
            for index in boxes.iter() {
                let at = offset(&PerAxis::from_fn(|a| first[a] + index[a] as usize), &from);
                expected.extend_from_slice(&source[at..at + element]);
            }
            prop_assert_eq!(target, expected);
        }
    }

    #[test]
    fn a_fill_touches_its_box_only() {
        let extents = PerAxis([1, 1, 1, 3, 4, 1]);
        let strides = c_strides(&extents, 2);
        let counts = PerAxis([1, 1, 1, 2, 2, 1]);
        let at = offset(&PerAxis([0, 0, 0, 1, 1, 0]), &strides);
        let mut target = vec![0; 24];
        Block { counts, from: strides, to: strides, from_at: 0, to_at: at, element: 2 }.fill(&[1, 2], &mut target);
        assert_eq!(target, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 0, 0, 0, 0, 1, 2, 1, 2, 0, 0]);
    }

    #[test]
    fn a_large_plane_with_swapped_axes_is_transposed() {
        let counts = PerAxis([1, 1, 1, 70, 45, 1]);
        let block = Block {
            counts,
            from: PerAxis([0, 0, 0, 2, 140, 0]),
            to: c_strides(&counts, 2),
            from_at: 0,
            to_at: 0,
            element: 2,
        };
        let source: Vec<u8> = (0..70 * 45_u16).flat_map(u16::to_le_bytes).collect();
        let mut target = vec![0; source.len()];
        block.copy(&source, &mut target);
        let pixel = |y: usize, x: usize| u16::from_le_bytes([target[2 * (y * 45 + x)], target[2 * (y * 45 + x) + 1]]);
        assert_eq!((pixel(0, 1), pixel(1, 0), pixel(69, 44)), (70, 1, 44 * 70 + 69));
    }
}
