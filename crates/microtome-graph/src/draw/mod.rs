//! Drawings of plans: the layer graph, and the task graph of a small selection, as SVG and as Graphviz DOT.
//!
//! A [`Drawing`] is panels of cards and arrows, each panel a petgraph graph; what is drawn is said in `layers.rs` and
//! `tasks.rs`, how it is drawn in `layout.rs`, `svg.rs` and `dot.rs`.
//!
//! *Invariant:* a drawing shows what a stage says and adds nothing; the size of the picture does not depend on the size of
//! the image.

mod dot;
mod layers;
mod layout;
mod svg;
mod tasks;

use microtome_array::format_count;
use petgraph::graph::DiGraph;

pub use tasks::MOST_SHOWN;

use crate::stage::StageLayer;

/// Panels, one below the other.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// What it is about.
    pub title: String,
    /// Lines below the title.
    pub notes: Vec<String>,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// A graph in a frame.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it is.
    pub title: String,
    /// Lines below the title.
    pub notes: Vec<String>,
    /// What comes into it from the panel above, if anything does.
    pub arrives: Option<String>,
    /// Where arrows go.
    pub flow: Flow,
    /// Cards, and arrows with what is written on them.
    pub graph: DiGraph<Card, String, u32>,
}

/// Where arrows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From above to below.
    Down,
    /// From left to right.
    Right,
}

/// A box with text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its first line.
    pub title: String,
    /// The others.
    pub lines: Vec<String>,
    /// How it is drawn.
    pub look: Look,
}

/// How a card is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Tasks that run.
    Runs,
    /// Done inside the tasks of another layer.
    Fused,
    /// Tasks that run, whose values several groups need.
    Shared,
    /// What is left out.
    More,
}

impl Look {
    const fn of(layer: &StageLayer) -> Look {
        match (layer.fused_into, layer.shared) {
            (Some(_), _) => Look::Fused,
            (None, true) => Look::Shared,
            (None, false) => Look::Runs,
        }
    }

    /// What it means, for a legend; nothing for what says so itself.
    const fn meaning(self) -> &'static str {
        match self {
            Look::Runs => "its tasks run",
            Look::Fused => "fused: done inside the tasks of another layer",
            Look::Shared => "its tasks run, and values are held for several groups",
            Look::More => "",
        }
    }
}

/// `1 task`, `3 tasks`.
fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", format_count(n)) }
}
