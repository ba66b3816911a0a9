//! Whether pixels are stored for a while on the way, where, and in what shape.
//!
//! Where memory does not hold what is needed again (planes that become columns, a long filter), a plan can read it again
//! and again, or store it once in a shape that suits both sides: in *units* that are written in one go, of *parts* that are
//! read one by one. Which is cheaper is weighed by
//! the bytes that each thread reads raw, decodes and writes.
//!
//! *Invariant:* the choice follows from shapes and the budget alone, and changes no byte of the result.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_array::{Axis, ChunkDims, ChunkGrid, PerAxis, Shape, format_size};
use microtome_graph::{
    Estimate, Fusing, GraphError, LayerEstimate, LayerKind, LazyArray, Selection, Stage, StageOptions,
};
use microtome_io::{Output, Receipt, ScratchStore, Sink, SinkSpec};
use serde::Serialize;

use crate::error::RunError;
use crate::keeper::Record;
use crate::options::{Intermediates, RunOptions};
use crate::passes::{Pass, Pyramid, harder, nearer};

/// The number by which quarantine knows the intermediate array; no output has so many.
pub(crate) const NUMBER: usize = usize::MAX;
/// Bytes of a unit: as large as memory allows, so that parts are long.
const UNIT_BYTES: [u64; 7] = [64 << 20, 32 << 20, 16 << 20, 8 << 20, 4 << 20, 2 << 20, 1];
/// What a byte costs that is decoded, where reading one raw costs 1: about 0.7 GB/s a thread beside 3 GB/s.
const DECODED: u64 = 4;
/// What a byte costs that is written: disks take some hundred MB/s when the system's cache is full.
const WRITTEN: u64 = 8;
/// What reading a part costs beside its bytes, in bytes: a call of the system and a seek in memory.
const PART_COST: u64 = 16 << 10;

/// Pixels that are stored for a while between two passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Intermediate {
    /// The layer whose pixels are stored.
    pub layer: String,
    /// Bytes of them: what the disk must hold.
    pub bytes: u64,
    /// Extents of what is written in one go, and of what is read.
    pub unit: Shape,
    /// Extents of what is read in one go.
    pub part: Shape,
    /// Bytes that are moved this way: read from the sources, stored, read back.
    pub moved: u64,
    /// Bytes that would be read without it; `None` if the plan would not fit memory then.
    pub instead: Option<u64>,
    /// Which array of the chain.
    #[serde(skip)]
    position: usize,
}

impl Intermediate {
    /// What is stored, in what shape, and why, in words.
    pub(crate) fn why(&self) -> String {
        let (bytes, moved) = (format_size(self.bytes), format_size(self.moved));
        let instead = match self.instead {
            Some(bytes) => format!("read by region, again and again, {} would be decoded", format_size(bytes)),
            None => "without it not even one group would fit".to_owned(),
        };
        format!(
            "{bytes} of {} are stored for a while, beside the output: written in units of {}, read in parts of {}; {moved} \
             are moved this way; {instead}",
            self.layer, self.unit, self.part
        )
    }
}

/// A plan's first pass, what the next reads, and what both cost.
struct Candidate {
    pass: Pass,
    source: LazyArray,
    /// In bytes that each thread might as well read raw.
    cost: u64,
}

impl Pyramid<'_> {
    /// What comes before the pass of the full resolution, if anything, and what that pass reads: the array itself, or what is
    /// stored on the way to it.
    pub(crate) fn begin(&self, options: &RunOptions) -> Result<(Option<Pass>, LazyArray), GraphError> {
        let as_it_is = (None, self.array.clone());
        let refused = match self.pass(self.array, 0..1, options) {
            Err(error @ GraphError::Memory { .. })
                if self.fusing == Fusing::Full && options.intermediate != Intermediates::Never =>
            {
                error
            }
            _ => return Ok(as_it_is),
        };
        let again = Pyramid { fusing: Fusing::Reread, ..*self }.pass(self.array, 0..1, options);
        let again_cost = again.as_ref().ok().map(|pass| reading(&pass.stage) / pass.admission.slots);
        let instead = again.as_ref().ok().map(|pass| pass.estimate().bytes_read);
        let mut refused = match again {
            Ok(_) => refused,
            Err(error) => nearer(refused, error),
        };
        let mut best: Option<Candidate> = None;
        for candidate in self.candidates(options) {
            match candidate {
                Ok(found) if best.as_ref().is_none_or(|b| found.cost < b.cost) => best = Some(found),
                Ok(_) => {}
                Err(error) => refused = nearer(refused, error),
            }
        }
        let pays =
            |cost: u64| options.intermediate == Intermediates::Always || again_cost.is_none_or(|again| cost < again);
        match (best, instead) {
            (Some(Candidate { mut pass, source, cost, .. }), _) if pays(cost) => {
                if let Some(intermediate) = &mut pass.intermediate {
                    intermediate.instead = instead;
                }
                Ok((Some(pass), source))
            }
            (_, Some(_)) => Ok(as_it_is),
            (_, None) => Err(refused),
        }
    }

    /// Every array on the way to the full resolution, stored in units of some sizes.
    fn candidates(&self, options: &RunOptions) -> impl Iterator<Item = Result<Candidate, GraphError>> {
        let chain = self.array.chain();
        let spans = self.spans(&chain);
        let mut tried: Vec<(usize, SinkSpec)> = Vec::new();
        for (position, (array, span)) in chain.iter().zip(&spans).enumerate() {
            for bytes in UNIT_BYTES {
                let found = layout(array, span, bytes).map(|sink| (position, sink));
                tried.extend(found.filter(|found| !tried.contains(found)));
            }
        }
        tried.into_iter().map(move |(position, sink)| self.candidate(&chain, position, &sink, options))
    }

    /// How far apart neighbouring write units of the full resolution lie in each array of the chain.
    fn spans(&self, chain: &[LazyArray]) -> Vec<PerAxis<u64>> {
        let sink = Some(self.output.array(0).spec().clone());
        let stage = Stage::new(self.array, &StageOptions { sink, fusing: Fusing::Reread, group_units: 1 });
        let zero = PerAxis::splat(0);
        let ids = stage.ids().zip(chain);
        let span = |(id, array): (_, &LazyArray)| {
            let own = stage.needed_by(id, &zero);
            PerAxis::from_fn(|a| {
                let whole = array.shape().get(a);
                let Some(own) = own.filter(|_| stage.groups().counts()[a] > 1) else { return whole.max(1) };
                // A halo reaches as far into the next as that reaches back.
                let next = stage.needed_by(id, &zero.with(a, 1)).map_or(own.end(a), |next| next.start(a));
                (own.end(a) + next).div_ceil(2).clamp(1, whole.max(1))
            })
        };
        ids.map(span).collect()
    }

    fn candidate(
        &self,
        chain: &[LazyArray],
        position: usize,
        sink: &SinkSpec,
        options: &RunOptions,
    ) -> Result<Candidate, GraphError> {
        let array = &chain[position];
        let store = ScratchStore::new(sink.clone());
        let before = StageOptions { sink: Some(sink.clone()), ..StageOptions::default() };
        let stage = Stage::new(array, &before);
        let scratch = vec![Sink::scratch_bytes(&store, &stage.store_box(0))];
        let memory = options.group_memory(&stage, &scratch);
        let admission = stage.admit(&memory, options.threads.max(1) as u64, options.memory, 0);
        let source = self.read_back(chain, position, Arc::new(store))?;
        let (admission, next) = match (admission, self.alone(&source, 0, options)) {
            (Ok(admission), Ok(next)) => (admission, next),
            // Both passes must fit.
            (Err(one), Err(other)) => return Err(harder(one, other)),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        let (bytes, read, back) =
            (array.spec().bytes(), Estimate::of(&stage).bytes_read, Estimate::of(&next.stage).bytes_read);
        let parts = back / sink.part.bytes(array.dtype()).max(1);
        let stored = (reading(&stage) + bytes * WRITTEN) / admission.slots;
        let cost = stored + (back + parts * PART_COST) / next.admission.slots;
        let intermediate = Intermediate {
            layer: stage.get(stage.top()).inputs.first().map_or("", |&id| stage.get(id).layer.name()).to_owned(),
            bytes,
            unit: sink.units.chunk(),
            part: sink.part,
            moved: read + bytes + back,
            instead: None,
            position,
        };
        let pass = Pass {
            levels: 0..0,
            fusing: Fusing::Full,
            stage,
            admission,
            sink_scratch: scratch,
            limit: None,
            intermediate: Some(intermediate),
        };
        Ok(Candidate { pass, source, cost })
    }

    /// The array made from what is stored of one of its chain.
    fn read_back(
        &self,
        chain: &[LazyArray],
        position: usize,
        store: Arc<ScratchStore>,
    ) -> Result<LazyArray, GraphError> {
        let dims = ChunkDims::Shape(Sink::spec(store.as_ref()).part);
        let pixels = LazyArray::source(store, &Selection::default(), &dims)?;
        self.array.made_from(&chain[position], &pixels)
    }

    /// A store for a pass that stores pixels on the way, in a file in `folder`; and the array made from it.
    pub(crate) fn opened(
        &self,
        pass: &Pass,
        folder: &Path,
    ) -> Result<Option<(Arc<ScratchStore>, LazyArray)>, RunError> {
        let Some(intermediate) = &pass.intermediate else { return Ok(None) };
        let array = &self.array.chain()[intermediate.position];
        let units = ChunkGrid::new(array.shape(), intermediate.unit).map_err(GraphError::Array)?;
        let store = Arc::new(ScratchStore::new(SinkSpec { array: array.spec(), units, part: intermediate.part }));
        store.open(folder)?;
        let source = self.read_back(&self.array.chain(), intermediate.position, Arc::clone(&store))?;
        Ok(Some((store, source)))
    }
}

/// What the sources of a stage cost to read, in bytes that might as well be read raw.
fn reading(stage: &Stage) -> u64 {
    let layers = Estimate::of(stage).layers;
    let cost = |(layer, id): (&LayerEstimate, _)| match &stage.get(id).layer.kind {
        LayerKind::Source { reader, at, .. } => {
            let is_raw = reader.level(*at).is_ok_and(|(_, level)| level.storage.codec == "none");
            layer.bytes_read * if is_raw { 1 } else { DECODED }
        }
        LayerKind::Op(_) | LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => 0,
    };
    layers.iter().zip(stage.ids()).map(cost).sum()
}

/// Units and parts for an array that is needed in spans: a unit is a chunk, grown to whole stored tiles of the source and
/// then along what the spans are long on, to some bytes; a part is what a unit and a span have in common.
fn layout(array: &LazyArray, span: &PerAxis<u64>, bytes: u64) -> Option<SinkSpec> {
    let (shape, chunk) = (array.shape(), array.grid().chunk());
    let granule = array.reader().and_then(|(reader, at, _)| {
        let (_, level) = reader.level(at).ok()?;
        Some(PerAxis::from_fn(|a| if level.shape.get(a) == shape.get(a) { level.storage.granule.get(a) } else { 1 }))
    });
    let granule = granule.unwrap_or(PerAxis::splat(1));
    let part = |unit: u64, a: Axis| if a == Axis::S { shape.get(a) } else { unit.min(span[a]).max(1) };
    let mut unit = PerAxis::from_fn(|a| {
        let whole = shape.get(a).max(1);
        let least = chunk.get(a).max(1).next_multiple_of(granule[a].max(1));
        if a == Axis::S { whole } else { least.next_multiple_of(part(least, a)).min(whole) }
    });
    let of = |unit: &PerAxis<u64>| Shape::new(unit.0).ok().map(|shape| shape.bytes(array.dtype()));
    for axis in [Axis::Z, Axis::C, Axis::T, Axis::Y, Axis::X] {
        let times = (bytes / of(&unit)?.max(1)).max(1).min(span[axis] / unit[axis].max(1)).max(1);
        unit[axis] = (unit[axis] * times).min(shape.get(axis).max(1));
    }
    let part = Shape::new(PerAxis::from_fn(|a| part(unit[a], a)).0).ok()?;
    let units = ChunkGrid::new(shape, Shape::new(unit.0).ok()?).ok()?;
    Some(SinkSpec { array: array.spec(), units, part })
}

/// The folder of an intermediate store: that of the output, or that of the system where the output is in memory.
pub(crate) fn folder(output: &dyn Output, plan: &str) -> PathBuf {
    if output.journal(plan).is_none() {
        return std::env::temp_dir();
    }
    microtome_io::disk::parent(output.desk()).to_owned()
}

/// Which units of an intermediate store are needed by write units that are not finished. It remembers nothing: what is
/// stored there is gone with the process.
pub(crate) struct Needed {
    units: Vec<bool>,
}

impl Needed {
    /// What the pass after it needs, of which `record` knows what is finished. O(groups).
    pub(crate) fn by(next: &Stage, levels: usize, store: &ScratchStore, record: &dyn Record) -> Needed {
        let grid = Sink::spec(store).units;
        if !record.is_resuming() {
            return Needed { units: vec![true; grid.count() as usize] };
        }
        let mut units = vec![false; grid.count() as usize];
        let source = next.ids().find(|&id| matches!(next.get(id).layer.kind, LayerKind::Source { .. }));
        for group in next.groups().all().iter() {
            let is_done = (0..levels).all(|top| {
                let of_top = &next.get(next.tops()[top]).layer.grid;
                next.units_of(top, &group).iter().all(|unit| record.is_finished(top, of_top.linear(&unit)))
            });
            if let (false, Some(region)) = (is_done, source.and_then(|id| next.needed_by(id, &group))) {
                grid.covering(&region).iter().for_each(|unit| units[grid.linear(&unit) as usize] = true);
            }
        }
        Needed { units }
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.units.iter().filter(|needed| **needed).count() as u64
    }
}

impl Record for Needed {
    fn is_finished(&self, _array: usize, unit: u64) -> bool {
        !self.units[unit as usize]
    }

    fn is_resuming(&self) -> bool {
        self.units.iter().any(|needed| !needed)
    }

    fn finished(&self, _array: usize, _receipt: &Receipt) -> Result<(), RunError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), RunError> {
        Ok(())
    }
}
