//! Shapes in few words.

use microtome::{Axis, ChunkDims, ChunkGrid, Shape};

/// All axes with their letters: `T 2 · C 3 · Z 8 · Y 160 · X 192`.
pub(super) fn lettered(shape: &Shape) -> String {
    let axes = Axis::ALL.iter().zip(shape.present());
    axes.map(|(axis, extent)| format!("{axis} {extent}")).collect::<Vec<_>>().join(" · ")
}

/// Extents without the leading ones, at least Y × X: `160 × 192`.
pub(super) fn trailing(shape: &Shape) -> String {
    let present = shape.present();
    let first = present.iter().take(Axis::Y.index()).position(|&n| n != 1).unwrap_or(Axis::Y.index());
    present[first..].iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}

/// Chunks by the names of their axes: as they were asked for, or the axes along which a chunk holds several pixels.
pub(crate) fn chunk_axes(dims: &ChunkDims, grid: &ChunkGrid) -> String {
    let chunk = grid.chunk();
    let several = |&axis: &Axis| matches!(axis, Axis::Y | Axis::X) || chunk.get(axis) > 1;
    match dims {
        ChunkDims::Axes(_) => dims.to_string(),
        ChunkDims::Shape(_) | ChunkDims::Bytes(_) => Axis::ALL.into_iter().filter(several).map(Axis::letter).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome::{ArraySpec, PixelType};

    fn shape(extents: [u64; 6]) -> Shape {
        Shape::new(extents).unwrap()
    }

    #[test]
    fn leading_ones_are_left_out() {
        assert_eq!(trailing(&shape([1, 1, 1, 160, 192, 1])), "160 × 192");
        assert_eq!(trailing(&shape([1, 3, 1, 160, 192, 1])), "3 × 1 × 160 × 192");
        assert_eq!(trailing(&shape([1, 1, 1, 1, 1, 3])), "1 × 1 × 3");
        assert_eq!(lettered(&shape([2, 3, 8, 160, 192, 1])), "T 2 · C 3 · Z 8 · Y 160 · X 192");
    }

    #[test]
    fn a_chunk_is_named_by_its_axes() {
        let whole = shape([2, 3, 1, 160, 192, 1]);
        let of = |dims: &ChunkDims| {
            let spec = ArraySpec { shape: whole, dtype: PixelType::U8 };
            chunk_axes(dims, &dims.grid(&spec).unwrap())
        };
        assert_eq!(of(&ChunkDims::parse("ZYX").unwrap()), "ZYX");
        assert_eq!(of(&ChunkDims::Shape(shape([1, 3, 1, 16, 16, 1]))), "CYX");
        assert_eq!(of(&ChunkDims::Bytes(1)), "YX");
    }
}
