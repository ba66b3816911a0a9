//! How much memory a write unit takes while pixels come to it in boxes of some shape.
//!
//! *Invariant:* a true upper bound (a test measures the pool), found from shapes alone.

use microtome_array::{Axis, BufferPool, PerAxis, Shape};

use super::file::BUFFER;
use crate::codec::Codec;
use crate::layout::Layout;

/// Bytes of bookkeeping for each chunk of a unit: its index entry, the encoded index, its places in two maps.
const PER_PART: u64 = 16 + 16 + 128;

/// The most bytes a unit takes beside the boxes themselves.
pub(super) fn bytes(layout: &Layout, codec: Option<&dyn Codec>, box_shape: &Shape) -> u64 {
    let plain = layout.chunk.bytes(layout.array.dtype);
    let chunk = BufferPool::charged(plain);
    let encoded = BufferPool::charged(codec.map_or(plain, |c| c.most_encoded(plain)));
    let reach = Reach::new(layout, box_shape);
    let output = codec.map_or(0, |_| encoded);
    chunk + output + reach.open() * chunk + reach.held() * encoded + own_bytes(layout, codec)
}

/// Bytes that a unit takes outside the pool, as long as it is written: what its codec works with, its index, its file's
/// buffer.
pub(super) fn own_bytes(layout: &Layout, codec: Option<&dyn Codec>) -> u64 {
    let work = codec.map_or(0, |c| c.work_bytes(layout.chunk.bytes(layout.array.dtype)));
    let parts = layout.parts().0.iter().product::<u64>();
    work + parts * PER_PART + BUFFER as u64
}

/// How boxes and stored chunks meet inside a unit.
struct Reach {
    /// Chunks of the unit along each axis.
    parts: PerAxis<u64>,
    /// The most chunks that one box touches along each axis.
    touched: PerAxis<u64>,
    /// Whether a box never ends inside a chunk along each axis.
    aligned: PerAxis<bool>,
}

impl Reach {
    fn new(layout: &Layout, box_shape: &Shape) -> Reach {
        let unit = PerAxis::from_fn(|a| layout.unit().get(a).min(layout.array.shape.get(a)));
        let parts = PerAxis::from_fn(|a| unit[a].div_ceil(layout.chunk.get(a)).max(1));
        let extent = PerAxis::from_fn(|a| (box_shape.get(a).max(1), layout.chunk.get(a)));
        let whole = |a: Axis| a == Axis::S || box_shape.get(a) >= unit[a];
        let aligned = PerAxis::from_fn(|a| whole(a) || extent[a].0 % extent[a].1 == 0);
        let touched = PerAxis::from_fn(|a| {
            let (of_box, of_chunk) = extent[a];
            match () {
                () if whole(a) => parts[a],
                () if of_chunk % of_box == 0 => 1, // boxes lie inside chunks
                () => (of_box.div_ceil(of_chunk) + u64::from(!aligned[a])).min(parts[a]),
            }
        });
        Reach { parts, touched, aligned }
    }

    fn all(&self) -> u64 {
        self.parts.0.iter().product()
    }

    /// Chunks that have some of their pixels at once. Where boxes end inside chunks along an axis, all chunks along the
    /// faster axes are begun before the first of them is whole.
    fn open(&self) -> u64 {
        let Some(cut) = Axis::ALL.into_iter().find(|&a| !self.aligned[a]) else { return 0 };
        let along = |a: Axis| if a <= cut { self.touched[a] } else { self.parts[a] };
        Axis::ALL.into_iter().map(along).product::<u64>().min(self.all())
    }

    /// Chunks that are whole before their turn: none where boxes hold chunks one after another in C order.
    fn held(&self) -> u64 {
        let spread = Axis::ALL.into_iter().find(|&a| self.touched[a] > 1);
        let in_order = spread.is_none_or(|first| {
            Axis::ALL.into_iter().filter(|&a| a > first).all(|a| self.touched[a] == self.parts[a] && self.aligned[a])
        });
        if in_order { 0 } else { self.all() }
    }
}
