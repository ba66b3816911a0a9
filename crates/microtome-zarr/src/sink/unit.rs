//! A write unit being filled: pixels come in boxes, stored chunks leave in C order.
//!
//! *Invariant:* the bytes of a unit's file do not depend on the boxes in which its pixels came. A stored chunk is encoded
//! as soon as its last pixel is there; one that is ready before its turn is held, encoded, until the ones before it are
//! written. A chunk that is all fill value is not stored, and a unit of such chunks has no file.

use std::collections::BTreeMap;

use microtome_array::{
    ArrayError, Axis, Buffer, BufferPool, Charge, ChunkGrid, ChunkIndex, IndexBox, PerAxis, PixelsRef, Region,
};
use microtome_io::{Receipt, UnitWriter, WriteError};

use super::file::UnitFile;
use super::level::ZarrLevel;
use super::scratch;
use crate::codec::{Damage, Lease};
use crate::strided::{Block, c_strides, offset};

/// A stored chunk that has some of its pixels.
struct Open {
    buffer: Buffer,
    missing: u64,
}

/// What became of a stored chunk whose turn has not come.
enum Ready {
    Empty,
    Encoded(Buffer),
}

/// A write unit on its way to its file.
pub(super) struct ZarrUnit<'a> {
    sink: &'a ZarrLevel,
    pool: &'a BufferPool,
    tools: Lease<'a>,
    /// What is not taken from the pool, counted all the same.
    _own: Charge,
    unit: ChunkIndex,
    region: Region,
    grid: ChunkGrid,
    /// The stored chunks of this unit that hold pixels, as positions in the whole array.
    mine: IndexBox,
    open: BTreeMap<u64, Open>,
    ready: BTreeMap<u64, Ready>,
    /// Chunks written or found empty so far, in C order: the next one's turn.
    turn: u64,
    scratch: Option<Buffer>,
    encoded: Option<Buffer>,
    /// Offset and length of each chunk of the shard.
    index: Vec<[u64; 2]>,
    file: UnitFile,
}

impl<'a> ZarrUnit<'a> {
    pub(super) fn new(
        sink: &'a ZarrLevel,
        unit: ChunkIndex,
        file: UnitFile,
        pool: &'a BufferPool,
    ) -> Result<Self, ArrayError> {
        let layout = &sink.layout;
        let region = sink.spec.units.region(&unit).ok_or(ArrayError::OutOfBounds {
            axis: Axis::T,
            start: unit[Axis::T],
            end: unit[Axis::T] + 1,
            extent: sink.spec.units.counts()[Axis::T],
        })?;
        let grid = ChunkGrid::new(layout.array.shape, layout.chunk)?;
        let parts = layout.parts().0.iter().product::<u64>() as usize;
        Ok(ZarrUnit {
            sink,
            pool,
            tools: sink.shelf.take(),
            _own: pool.charge(scratch::own_bytes(layout, sink.codec.as_deref())),
            unit,
            region,
            grid,
            mine: grid.covering(&region),
            open: BTreeMap::new(),
            ready: BTreeMap::new(),
            turn: 0,
            scratch: None,
            encoded: None,
            index: vec![[u64::MAX; 2]; parts],
            file,
        })
    }

    fn check(&self, region: &Region, pixels: &PixelsRef<'_>) -> Result<(), ArrayError> {
        let (spec, found) = (self.sink.spec.array, pixels.spec());
        if found.dtype != spec.dtype {
            return Err(ArrayError::PixelType { expected: spec.dtype, found: found.dtype });
        }
        if found.shape != region.shape() {
            return Err(ArrayError::Length { expected: region.shape().bytes(spec.dtype), found: found.bytes() });
        }
        for axis in Axis::ALL {
            if region.start(axis) < self.region.start(axis) || region.end(axis) > self.region.end(axis) {
                let (start, end, extent) = (region.start(axis), region.end(axis), self.region.end(axis));
                return Err(ArrayError::OutOfBounds { axis, start, end, extent });
            }
        }
        Ok(())
    }

    /// Position in C order among the chunks of this unit.
    fn position(&self, chunk: &ChunkIndex) -> u64 {
        let lens = self.mine.lens();
        Axis::ALL.iter().fold(0, |n, &a| n * lens[a] + (chunk[a] - self.mine.start[a]))
    }

    /// The part of a box of pixels that lies in a chunk, as a copy from the box to the chunk.
    fn block(&self, region: &Region, piece: &Region, chunk: &Region) -> Block {
        let element = self.sink.spec.array.dtype.size();
        let from = c_strides(&PerAxis(region.shape().dims()), element);
        let to = self.sink.layout.chunk_strides();
        let apart = |at: &Region| PerAxis::from_fn(|a| (piece.start(a) - at.start(a)) as usize);
        Block {
            counts: PerAxis(piece.shape().dims()),
            from_at: offset(&apart(region), &from),
            to_at: offset(&apart(chunk), &to),
            from,
            to,
            element,
        }
    }

    fn piece(&mut self, index: &ChunkIndex, region: &Region, pixels: &PixelsRef<'_>) -> Result<(), WriteError> {
        let Some(chunk) = self.grid.region(index) else { return Ok(()) };
        let piece = chunk.intersect(region);
        let block = self.block(region, &piece, &chunk);
        let position = self.position(index);
        if position < self.turn || self.ready.contains_key(&position) {
            return Err(self.misuse("gets pixels twice"));
        }
        if piece == chunk && !self.open.contains_key(&position) {
            return self.whole_chunk(position, &block, pixels.bytes());
        }
        let mut open = match self.open.remove(&position) {
            Some(open) => open,
            None => Open { buffer: self.blank(&chunk), missing: chunk.shape().pixels() },
        };
        block.copy(pixels.bytes(), open.buffer.bytes_mut());
        match open.missing.checked_sub(piece.shape().pixels()) {
            None => Err(self.misuse("gets pixels twice")),
            Some(0) => self.encode(position, open.buffer.bytes()),
            Some(missing) => {
                self.open.insert(position, Open { missing, ..open });
                Ok(())
            }
        }
    }

    /// A buffer for a chunk; where the array ends inside the chunk, the rest is fill value.
    fn blank(&self, chunk: &Region) -> Buffer {
        let mut buffer = self.pool.take(self.sink.layout.chunk_bytes());
        if chunk.shape() != self.sink.layout.chunk {
            buffer.bytes_mut().fill(0);
        }
        buffer
    }

    /// Encodes a chunk whose pixels are all in one box: straight from it, if they lie there as they are stored.
    fn whole_chunk(&mut self, position: u64, block: &Block, source: &[u8]) -> Result<(), WriteError> {
        let bytes = self.sink.layout.chunk_bytes();
        if block.bytes() == bytes && block.is_one_run() {
            return self.encode(position, &source[block.from_at..block.from_at + bytes]);
        }
        let mut scratch = self.scratch.take().unwrap_or_else(|| self.pool.take(bytes));
        if block.bytes() != bytes {
            scratch.bytes_mut().fill(0);
        }
        block.copy(source, scratch.bytes_mut());
        let done = self.encode(position, scratch.bytes());
        self.scratch = Some(scratch);
        done
    }

    fn encode(&mut self, position: u64, chunk: &[u8]) -> Result<(), WriteError> {
        if all_zero(chunk) {
            return self.arrived(position, None);
        }
        let Some(codec) = &self.sink.codec else { return self.arrived(position, Some(chunk)) };
        let most = codec.most_encoded(chunk.len() as u64) as usize;
        let mut encoded = self.encoded.take().unwrap_or_else(|| self.pool.take(most));
        let len = codec.encode(chunk, encoded.bytes_mut(), self.tools.tools());
        let len = len.map_err(|e| self.refused(position, &e))?;
        let done = self.arrived(position, Some(&encoded.bytes()[..len]));
        self.encoded = Some(encoded);
        done
    }

    /// Writes a finished chunk and those that waited for it, or holds it until its turn.
    fn arrived(&mut self, position: u64, stored: Option<&[u8]>) -> Result<(), WriteError> {
        if position != self.turn {
            let held = stored.map_or(Ready::Empty, |bytes| {
                let mut buffer = self.pool.take(bytes.len());
                buffer.bytes_mut().copy_from_slice(bytes);
                Ready::Encoded(buffer)
            });
            self.ready.insert(position, held);
            return Ok(());
        }
        self.append(stored)?;
        while let Some(next) = self.ready.remove(&self.turn) {
            match next {
                Ready::Empty => self.append(None)?,
                Ready::Encoded(buffer) => self.append(Some(buffer.bytes()))?,
            }
        }
        Ok(())
    }

    /// Writes the chunk whose turn it is.
    fn append(&mut self, stored: Option<&[u8]>) -> Result<(), WriteError> {
        if let Some(bytes) = stored {
            let chunk = self.mine.nth(self.turn);
            let parts = self.sink.layout.parts();
            let slot = Axis::ALL.iter().fold(0, |n, &a| n * parts[a] + (chunk[a] - self.mine.start[a]));
            self.index[slot as usize] = [self.file.len(), bytes.len() as u64];
            self.file.append(bytes)?;
        }
        self.turn += 1;
        Ok(())
    }

    /// The index behind the chunks of a shard.
    fn append_index(&mut self) -> Result<(), WriteError> {
        let mut bytes: Vec<u8> = self.index.iter().flatten().flat_map(|n| n.to_le_bytes()).collect();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        self.file.append(&bytes)
    }

    fn misuse(&self, what: &str) -> WriteError {
        let what = format!("unit {} {what}", self.region);
        let why = "its boxes of pixels must cover it once, without overlap".to_owned();
        WriteError::Encode { path: self.file.path().to_owned(), what, why }
    }

    fn refused(&self, position: u64, why: &Damage) -> WriteError {
        let region = self.grid.region(&self.mine.nth(position)).unwrap_or(self.region);
        let path = self.file.path().to_owned();
        WriteError::Encode { path, what: format!("chunk {region}"), why: why.to_string() }
    }
}

impl UnitWriter for ZarrUnit<'_> {
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError> {
        let path = || self.file.path().to_owned();
        self.check(region, &pixels).map_err(|source| WriteError::Array { path: path(), source })?;
        self.grid.covering(region).iter().try_for_each(|index| self.piece(&index, region, &pixels))
    }

    fn finish(mut self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        if self.turn != self.mine.count() {
            return Err(self.misuse("never gets all of its pixels"));
        }
        if self.sink.layout.shard.is_some() && self.file.len() > 0 {
            self.append_index()?;
        }
        let (unit, pixel_bytes) = (self.unit, self.region.shape().bytes(self.sink.spec.array.dtype));
        let (file, stored_bytes, crc32c) = self.file.end()?;
        if let Some(file) = file {
            self.sink.building.keep(self.sink.number, unit, file);
        }
        Ok(vec![Receipt { unit, pixel_bytes, stored_bytes, crc32c, whole }])
    }
}

/// Whether every byte is 0. Looks at a block at a time, so that it is as fast as memory.
fn all_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|block| block.iter().fold(0, |seen, byte| seen | byte) == 0)
}
