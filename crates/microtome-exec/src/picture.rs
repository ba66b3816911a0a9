//! The drawing of a plan: its passes as layer graphs, and the tasks of its first groups.
//!
//! *Invariant:* nothing runs, and nothing is said that planning does not say.

use microtome_array::{format_count, format_size};
use microtome_graph::{Admission, Drawing, Panel, Stage};

use crate::options::RunOptions;
use crate::passes::Pass;
use crate::plan::Plan;

impl Plan<'_> {
    /// The plan as a drawing: a panel for each pass, and one with the tasks of so many groups of the first pass as they
    /// run, then, where something is fused, one with the first write unit's tasks as the graph counts them. A refused plan
    /// is drawn as the pass that stores the full resolution, with the refusal. O(layers) and O(tasks drawn).
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
    /// let drawing = Plan::compute(&mip, Fusing::Full).drawing(&RunOptions::default(), 1);
    /// assert_eq!(drawing.panels.len(), 3);
    /// assert_eq!(drawing.panels[1].graph.node_count(), 1); // one task runs for the first plane …
    /// assert_eq!(drawing.panels[2].graph.node_count(), 4); // … and stands for three reads and a fold
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn drawing(&self, options: &RunOptions, groups: u64) -> Drawing {
        let passes = self.passes(options);
        let mut drawing = Drawing::default();
        let first = match &passes {
            Ok(passes) => {
                drawing.notes.extend(passes.iter().enumerate().map(|(n, pass)| {
                    let which = if passes.len() > 1 { format!(" in pass {}", n + 1) } else { String::new() };
                    format!("memory{which}: {}", at_once(&pass.admission, options))
                }));
                drawing.panels.extend(passes.iter().enumerate().map(|(n, pass)| layers(n, pass, passes.len())));
                passes.first().map_or(self.stage(), |pass| &pass.stage)
            }
            Err(refusal) => {
                drawing.notes.push(refusal.to_string());
                drawing.panels.push(Panel::layers(self.stage(), "layers"));
                self.stage()
            }
        };
        if groups > 0 {
            tasks(&mut drawing, first, groups);
        }
        drawing
    }
}

/// What runs at once, and what it takes.
pub(crate) fn at_once(admission: &Admission, options: &RunOptions) -> String {
    let (peak, budget) = (format_size(admission.projected_peak), format_size(options.memory));
    let groups = plural(admission.slots, "group");
    let threads = plural(admission.width, "thread");
    format!("at most {peak} of {budget}; {groups} at a time, each on {threads}")
}

/// `1 group`, `3 groups`.
pub(crate) fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", format_count(n)) }
}

fn layers(n: usize, pass: &Pass, passes: usize) -> Panel {
    if passes == 1 && pass.levels == (0..1) {
        return Panel::layers(&pass.stage, "layers");
    }
    let panel = Panel::layers(&pass.stage, &format!("pass {} of {passes}: stores {}", n + 1, levels(pass)));
    let arrives = (n > 0).then(|| match pass.levels.start.checked_sub(1) {
        Some(level) => format!("level {level} is read back"),
        None => "what pass 1 stored is read back".to_owned(),
    });
    Panel { arrives, ..panel }
}

/// `level 3`, `levels 0 to 2`.
pub(crate) fn levels(pass: &Pass) -> String {
    if let Some(intermediate) = &pass.intermediate {
        return format!("the pixels of {} for a while", intermediate.layer);
    }
    match (pass.levels.start, pass.levels.end - 1) {
        (first, last) if first == last => format!("level {first}"),
        (first, last) => format!("levels {first} to {last}"),
    }
}

/// The tasks as they run, and those of a write unit with nothing fused.
fn tasks(drawing: &mut Drawing, stage: &Stage, groups: u64) {
    let all = stage.groups().count();
    let which = match groups.min(all) {
        1 => format!("group 1 of {}", format_count(all)),
        some => format!("groups 1 to {} of {}", format_count(some), format_count(all)),
    };
    drawing.panels.push(Panel::tasks(stage, &format!("tasks of {which}, as they run"), 0..groups));
    if stage.layers().iter().any(|layer| layer.fused_into.is_some()) {
        drawing.panels.push(Panel::unfused(stage, "tasks of the first write unit, as the graph counts them"));
    }
}
