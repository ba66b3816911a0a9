//! One level of an output: an array in tiles.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use microtome_array::{ArraySpec, Axis, ChunkGrid, ChunkIndex, Region, Shape};
use microtome_io::{Receipt, Sink, SinkSpec, UnitWriter, WriteContext, WriteError};

use super::part::{Encoded, Part, Placed, Take};
use super::spill::Spill;
use super::unit::{TiffUnit, scratch_bytes};
use crate::codec::Encoder;
use crate::fetch;
use crate::page::{Layout, Tags};
use crate::{TiffCompression, TiffOptions};

/// Extents of a tile are multiples of this.
const STEP: u64 = 16;
/// Height and width of a tile that nobody asked for.
const DEFAULT_TILE: u64 = 512;
/// Most bytes in a tile: what every reader takes.
const MOST_TILE_BYTES: u64 = 1 << 30;
/// Most pixels along an axis of a plane: what readers keep in 31 bits.
const MOST_EXTENT: u64 = (1 << 31) - 1;

/// A level being written.
#[derive(Debug)]
pub(super) struct TiffLevel {
    pub(super) spec: SinkSpec,
    /// A tile as it is stored, also where the plane ends within it.
    pub(super) tile: Shape,
    /// The tags of its pages, as a reader keeps them.
    pub(super) tags: Tags,
    pub(super) encoder: Encoder,
    pub(super) part: Part,
    /// Where its tiles go in a process that has joined the output.
    spill: OnceLock<Spill>,
    read_scratch: u64,
    out: PathBuf,
}

impl TiffLevel {
    /// A level whose tiles begin at an offset of its file, or why there cannot be one.
    pub(super) fn new(out: &Path, array: ArraySpec, options: &TiffOptions, start: u64) -> Result<TiffLevel, String> {
        let [height, width] = tile_extents(&array, options.tile)?;
        let samples = array.shape.get(Axis::S);
        let tile = Shape::new([1, 1, 1, height, width, samples]).map_err(|e| e.to_string())?;
        let bytes = tile.bytes(array.dtype);
        if bytes > MOST_TILE_BYTES {
            return Err(format!("a tile of {height} × {width} pixels has {bytes} bytes, at most {MOST_TILE_BYTES}"));
        }
        let tags = tags(&array, [height, width], options.compression);
        let mut layout = Layout::new(&tags)?;
        let encoder = Encoder::new(options.compression);
        layout.most_encoded = encoder.most_encoded(bytes);
        let units = ChunkGrid::new(array.shape, tile).map_err(|e| e.to_string())?;
        Ok(TiffLevel {
            spec: SinkSpec { array, units, part: units.chunk() },
            part: Part::new(start, layout.most_encoded),
            spill: OnceLock::new(),
            read_scratch: fetch::scratch(&layout),
            out: out.to_owned(),
            encoder,
            tile,
            tags,
        })
    }

    /// Most bytes of all its tiles.
    pub(super) fn most_bytes(&self) -> u64 {
        let tile = self.encoder.most_encoded(self.tile.bytes(self.spec.array.dtype));
        tile.saturating_mul(self.spec.units.count())
    }

    /// Tiles along t, c, z, y, x.
    pub(super) fn tiles(&self) -> [u64; 5] {
        let [t, c, z, y, x, _] = self.spec.units.counts().0;
        [t, c, z, y, x]
    }

    /// Tiles of a plane.
    pub(super) fn tiles_of_plane(&self) -> u64 {
        let counts = self.spec.units.counts();
        counts[Axis::Y] * counts[Axis::X]
    }

    /// What errors name.
    pub(super) fn path(&self) -> PathBuf {
        self.part.path().unwrap_or(&self.out).to_owned()
    }

    pub(super) fn refused(&self, tile: &Region, why: &str) -> WriteError {
        WriteError::Encode { path: self.path(), what: format!("tile {tile}"), why: why.to_owned() }
    }

    /// Lets its tiles be appended by the process that has prepared the output.
    pub(super) fn join(&self, partial: &Path, number: usize) -> Result<(), WriteError> {
        let spill = Spill::join(partial, number)?;
        self.spill.get_or_init(|| spill);
        Ok(())
    }

    /// Whether it was joined.
    pub(super) fn is_joined(&self) -> bool {
        self.spill.get().is_some()
    }

    /// Takes a tile; gives those that are stored by it.
    pub(super) fn put(&self, tile: Encoded<'_>, take: Take<'_>) -> Result<Vec<Placed>, WriteError> {
        match self.spill.get() {
            Some(spill) => Ok(vec![spill.put(tile)?]),
            None => self.part.put(tile, take),
        }
    }

    /// The receipt of a tile that was stored.
    pub(super) fn receipt(&self, placed: &Placed) -> Receipt {
        let units = &self.spec.units;
        let unit = units.index(placed.tile);
        let pixel_bytes = units.region(&unit).map_or(0, |region| region.shape().bytes(self.spec.array.dtype));
        let (stored_bytes, crc32c) = (placed.stored.stored_bytes, placed.stored.crc32c);
        Receipt { unit, pixel_bytes, stored_bytes, crc32c, whole: placed.whole }
    }
}

/// Height and width of tiles: what was asked for or the default, no larger than the plane needs.
fn tile_extents(array: &ArraySpec, asked: Option<[u64; 2]>) -> Result<[u64; 2], String> {
    let asked = asked.unwrap_or([DEFAULT_TILE; 2]);
    let mut tile = [0; 2];
    for (n, axis) in [Axis::Y, Axis::X].into_iter().enumerate() {
        let (extent, whole) = (asked[n], array.shape.get(axis));
        if extent == 0 || !extent.is_multiple_of(STEP) {
            let (below, above) = ((extent / STEP).max(1) * STEP, (extent / STEP + 1) * STEP);
            return Err(format!(
                "a tile of {extent} along {axis} is no multiple of {STEP}, as TIFF wants it; give {below} or {above}"
            ));
        }
        if whole > MOST_EXTENT {
            return Err(format!("{whole} pixels along {axis}; readers of TIFF take at most {MOST_EXTENT}"));
        }
        tile[n] = extent.min(whole.next_multiple_of(STEP));
    }
    Ok(tile)
}

fn tags(array: &ArraySpec, [height, width]: [u64; 2], compression: TiffCompression) -> Tags {
    let dtype = array.dtype;
    let samples = array.shape.get(Axis::S);
    // Differences of floating point numbers (predictor 3) are unknown to Bio-Formats.
    let predicts = compression != TiffCompression::None && !dtype.is_float();
    let format = match () {
        () if dtype.is_unsigned_integer() => 1,
        () if dtype.is_signed_integer() => 2,
        () => 3,
    };
    Tags {
        width: array.shape.get(Axis::X),
        height: array.shape.get(Axis::Y),
        samples,
        bits: dtype.size() as u64 * 8,
        format,
        compression: u64::from(compression.code()),
        predictor: if predicts { 2 } else { 1 },
        photometric: if samples == 3 || samples == 4 { 2 } else { 1 },
        tile: (width, height),
        ..Tags::default()
    }
}

impl Sink for TiffLevel {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, _box_shape: &Shape) -> u64 {
        scratch_bytes(&self.encoder, self.tile.bytes(self.spec.array.dtype))
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.read_scratch
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        let made = TiffUnit::new(self, unit, context.pool);
        Ok(Box::new(made.map_err(|source| WriteError::Array { path: self.path(), source })?))
    }
}
