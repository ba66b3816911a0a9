//! Reading a source: tries again what may pass, and, where the user said so, goes on without what cannot be read.
//!
//! *Invariant:* a pixel that is not bad has been read; what was read well is kept, down to a stored tile.

use std::time::Duration;

use microtome_array::{
    ArraySpec, Axis, ChunkGrid, ChunkIndex, PerAxis, PixelType, Pixels, PixelsMut, Region, copy_region,
};
use microtome_graph::piece;
use microtome_io::{Place, ReadContext, ReadCount, ReadError, Reader};

use crate::error::RunError;
use crate::evaluate::Evaluator;
use crate::quarantine::{Cause, Flaw, Made};
use crate::trace;

/// How long to wait before each further try.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// Parts of a plane, one behind the other, that have one cause if they cannot be read.
const RUN: u64 = 256;

/// A source, and where its region lies in it.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) reader: &'a dyn Reader,
    pub(crate) at: Place,
    pub(crate) first: &'a PerAxis<u64>,
}

impl Origin<'_> {
    /// A flaw of what is stored, in the source's own coordinates.
    fn seen(&self, flaw: Flaw) -> Flaw {
        Flaw { region: flaw.region.relative_to(self.first), ..flaw }
    }
}

impl Evaluator<'_> {
    /// Reads a region of a source.
    pub(crate) fn source(
        &self,
        spec: ArraySpec,
        origin: Origin<'_>,
        region: &Region,
        read: &mut ReadCount,
    ) -> Result<Made, RunError> {
        let mut out = self.fresh(spec, region);
        let stored = region.shifted(origin.first);
        let _reading = trace::span("read", "read", self.told);
        match self.patiently(origin, &stored, &mut out.as_mut()) {
            Ok(count) => {
                *read += count;
                // A level that an earlier pass stored is as bad as it was then.
                let known = self.below.map_or_else(Vec::new, |array| self.quarantine.of_stored(array, &stored));
                Ok(Made { pixels: out, flaws: known.iter().map(|flaw| origin.seen(*flaw)).collect() })
            }
            // What this run stored itself must be there.
            Err(error) if self.below.is_none() && self.quarantine.takes_read(&error) => {
                self.salvage(origin, region, out, read)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what can be read of a region, plane by plane and tile by tile.
    fn salvage(
        &self,
        origin: Origin<'_>,
        region: &Region,
        mut out: Pixels,
        read: &mut ReadCount,
    ) -> Result<Made, RunError> {
        let (_, level) = origin.reader.level(origin.at)?;
        let stored = region.shifted(origin.first);
        let grid = ChunkGrid::new(level.shape, piece(&level.storage.granule)).map_err(|e| self.internal(e))?;
        let mut flaws = Vec::new();
        for index in grid.covering(&stored).iter() {
            let Some(part) = grid.region(&index) else { continue };
            match self.part(origin, &part, &stored, &mut out) {
                Ok(count) => *read += count,
                Err(RunError::Read(error)) if self.quarantine.takes_read(&error) => {
                    let cause = self.cause(origin, &grid, (&index, error), out.spec().dtype)?;
                    let region = part.intersect(&stored);
                    add(&mut flaws, origin.seen(Flaw { region, cause, is_lost: true }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Made::masked(out, region, flaws))
    }

    /// Why a part of a plane could not be read: what is wrong with the first bad part of the same run of parts, so that there
    /// are few causes, and the words do not depend on which part was asked for first.
    fn cause(
        &self,
        origin: Origin<'_>,
        grid: &ChunkGrid,
        (index, error): (&ChunkIndex, ReadError),
        dtype: PixelType,
    ) -> Result<Cause, RunError> {
        let plane = [Axis::Y, Axis::X, Axis::S].into_iter().fold(*index, |index, axis| index.with(axis, 0));
        let within = grid.linear(index) - grid.linear(&plane);
        let first = grid.linear(index) - within % RUN;
        let Some(run) = grid.region(&grid.index(first)) else { return Err(error.into()) };
        let path = &origin.reader.info().path;
        if let Some(cause) = self.quarantine.known(origin.at, path, &run) {
            return Ok(cause);
        }
        for part in (first..grid.linear(index)).filter_map(|part| grid.region(&grid.index(part))) {
            let mut pixels = Pixels::from_pool(ArraySpec { shape: part.shape(), dtype }, self.pool);
            match self.patiently(origin, &part, &mut pixels.as_mut()) {
                Ok(_) => {}
                Err(error) if self.quarantine.takes_read(&error) => {
                    return Ok(self.quarantine.unread(origin.at, path, &run, &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.quarantine.unread(origin.at, path, &run, &error))
    }

    /// Reads a part of a plane, and puts what lies in `stored` into its place in `out`. The part is read whole, so that what
    /// of it is bad does not depend on how much of it was asked for.
    fn part(
        &self,
        origin: Origin<'_>,
        part: &Region,
        stored: &Region,
        out: &mut Pixels,
    ) -> Result<ReadCount, RunError> {
        let spec = ArraySpec { shape: part.shape(), dtype: out.spec().dtype };
        let mut pixels = Pixels::from_pool(spec, self.pool);
        let count = self.patiently(origin, part, &mut pixels.as_mut())?;
        let wanted = part.intersect(stored);
        copy_region(pixels.as_ref(), &part.origin(), &mut out.as_mut(), &stored.origin(), &wanted)
            .map_err(|e| self.internal(e))?;
        Ok(count)
    }

    /// Reads, and tries again after a while what the system refused for the moment.
    fn patiently(&self, origin: Origin<'_>, stored: &Region, out: &mut PixelsMut<'_>) -> Result<ReadCount, ReadError> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match origin.reader.read(origin.at, stored, out, &ReadContext { pool: self.pool }) {
                Err(error) if may_pass(&error) => error,
                done => return done,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::warn!("{error}; trying again");
            std::thread::sleep(*pause);
        }
    }
}

/// Adds a flaw to others; to the last one, if both make a box that has one cause.
fn add(flaws: &mut Vec<Flaw>, flaw: Flaw) {
    if let Some(last) = flaws.last_mut() {
        let (old, new) = (last.region, flaw.region);
        let differs = |axis: &Axis| (old.start(*axis), old.end(*axis)) != (new.start(*axis), new.end(*axis));
        let mut axes = Axis::ALL.into_iter().filter(differs);
        if let (Some(axis), None, true) = (axes.next(), axes.next(), last.cause == flaw.cause)
            && old.end(axis) == new.start(axis)
        {
            last.region = old.with(axis, old.start(axis), new.end(axis));
            return;
        }
    }
    flaws.push(flaw);
}

/// Whether the same read may go well a little later: what network file systems and busy devices say.
fn may_pass(error: &ReadError) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 8] = [
        Errno::IO,
        Errno::AGAIN,
        Errno::BUSY,
        Errno::INTR,
        Errno::TIMEDOUT,
        Errno::STALE,
        Errno::CONNRESET,
        Errno::NETUNREACH,
    ];
    let ReadError::Os { source, .. } = error else { return false };
    Errno::from_io_error(source).is_some_and(|errno| PASSING.contains(&errno))
}
