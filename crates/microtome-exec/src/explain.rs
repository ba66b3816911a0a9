//! Why a plan is as it is: why layers are fused or kept, what bounds its memory, what runs at once and why not more, and
//! what would help.
//!
//! *Invariant:* every number comes from the planning that a run follows; a refused plan is explained as if one group fitted.

use std::fmt;

use microtome_array::{format_count, format_size};
use microtome_graph::{GraphError, LayerId, LayerKind, MOST_AMPLIFICATION, Stage};
use serde::Serialize;

use crate::intermediate::Intermediate;
use crate::options::RunOptions;
use crate::passes::{Pass, PassLimit};
use crate::picture::{levels, plural};
use crate::plan::Plan;

/// Why a plan is as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Each pass, in order; of a refused plan, the one that stores the full resolution.
    pub passes: Vec<PassReason>,
    /// The budget, in bytes.
    pub budget: u64,
    /// Why it is refused, if it is.
    pub refused: Option<String>,
    /// What would help, if anything would.
    pub advice: Vec<String>,
}

/// Why a pass is as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PassReason {
    /// What it stores: `levels 0 to 2`.
    pub stores: String,
    /// Its layers, inputs first.
    pub layers: Vec<LayerReason>,
    /// What takes its memory.
    pub memory: MemoryReason,
    /// What runs at once; `None` if not even one group does.
    pub at_once: Option<AtOnce>,
    /// Why it does not store the next level, too.
    pub limit: Option<String>,
    /// What it stores for the next pass alone, and why.
    pub intermediate: Option<String>,
}

/// Why a layer is fused or kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReason {
    /// The layer.
    pub layer: String,
    /// Whether its tasks run.
    pub runs: bool,
    /// How many times its source would decode its pixels if it were read by region, where that decided.
    pub amplification: Option<f64>,
    /// In words.
    pub why: String,
}

/// What takes the memory of a pass, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryReason {
    /// A group at its peak, on one thread.
    pub group: u64,
    /// The layer whose task takes most of that.
    pub heaviest: String,
    /// What that task takes, with all that is fused into it.
    pub task: u64,
    /// Of which its sink needs so many to encode.
    pub sink: u64,
    /// The box in which it is computed, in words.
    pub step: String,
    /// What further values of the group take meanwhile, at most.
    pub held: u64,
    /// What reading apart and making again takes at most, where what is bad is left out.
    pub apart: u64,
    /// Values that groups share.
    pub shared: u64,
    /// What is taken for the whole run: a result in memory.
    pub fixed: u64,
}

/// What runs at once, and why not more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtOnce {
    /// Groups.
    pub groups: u64,
    /// Threads in each.
    pub threads_each: u64,
    /// Bytes at most, in all.
    pub projected_peak: u64,
    /// Why not more.
    pub why: String,
}

impl Plan<'_> {
    /// Why the plan is as it is, or why it is refused. Some tens of plans are made to find out what would help; nothing runs.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_exec::{Plan, RunOptions};
    /// use microtome_graph::{Fusing, LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    ///
    /// let spec = ArraySpec { shape: Shape::new([1, 2, 3, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let mip = stack.project(Axis::Z, Projection::Max)?;
    /// let why = Plan::compute(&mip, Fusing::Full).explain(&RunOptions::default());
    /// assert_eq!(why.passes[0].layers[0].why, "fused into project: streamed into the fold; none of its values is held");
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn explain(&self, options: &RunOptions) -> Explanation {
        match self.passes(options) {
            Ok(passes) => {
                let advice = self.advice(&passes, options);
                let passes = passes.iter().map(|pass| self.reason(pass, options)).collect();
                Explanation { passes, budget: options.memory, refused: None, advice }
            }
            Err(refusal) => self.refusal(&refusal, options),
        }
    }

    fn reason(&self, pass: &Pass, options: &RunOptions) -> PassReason {
        let (_, fixed) = self.scratch_and_fixed();
        let memory = memory(&pass.stage, &pass.sink_scratch, (pass.admission.shared_bytes, fixed), options);
        PassReason {
            stores: levels(pass),
            layers: pass.stage.ids().map(|id| layer(&pass.stage, id)).collect(),
            memory,
            at_once: Some(at_once(pass, options)),
            limit: pass.limit.as_ref().map(|limit| limit_text(limit, pass, options)),
            intermediate: pass.intermediate.as_ref().map(Intermediate::why),
        }
    }

    fn refusal(&self, refusal: &GraphError, options: &RunOptions) -> Explanation {
        let (stage, (scratch, fixed)) = (self.stage(), self.scratch_and_fixed());
        let memory = memory(stage, &scratch, (stage.shared_peak(1), fixed), options);
        let advice = self.advice_refused(&memory, options);
        let layers = stage.ids().map(|id| layer(stage, id)).collect();
        let stores = "level 0".to_owned();
        let pass = PassReason { stores, layers, memory, at_once: None, limit: None, intermediate: None };
        Explanation { passes: vec![pass], budget: options.memory, refused: Some(refusal.to_string()), advice }
    }
}

fn layer(stage: &Stage, id: LayerId) -> LayerReason {
    let this = stage.get(id);
    let note = this.fusing_note;
    let why = match (this.fused_into, this.amplification) {
        (Some(into), Some(factor)) => format!(
            "fused into {}: read by region, which decodes {factor:.2} times its pixels; up to {MOST_AMPLIFICATION} is accepted",
            stage.get(into).layer.name()
        ),
        (Some(into), None) => {
            format!("fused into {}: {note}; none of its values is held", stage.get(into).layer.name())
        }
        (None, _) if stage.top_position(id).is_some() => format!("the result: {}", plural(this.runs.count(), "task")),
        (None, Some(factor)) => format!(
            "kept: read by region it would be decoded {factor:.2} times, more than {MOST_AMPLIFICATION}; {}",
            held(this.shared)
        ),
        (None, None) => format!("{note}; {}", held(this.shared)),
    };
    LayerReason {
        layer: this.layer.name().to_owned(),
        runs: this.fused_into.is_none(),
        amplification: this.amplification,
        why,
    }
}

const fn held(shared: bool) -> &'static str {
    if shared {
        "each value is made once and held until the last of several groups has used it"
    } else {
        "each value is made once and held within its group"
    }
}

pub(crate) fn memory(
    stage: &Stage,
    scratch: &[u64],
    (shared, fixed): (u64, u64),
    options: &RunOptions,
) -> MemoryReason {
    let (plain, group) = (stage.group_memory(scratch).alone, options.group_memory(stage, scratch).alone);
    let (heaviest, task) = stage.heaviest_task(scratch);
    let layer = &stage.get(heaviest).layer;
    let sink = stage.top_position(heaviest).and_then(|top| scratch.get(top)).copied().unwrap_or(0);
    let step = match &layer.kind {
        LayerKind::Store if stage.get(heaviest).step == layer.grid.chunk() => {
            format!("write units of {}", layer.grid.chunk())
        }
        LayerKind::Store => format!("boxes of {} of write units of {}", stage.get(heaviest).step, layer.grid.chunk()),
        LayerKind::Source { .. } | LayerKind::Op(_) | LayerKind::Rechunk | LayerKind::Summarise(_) => {
            format!("chunks of {}", layer.grid.chunk())
        }
    };
    MemoryReason {
        group,
        heaviest: layer.name().to_owned(),
        task,
        sink,
        step,
        held: plain.saturating_sub(task),
        apart: group - plain,
        shared,
        fixed,
    }
}

fn at_once(pass: &Pass, options: &RunOptions) -> AtOnce {
    let admission = &pass.admission;
    let (threads, groups) = (options.threads.max(1) as u64, pass.stage.groups().count());
    let more = admission.projected_peak + admission.group_bytes;
    let inside = if admission.width > 1 { "; the other threads work inside it where they can" } else { "" };
    let why = if admission.slots >= threads {
        format!("that is all of {}", plural(threads, "thread"))
    } else if admission.slots >= groups {
        format!("there are no more groups{inside}")
    } else if more > options.memory {
        let (more, budget) = (format_size(more), format_size(options.memory));
        format!("one more would need {more}, the budget is {budget}{inside}")
    } else {
        format!("with one more, what groups share would not fit {}{inside}", format_size(options.memory))
    };
    AtOnce { groups: admission.slots, threads_each: admission.width, projected_peak: admission.projected_peak, why }
}

fn limit_text(limit: &PassLimit, pass: &Pass, options: &RunOptions) -> String {
    let next = pass.levels.end;
    match limit {
        PassLimit::Memory { needed } => format!(
            "level {next} is left to the next pass: made here, it would need {} of {}",
            format_size(*needed),
            format_size(options.memory)
        ),
        PassLimit::Sharing => {
            format!("level {next} is left to the next pass: made here, its values would be needed by several groups")
        }
        PassLimit::Slots { slots } => format!(
            "level {next} is left to the next pass: made here, {} would run at once, not {}",
            plural(*slots, "group"),
            format_count(pass.admission.slots)
        ),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, pass) in self.passes.iter().enumerate() {
            if self.passes.len() > 1 || pass.limit.is_some() {
                writeln!(f, "pass {} of {}: stores {}", n + 1, self.passes.len(), pass.stores)?;
            }
            write!(f, "{pass}")?;
        }
        if self.refused.is_some() {
            writeln!(f, "refused   not even one group fits {}", format_size(self.budget))?;
        }
        for (n, advice) in self.advice.iter().enumerate() {
            writeln!(f, "{:<9} {advice}", if n == 0 { "to help" } else { "or" })?;
        }
        Ok(())
    }
}

impl fmt::Display for PassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            writeln!(f, "{:<9} {}", layer.layer, layer.why)?;
        }
        writeln!(f, "{:<9} {}", "memory", self.memory)?;
        if let Some(at_once) = &self.at_once {
            let (groups, threads) = (plural(at_once.groups, "group"), plural(at_once.threads_each, "thread"));
            let each = if at_once.groups == 1 { "" } else { " each" };
            writeln!(f, "{:<9} {groups} on {threads}{each}: {}", "at once", at_once.why)?;
        }
        if let Some(intermediate) = &self.intermediate {
            writeln!(f, "{:<9} {intermediate}", "between")?;
        }
        match &self.limit {
            Some(limit) => writeln!(f, "{:<9} {limit}", "levels"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MemoryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, task) = (format_size(self.group), format_size(self.task));
        write!(
            f,
            "a group takes {group} at its peak; its largest task is {} ({}) with {task}",
            self.heaviest, self.step
        )?;
        if self.sink > 0 {
            write!(f, ", of which {} to encode", format_size(self.sink))?;
        }
        if self.held > 0 {
            write!(f, "; other values of the group up to {}", format_size(self.held))?;
        }
        if self.apart > 0 {
            write!(f, "; going on without what is bad up to {}", format_size(self.apart))?;
        }
        if self.shared > 0 {
            write!(f, "; values that groups share up to {} for all", format_size(self.shared))?;
        }
        if self.fixed > 0 {
            write!(f, "; the result {} for the whole run", format_size(self.fixed))?;
        }
        Ok(())
    }
}
