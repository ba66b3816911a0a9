//! What would help a plan: more memory, and how much; smaller chunks, and whose.
//!
//! *Invariant:* a budget that is named was tried, in thought: planning with it gives what is said.

use microtome_graph::{LayerKind, Stage};

use crate::explain::{MemoryReason, memory};
use crate::options::RunOptions;
use crate::passes::Pass;
use crate::picture::plural;
use crate::plan::Plan;

impl Plan<'_> {
    /// What would let a refused plan run.
    pub(crate) fn advice_refused(&self, memory: &MemoryReason, options: &RunOptions) -> Vec<String> {
        let mut advice = Vec::new();
        if let Some(least) = self.least(options, &|_| true) {
            advice.push(format!("--memory {} is the least that would do, for one group at a time", flag(least)));
        }
        advice.extend(self.for_all_threads(0, options));
        advice.extend(smaller(self.stage(), memory));
        advice
    }

    /// What would make a plan that fits better.
    pub(crate) fn advice(&self, passes: &[Pass], options: &RunOptions) -> Vec<String> {
        let Some(idlest) = passes.iter().min_by_key(|pass| pass.admission.slots) else { return Vec::new() };
        let (slots, groups) = (idlest.admission.slots, idlest.stage.groups().count());
        let mut advice = Vec::new();
        if slots < groups.min(options.threads.max(1) as u64) {
            advice.extend(self.for_all_threads(slots, options));
            let (_, fixed) = self.scratch_and_fixed();
            let memory = memory(&idlest.stage, &idlest.sink_scratch, (idlest.admission.shared_bytes, fixed), options);
            advice.extend(smaller(&idlest.stage, &memory).filter(|_| idlest.intermediate.is_none()));
        } else if groups < options.threads as u64 {
            advice.extend(more_groups(&idlest.stage, options.threads as u64));
        }
        let stores_on_the_way = |passes: &[Pass]| passes.iter().any(|pass| pass.intermediate.is_some());
        if stores_on_the_way(passes) {
            let memory = self.least(options, &|passes| !stores_on_the_way(passes));
            advice
                .extend(memory.map(|mib| format!("--memory {} would do without storing pixels on the way", flag(mib))));
        } else if passes.len() > 1
            && let Some(memory) = self.least(options, &|passes| passes.len() == 1)
        {
            advice.push(format!("--memory {} would let all levels be made in one pass", flag(memory)));
        }
        advice
    }

    /// The budget with which as many groups run at once as ever, if they are more than `now`.
    fn for_all_threads(&self, now: u64, options: &RunOptions) -> Option<String> {
        let slots = |passes: &[Pass]| passes.iter().map(|pass| pass.admission.slots).min().unwrap_or(0);
        let most = slots(&self.passes(&RunOptions { memory: ENDLESS, ..options.clone() }).ok()?);
        let memory = self.least(options, &|passes| slots(passes) >= most).filter(|_| most > now)?;
        Some(format!("--memory {} would let {} run at once", flag(memory), plural(most, "group")))
    }

    /// The least budget, to the MiB, with which the passes of the plan are as wished.
    fn least(&self, options: &RunOptions, wished: &dyn Fn(&[Pass]) -> bool) -> Option<u64> {
        let is_so = |mib: u64| {
            let options = RunOptions { memory: mib << 20, ..options.clone() };
            self.passes(&options).is_ok_and(|passes| wished(&passes))
        };
        let mut high = (options.memory >> 20).max(1);
        while !is_so(high) {
            high = high.checked_mul(2).filter(|&mib| mib <= ENDLESS >> 20)?;
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low.midpoint(high);
            if is_so(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

/// More bytes than a plan is ever given.
const ENDLESS: u64 = 1 << 50;

fn flag(mib: u64) -> String {
    format!("{mib}MiB")
}

/// Bytes of a write unit that are worth being shared out.
const LARGE_UNIT: u64 = 4 << 20;

/// Which shape to make smaller so that there is more to do at once.
fn more_groups(stage: &Stage, threads: u64) -> Option<String> {
    let layer = &stage.get(stage.top()).layer;
    let unit = layer.grid.chunk();
    let large = matches!(layer.kind, LayerKind::Store) && unit.bytes(layer.spec.dtype) > LARGE_UNIT;
    let groups = plural(stage.groups().count(), "group");
    let threads = plural(threads, "thread");
    large.then(|| format!("smaller write units (--shard-shape) than {unit}, which make {groups} for {threads}"))
}

/// Which shapes to make smaller so that a group takes less.
fn smaller(stage: &Stage, memory: &MemoryReason) -> impl Iterator<Item = String> {
    let kept = stage.ids().filter(|&id| stage.get(id).fused_into.is_none() && stage.top_position(id).is_none());
    let largest = kept.max_by_key(|&id| stage.get(id).layer.grid.chunk().bytes(stage.get(id).layer.spec.dtype));
    let held = largest.filter(|_| memory.held + memory.shared > memory.task / 2).map(|id| {
        let (name, chunk) = (stage.get(id).layer.name(), stage.get(id).layer.grid.chunk());
        format!("smaller chunks (--chunk-dims YX, or a shape) than the {chunk} of {name}, whose values are held")
    });
    let stored =
        matches!(stage.get(stage.top()).layer.kind, LayerKind::Store) && memory.held + memory.shared <= memory.task;
    let stored = stored.then(|| {
        let step = &stage.get(stage.top()).step;
        format!("smaller stored chunks (--chunk-shape), which are computed in boxes of {step}")
    });
    held.into_iter().chain(stored)
}
