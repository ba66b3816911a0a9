//! Passes: how the levels of a pyramid are shared out over stages.
//!
//! Levels that fit one group are made together, from pixels that are read once; the levels above them read the last of
//! these back and go on from there. How many are made in one pass follows the budget and changes no byte: a level is
//! always made from the stored values of the one below.
//!
//! *Invariant:* a pass stores each level once, and needs no level that is not stored by a pass before it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use microtome_array::{Axis, BufferPool, ChunkDims, PerAxis, PixelsMut, Region, Shape};
use microtome_graph::{Admission, Estimate, Fusing, GraphError, LazyArray, Selection, Stage, StageOptions};
use microtome_io::{
    ImageInfo, LevelInfo, Output, PixelSize, Place, Position, ReadContext, ReadCount, ReadError, Reader, SceneInfo,
    SceneKind, SinkSpec, SourceSpec, StorageInfo, StorageKind,
};
use microtome_ops::Op;

use crate::intermediate::Intermediate;
use crate::options::{Intermediates, RunOptions};

/// A pass of a plan: a stage, and the levels it stores.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The levels, of a pyramid; the first of any other plan.
    pub levels: Range<usize>,
    /// Which layers are fused.
    pub fusing: Fusing,
    /// What is done.
    pub stage: Stage,
    /// What runs at once.
    pub admission: Admission,
    /// What each top's sink needs for a box, in bytes.
    pub sink_scratch: Vec<u64>,
    /// Why it stores no more levels; `None` where there are none.
    pub limit: Option<PassLimit>,
    /// What it stores for a while, if it stores no level: pixels for the pass after it.
    pub intermediate: Option<Intermediate>,
}

impl Pass {
    /// What it costs.
    pub(crate) fn estimate(&self) -> Estimate {
        let estimate = Estimate::of(&self.stage);
        if self.intermediate.is_some() { estimate.between() } else { estimate }
    }
}

/// Why a pass does not store the next level, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassLimit {
    /// It would need more memory than there is.
    Memory {
        /// Bytes it would need.
        needed: u64,
    },
    /// Values of its levels would be needed by several groups.
    Sharing,
    /// Fewer groups would run at once.
    Slots {
        /// As many as that.
        slots: u64,
    },
}

/// What passes are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pyramid<'a> {
    pub(crate) array: &'a LazyArray,
    /// What makes each level from the one below; one less than there are levels.
    pub(crate) steps: &'a [Arc<dyn Op>],
    pub(crate) output: &'a dyn Output,
    pub(crate) fusing: Fusing,
}

impl Pyramid<'_> {
    fn count(&self) -> usize {
        self.steps.len() + 1
    }

    fn sink(&self, level: usize) -> &SinkSpec {
        self.output.array(level).spec()
    }

    /// The passes of a run within its budget. If every level alone fits, so does the whole, on any number of threads.
    pub(crate) fn passes(&self, options: &RunOptions) -> Result<Vec<Pass>, GraphError> {
        let (before, start) = self.begin(options).map_err(|refused| self.hardest(refused, 0, options))?;
        let stores = before.is_some();
        let passes = self.greedy(&start, options).or_else(|refused| self.searched(&start, options).ok_or(refused));
        match passes {
            Ok(passes) => Ok(before.into_iter().chain(passes).collect()),
            // A level that does not fit alone may fit together with the first, as that is read.
            Err(_) if stores => self.passes(&RunOptions { intermediate: Intermediates::Never, ..options.clone() }),
            Err(refused) => Err(refused),
        }
    }

    /// Passes of which each stores as many levels as it well can.
    fn greedy(&self, start: &LazyArray, options: &RunOptions) -> Result<Vec<Pass>, GraphError> {
        let mut passes = Vec::new();
        let mut first = 0;
        while first < self.count() {
            let source = if first == 0 { start.clone() } else { self.planned(first)? };
            let pass =
                self.longest(&source, first, options).map_err(|refused| self.hardest(refused, first, options))?;
            first = pass.levels.end;
            passes.push(pass);
        }
        Ok(passes)
    }

    /// Passes that fit, if there are any: where a level that would be left over does not fit alone, it may together with
    /// those below it.
    fn searched(&self, start: &LazyArray, options: &RunOptions) -> Option<Vec<Pass>> {
        let mut rest: Vec<Option<Vec<Pass>>> = vec![None; self.count()];
        rest.push(Some(Vec::new()));
        for first in (0..self.count()).rev() {
            let source = if first == 0 { start.clone() } else { self.planned(first).ok()? };
            rest[first] = (first + 1..=self.count()).rev().find_map(|end| {
                let after = rest[end].as_ref()?;
                let pass = if end == first + 1 {
                    self.alone(&source, first, options).ok()?
                } else {
                    self.pass(&source, first..end, options).ok().filter(|pass| !shares_levels(pass))?
                };
                let limit = (end < self.count()).then(|| match self.pass(&source, first..end + 1, options) {
                    Err(GraphError::Memory { needed, .. }) => PassLimit::Memory { needed },
                    Ok(more) if more.admission.slots < pass.admission.slots => {
                        PassLimit::Slots { slots: more.admission.slots }
                    }
                    _ => PassLimit::Sharing,
                });
                let pass = Pass { limit, ..pass };
                Some(std::iter::once(pass).chain(after.iter().cloned()).collect())
            });
        }
        rest.swap_remove(0)
    }

    /// Of the refusal of a pass and those that would come after it the one that needs most: a budget that is named must do
    /// for all.
    fn hardest(&self, refused: GraphError, first: usize, options: &RunOptions) -> GraphError {
        let later = (first + 1..self.count()).filter_map(|level| {
            let source = self.planned(level).ok()?;
            self.alone(&source, level, options).err()
        });
        later.fold(refused, harder)
    }

    /// The pass from a level that stores most levels: most of those that keep all threads busy, or of those that fit.
    fn longest(&self, source: &LazyArray, first: usize, options: &RunOptions) -> Result<Pass, GraphError> {
        let alone = self.alone(source, first, options)?;
        let mut best = alone;
        for end in first + 2..=self.count() {
            let limit = match self.pass(source, first..end, options) {
                Err(GraphError::Memory { needed, .. }) => PassLimit::Memory { needed },
                Err(_) => PassLimit::Sharing,
                Ok(pass) if shares_levels(&pass) => PassLimit::Sharing,
                Ok(pass) if pass.admission.slots < best.admission.slots => {
                    PassLimit::Slots { slots: pass.admission.slots }
                }
                Ok(pass) => {
                    best = pass;
                    continue;
                }
            };
            return Ok(Pass { limit: Some(limit), ..best });
        }
        Ok(best)
    }

    /// The pass that stores one level: each pixel read once if there is memory to hold what is needed again, else as often
    /// as it is needed.
    pub(crate) fn alone(&self, source: &LazyArray, level: usize, options: &RunOptions) -> Result<Pass, GraphError> {
        let refused = match self.pass(source, level..level + 1, options) {
            Err(error @ GraphError::Memory { .. }) if self.fusing == Fusing::Full => error,
            done => return done,
        };
        let again = Pyramid { fusing: Fusing::Reread, ..*self };
        again.pass(source, level..level + 1, options).map_err(|other| nearer(refused, other))
    }

    /// A pass that stores some levels, made from `source`: the pixels of the first of them.
    pub(crate) fn pass(
        &self,
        source: &LazyArray,
        levels: Range<usize>,
        options: &RunOptions,
    ) -> Result<Pass, GraphError> {
        let stage = self.stage(source, &levels)?;
        let scratch: Vec<u64> = levels
            .clone()
            .enumerate()
            .map(|(top, level)| self.output.array(level).scratch_bytes(&stage.store_box(top)))
            .collect();
        let memory = options.group_memory(&stage, &scratch);
        let admission = stage.admit(&memory, options.threads.max(1) as u64, options.memory, 0)?;
        Ok(Pass {
            levels,
            fusing: self.fusing,
            stage,
            admission,
            sink_scratch: scratch,
            limit: None,
            intermediate: None,
        })
    }

    /// A planned pass, now that what it reads is there.
    pub(crate) fn planned_again(
        &self,
        pass: &Pass,
        source: &LazyArray,
        options: &RunOptions,
    ) -> Result<Pass, GraphError> {
        Pyramid { fusing: pass.fusing, ..*self }.pass(source, pass.levels.clone(), options)
    }

    fn stage(&self, source: &LazyArray, levels: &Range<usize>) -> Result<Stage, GraphError> {
        let sink = self.sink(levels.start).clone();
        let plain =
            Stage::new(source, &StageOptions { sink: Some(sink), fusing: self.fusing, ..StageOptions::default() });
        if levels.len() == 1 {
            return Ok(plain);
        }
        let mut array = source.rechunk(&ChunkDims::Shape(self.block(&plain, levels)?))?;
        let mut arrays = vec![(array.clone(), self.sink(levels.start).clone())];
        for level in levels.start + 1..levels.end {
            array = array.apply(Arc::clone(&self.steps[level - 1]))?;
            arrays.push((array.clone(), self.sink(level).clone()));
        }
        Ok(Stage::storing(&arrays, self.fusing))
    }

    /// In what pieces pixels go through a pass: the box in which the first level is stored, made longer where a pixel of
    /// the last level would stand for pixels of two pieces.
    fn block(&self, plain: &Stage, levels: &Range<usize>) -> Result<Shape, GraphError> {
        let step = plain.store_box(0);
        let (first, last) = (self.sink(levels.start).array.shape, self.sink(levels.end - 1).array.shape);
        let extents = PerAxis::from_fn(|a| {
            let whole = first.get(a).max(1);
            let factor = whole.div_ceil(last.get(a).max(1)).next_power_of_two().max(1);
            if a == Axis::S { whole } else { step.get(a).next_multiple_of(factor).min(whole) }
        });
        Ok(Shape::new(extents.0)?)
    }

    /// A level made from the stored one below, which is not there yet.
    fn planned(&self, level: usize) -> Result<LazyArray, GraphError> {
        self.above(Arc::new(Planned::new(self.output, level - 1)), level)
    }

    /// A level made from the one below, as a reader gives it.
    pub(crate) fn above(&self, below: Arc<dyn Reader>, level: usize) -> Result<LazyArray, GraphError> {
        let dims = ChunkDims::Shape(self.sink(level - 1).part);
        LazyArray::source(below, &Selection::default(), &dims)?.apply(Arc::clone(&self.steps[level - 1]))
    }
}

/// Whether values of levels would be needed by several groups.
fn shares_levels(pass: &Pass) -> bool {
    pass.stage.layers().iter().any(|layer| layer.shared && layer.layer.is_shrinking())
}

fn needed(error: &GraphError) -> u64 {
    match error {
        GraphError::Memory { needed, .. } => *needed,
        _ => u64::MAX,
    }
}

/// Of two refusals the one that needs more memory.
pub(crate) fn harder(one: GraphError, other: GraphError) -> GraphError {
    if needed(&other) > needed(&one) { other } else { one }
}

/// Of two refusals the one that needs less memory.
pub(crate) fn nearer(one: GraphError, other: GraphError) -> GraphError {
    if needed(&other) < needed(&one) { other } else { one }
}

/// A stored level before it is stored: all that planning asks, and no pixels.
#[derive(Debug)]
struct Planned {
    info: ImageInfo,
    scratch: u64,
}

impl Planned {
    fn new(output: &dyn Output, level: usize) -> Planned {
        let SinkSpec { array, units, part } = output.array(level).spec().clone();
        let storage = StorageInfo {
            kind: StorageKind::Chunks,
            tile: part,
            shard: Some(units.chunk()),
            granule: part,
            codec: String::new(),
        };
        let scene = SceneInfo {
            index: 0,
            id: String::new(),
            name: format!("level {level}"),
            kind: SceneKind::Image,
            dtype: array.dtype,
            channels: Vec::new(),
            pixel_size: PixelSize::default(),
            time_increment: None,
            well: None,
            position: Position::default(),
            objective: None,
            stage: None,
            levels: vec![LevelInfo { shape: array.shape, downsample: [1.0; 6], origin: [0.0; 6], storage }],
            page_order: [Axis::Z, Axis::C, Axis::T],
            palette: Vec::new(),
        };
        let path = PathBuf::from(format!("{} (level {level}, to be written)", output.path().display()));
        let info = ImageInfo { path, scenes: vec![scene], ..ImageInfo::default() };
        Planned { info, scratch: output.array(level).read_scratch_bytes() }
    }
}

impl Reader for Planned {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        SourceSpec { uri: None, stamp: None, digest: String::new() }
    }

    fn read(&self, _: Place, _: &Region, _: &mut PixelsMut<'_>, _: &ReadContext<'_>) -> Result<ReadCount, ReadError> {
        Err(ReadError::NotFound { path: self.info.path.clone() })
    }

    /// That of the stored level, and room for samples that are put in order.
    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        let Ok((scene, _)) = self.level(at) else { return 0 };
        let samples = region.len(Axis::S) > 1;
        let reordered = if samples { BufferPool::charged(region.shape().bytes(scene.dtype)) } else { 0 };
        reordered.saturating_add(self.scratch)
    }
}
