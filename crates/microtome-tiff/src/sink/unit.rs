//! A tile being filled: pixels come in boxes, the encoded tile goes to its level's file.

use microtome_array::{
    ArrayError, ArraySpec, Axis, Buffer, BufferPool, Charge, ChunkIndex, PixelsMut, PixelsRef, Region, copy_region,
};
use microtome_io::{Receipt, UnitWriter, WriteError};

use super::level::TiffLevel;
use super::part::Encoded;
use crate::codec::Encoder;
use crate::pixels::horizontal;

/// A tile on its way.
pub(super) struct TiffUnit<'a> {
    level: &'a TiffLevel,
    pool: &'a BufferPool,
    unit: ChunkIndex,
    region: Region,
    /// The tile as it will be stored, with what lies beyond the plane.
    pixels: Buffer,
    tile: ArraySpec,
    missing: u64,
    /// What the codec works with, counted all the same.
    _work: Charge,
}

impl<'a> TiffUnit<'a> {
    pub(super) fn new(level: &'a TiffLevel, unit: ChunkIndex, pool: &'a BufferPool) -> Result<Self, ArrayError> {
        let spec = &level.spec;
        let region = spec.units.region(&unit).ok_or(ArrayError::OutOfBounds {
            axis: Axis::T,
            start: unit[Axis::T],
            end: unit[Axis::T] + 1,
            extent: spec.units.counts()[Axis::T],
        })?;
        let tile = ArraySpec { shape: level.tile, dtype: spec.array.dtype };
        let mut pixels = pool.take(tile.bytes() as usize);
        if region.shape() != tile.shape {
            pixels.bytes_mut().fill(0);
        }
        let (missing, work) = (region.shape().pixels(), pool.charge(level.encoder.work_bytes()));
        Ok(TiffUnit { level, pool, unit, region, pixels, tile, missing, _work: work })
    }

    fn put(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), ArrayError> {
        let spec = self.level.spec.array;
        if pixels.dtype() != spec.dtype {
            return Err(ArrayError::PixelType { expected: spec.dtype, found: pixels.dtype() });
        }
        if pixels.shape() != region.shape() {
            let (expected, found) = (region.shape().bytes(spec.dtype), pixels.spec().bytes());
            return Err(ArrayError::Length { expected, found });
        }
        for axis in Axis::ALL {
            if region.start(axis) < self.region.start(axis) || region.end(axis) > self.region.end(axis) {
                let (start, end, extent) = (region.start(axis), region.end(axis), self.region.end(axis));
                return Err(ArrayError::OutOfBounds { axis, start, end, extent });
            }
        }
        let mut out = PixelsMut::new(self.tile, self.pixels.bytes_mut())?;
        copy_region(pixels, &region.origin(), &mut out, &self.region.origin(), region)
    }
}

impl UnitWriter for TiffUnit<'_> {
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError> {
        self.put(region, pixels).map_err(|source| WriteError::Array { path: self.level.path(), source })?;
        let left = self.missing.checked_sub(region.shape().pixels());
        let twice = || "it gets pixels twice: its boxes must cover it once, without overlap";
        self.missing = left.ok_or_else(|| self.level.refused(&self.region, twice()))?;
        Ok(())
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        let TiffUnit { level, pool, unit, region, mut pixels, tile, missing, _work } = *self;
        if missing > 0 {
            return Err(level.refused(&region, "it never gets all of its pixels"));
        }
        if level.tags.predictor == 2 {
            let samples = tile.shape.get(Axis::S) as usize;
            let row = tile.shape.get(Axis::X) as usize * samples * tile.dtype.size();
            horizontal(pixels.bytes_mut(), row, samples, tile.dtype.size());
        }
        let bytes = if level.encoder.is_none() {
            pixels
        } else {
            let mut encoded = pool.take(level.encoder.most_encoded(tile.bytes()) as usize);
            let found = level.encoder.encode(pixels.bytes(), encoded.bytes_mut());
            drop(pixels);
            encoded.truncate(found.map_err(|why| level.refused(&region, &why))?);
            encoded
        };
        let tile = Encoded { tile: level.spec.units.linear(&unit), bytes: bytes.bytes(), whole };
        let placed = level.put(tile, &|len| pool.take(len))?;
        Ok(placed.iter().map(|placed| level.receipt(placed)).collect())
    }
}

/// Most bytes that a tile takes while it is written: its pixels, then its encoded bytes beside them, then beside those of
/// tiles that waited for it, one after the other.
pub(super) fn scratch_bytes(encoder: &Encoder, decoded: u64) -> u64 {
    let most = BufferPool::charged(encoder.most_encoded(decoded)).max(BufferPool::charged(decoded));
    2 * most + encoder.work_bytes()
}
