//! What a plan will do, in amounts that take a time each.
//!
//! *Invariant:* every amount is counted from shapes as the estimate is, so that a forecast is as exact as its rates.

use microtome_graph::{Activity, Amount, Estimate, GraphError, LayerKind, PassWork, Stage, Work, WorkKind};
use microtome_io::{Durability, Output, Reader, device};
use microtome_ops::Op;

use crate::options::RunOptions;
use crate::passes::Pass;
use crate::plan::Plan;

/// How stored pixels are named that a later pass reads back.
const STORED: &str = "what was stored of";

/// What says how fast an image is read: format, codec, pixel type, and where it lies.
pub(crate) fn reading(reader: &dyn Reader, level: &microtome_io::LevelInfo) -> String {
    let info = reader.info();
    let dtype = info.scenes.first().map_or("", |scene| scene.dtype.name());
    format!("{} {} {dtype} on {}", info.format, level.storage.codec, device(&info.path))
}

/// What says how fast an operation is: its name, its parameters, and the type of the pixels that it takes.
pub fn computing(op: &dyn Op, dtype: microtome_array::PixelType) -> WorkKind {
    WorkKind::new(Activity::Compute, format!("{} {} {dtype}", op.name(), op.params()))
}

/// What says how fast an array of an output is written: the given words for its codec, and where it lies.
pub fn encoding(activity: Activity, codec: &str, output: &dyn Output) -> WorkKind {
    let device = device(output.path());
    match activity {
        Activity::Files => WorkKind::new(activity, device),
        _ => WorkKind::new(activity, format!("{codec} on {device}")),
    }
}

/// What says how fast pixels are read back that an output holds.
pub fn reading_back(codec: &str, output: &dyn Output) -> WorkKind {
    WorkKind::new(Activity::Read, format!("{STORED} {}", encoding(Activity::Read, codec, output).of))
}

impl Plan<'_> {
    /// What a run will do; `codec` says in words how the output encodes a byte, so that equal words take equal time. What
    /// operations ask of pixels beforehand is counted as often as it may happen at most. O(layers), for each pass.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if the plan does not fit the budget.
    pub fn work(&self, codec: &str, options: &RunOptions) -> Result<Work, GraphError> {
        let mut work = Work::default();
        let threads = options.threads.max(1) as u64;
        for (pixels, summary) in self.asked() {
            let stage = Stage::summarising(&pixels, &summary);
            let passes = *summary.passes(pixels.dtype()).end();
            let amounts = amounts(&stage, None);
            let at_once = threads.min(stage.groups().count().max(1));
            work.passes.extend((0..passes).map(|_| PassWork { at_once, amounts: amounts.clone() }));
        }
        for pass in self.passes(options)? {
            work.passes.push(self.pass_work(&pass, codec, options));
        }
        if let (Some(output), Some(first)) = (self.output(), work.passes.first_mut()) {
            first.amounts.push(Amount { kind: encoding(Activity::Start, codec, output), count: 1 });
        }
        Ok(work)
    }

    fn pass_work(&self, pass: &Pass, codec: &str, options: &RunOptions) -> PassWork {
        let groups = pass.stage.groups().count().max(1);
        let running = pass.admission.slots.min(groups).saturating_mul(pass.admission.width);
        let at_once = running.clamp(1, options.threads.max(1) as u64);
        let output = self.output();
        let read_back = output.filter(|_| pass.levels.start > 0).map(|output| reading_back(codec, output));
        let mut amounts = amounts(&pass.stage, read_back.as_ref());
        let Some(output) = output else { return PassWork { at_once, amounts } };
        let mut add = |activity: Activity, count: u64| {
            amounts.push(Amount { kind: encoding(activity, codec, output), count });
        };
        let written = Estimate::of(&pass.stage).bytes_written;
        add(Activity::Encode, written);
        if pass.intermediate.is_none() {
            add(Activity::Files, pass.levels.clone().map(|level| output.files(level)).sum());
            if options.durability != Durability::None {
                add(Activity::Settle, written);
            }
        }
        PassWork { at_once, amounts }
    }
}

/// What is read and computed in a stage. Pixels that an earlier pass stored are read as `read_back` says.
fn amounts(stage: &Stage, read_back: Option<&WorkKind>) -> Vec<Amount> {
    let estimate = Estimate::of(stage);
    let mut amounts = Vec::new();
    for (id, layer) in stage.ids().zip(&estimate.layers) {
        let this = stage.get(id);
        match &this.layer.kind {
            LayerKind::Source { reader, at, .. } => {
                let Ok((_, level)) = reader.level(*at) else { continue };
                let of = || WorkKind::new(Activity::Read, reading(reader.as_ref(), level));
                amounts.push(Amount { kind: read_back.cloned().unwrap_or_else(of), count: layer.bytes_read });
            }
            LayerKind::Op(op) => {
                for &input in &this.inputs {
                    let from = &stage.get(input).layer.spec;
                    let count = estimate.layers[input.index()].bytes;
                    amounts.push(Amount { kind: computing(op.as_ref(), from.dtype), count });
                }
            }
            LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => {}
        }
    }
    amounts
}
