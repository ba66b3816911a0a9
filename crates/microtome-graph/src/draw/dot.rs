//! Drawings as Graphviz DOT.

use std::fmt::Write as _;

use super::{Card, Drawing, Flow, Look};

impl Drawing {
    /// The drawing as DOT, a cluster a panel.
    pub fn dot(&self) -> String {
        let down = self.panels.iter().all(|panel| panel.flow == Flow::Down);
        let mut out = String::from("digraph plan {\n");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "  rankdir={};", if down { "TB" } else { "LR" });
        out.push_str("  node [shape=box, style=rounded, fontname=\"Helvetica\"];\n  edge [fontname=\"Helvetica\"];\n");
        if !self.title.is_empty() {
            let title = lines(&self.title, &self.notes);
            let _ = writeln!(out, "  labelloc=t; label={};", quoted(&title));
        }
        for (p, panel) in self.panels.iter().enumerate() {
            let title = lines(&panel.title, &panel.notes);
            let _ = writeln!(out, "  subgraph cluster_{p} {{\n    label={};", quoted(&title));
            for node in panel.graph.node_indices() {
                let card = &panel.graph[node];
                let _ = writeln!(out, "    p{p}n{} [label={}, {}];", node.index(), label(card), style(card.look));
            }
            for edge in panel.graph.edge_indices() {
                let Some((from, to)) = panel.graph.edge_endpoints(edge) else { continue };
                let (from, to, text) = (from.index(), to.index(), &panel.graph[edge]);
                let text = if text.is_empty() { String::new() } else { format!(" [label={}]", quoted(text)) };
                let _ = writeln!(out, "    p{p}n{from} -> p{p}n{to}{text};");
            }
            out.push_str("  }\n");
            if let (Some(text), Some(above)) = (&panel.arrives, p.checked_sub(1)) {
                let last = self.panels[above].graph.node_count().saturating_sub(1);
                let _ = writeln!(out, "  p{above}n{last} -> p{p}n0 [label={}, style=dashed];", quoted(text));
            }
        }
        out.push_str("}\n");
        out
    }
}

fn label(card: &Card) -> String {
    quoted(&lines(&card.title, &card.lines))
}

fn lines(first: &str, others: &[String]) -> String {
    others.iter().fold(first.to_owned(), |text, line| text + "\n" + line)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

const fn style(look: Look) -> &'static str {
    match look {
        Look::Runs => "style=\"rounded,bold\"",
        Look::Fused => "style=\"rounded,dashed\"",
        Look::Shared => "style=\"rounded,bold,filled\", fillcolor=\"#fff4dd\"",
        Look::More => "shape=plaintext",
    }
}
