//! An image without a file: every pixel is a function of its place. For benchmarks of the engine and for plans far
//! larger than a disk.

use microtome_array::{ArraySpec, Axis, ChunkGrid, PerAxis, PixelType, PixelsMut, Region, Shape, dispatch};

use crate::memory::memory_info;
use crate::{ImageInfo, Place, ReadContext, ReadCount, ReadError, Reader, SourceSpec};

/// An image whose pixel at (t, c, z, y, x, s) is the low bits of a mix of its C-order index.
#[derive(Debug)]
pub struct SyntheticReader {
    info: ImageInfo,
    spec: ArraySpec,
    fill: bool,
}

impl SyntheticReader {
    /// An image of shape and type. Complex types read as 0.
    pub fn new(spec: ArraySpec) -> SyntheticReader {
        SyntheticReader { info: memory_info(spec, "synthetic", "synthetic"), spec, fill: true }
    }

    /// As [`SyntheticReader::new`], but reading leaves the buffer as it is: for measuring everything but pixels.
    pub fn untouched(spec: ArraySpec) -> SyntheticReader {
        SyntheticReader { fill: false, ..SyntheticReader::new(spec) }
    }

    /// The same image as if it were stored in tiles of extents `tile`: reading counts whole tiles as decoded.
    #[must_use]
    pub fn tiled(mut self, tile: Shape) -> SyntheticReader {
        let storage = &mut self.info.scenes[0].levels[0].storage;
        storage.tile = tile.cut_to(&self.spec.shape);
        storage.granule = storage.tile;
        self
    }

    /// The value at a C-order index, before it is cut to the pixel type (the finaliser of `SplitMix64`).
    pub fn value(index: u64) -> u64 {
        let a = (index ^ (index >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }
}

impl Reader for SyntheticReader {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        let digest = format!("synthetic {:?} {} {}", self.spec.shape, self.spec.dtype, self.fill);
        SourceSpec { uri: None, stamp: None, digest }
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        _context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        self.level(at)?;
        region
            .check_inside(&self.spec.shape)
            .map_err(|source| ReadError::Array { path: self.info.path.clone(), source })?;
        if self.fill {
            fill(self.spec, region, out);
        }
        let tile = self.info.scenes[0].levels[0].storage.tile;
        let tiles = ChunkGrid::new(self.spec.shape, tile)
            .map_err(|source| ReadError::Array { path: self.info.path.clone(), source })?;
        let decoded = tiles.box_region(&tiles.covering(region)).shape().bytes(self.spec.dtype);
        Ok(ReadCount { fetched: region.shape().bytes(self.spec.dtype), decoded })
    }

    fn scratch_bytes(&self, _at: Place, _region: &Region) -> u64 {
        0
    }
}

fn fill(spec: ArraySpec, region: &Region, out: &mut PixelsMut<'_>) {
    let whole = spec.shape;
    let shape = region.shape();
    let rows = PerAxis::from_fn(|a| if matches!(a, Axis::X | Axis::S) { 1 } else { shape.get(a) });
    let row_len = (shape.get(Axis::X) * shape.get(Axis::S)) as usize;
    let boolean = spec.dtype == PixelType::Bool;
    let row_boxes = microtome_array::IndexBox { start: PerAxis::splat(0), end: rows };
    for (n, row) in row_boxes.iter().enumerate() {
        let first = Axis::ALL.iter().fold(0, |l, &a| l * whole.get(a) + region.start(a) + row[a]);
        dispatch!(spec.dtype, T => {
            let Ok(values) = out.slice_mut::<T>() else { return };
            for (i, value) in values[n * row_len..(n + 1) * row_len].iter_mut().enumerate() {
                let bits = SyntheticReader::value(first + i as u64);
                *value = from_bits::<T>(if boolean { bits & 1 } else { bits });
            }
        }, else { out.bytes().fill(0); return });
    }
}

/// The low bits of a number as an integer, or as a small whole number in a float.
fn from_bits<T: microtome_array::Pixel>(bits: u64) -> T {
    let mut value = T::default();
    let bytes = bytemuck_bytes(&mut value);
    match T::TYPE {
        PixelType::F16 => bytes.copy_from_slice(&((0x3c00 | (bits & 0x3ff)) as u16).to_ne_bytes()),
        PixelType::F32 => bytes.copy_from_slice(&((bits & 0xfff) as f32).to_ne_bytes()),
        PixelType::F64 => bytes.copy_from_slice(&((bits & 0xffff) as f64).to_ne_bytes()),
        _ => bytes.copy_from_slice(&bits.to_le_bytes()[..size_of::<T>()]),
    }
    value
}

fn bytemuck_bytes<T: microtome_array::Pixel>(value: &mut T) -> &mut [u8] {
    bytemuck::bytes_of_mut(value)
}
