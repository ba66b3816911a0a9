//! Drawings as SVG, with nothing else needed to look at them than a browser.
//!
//! *Invariant:* a card is as wide as its longest line is in the widest of the fonts named, so text is never cut off.

use std::fmt::Write as _;

use petgraph::visit::EdgeRef;

use super::layout::{self, Layout, Size};
use super::{Card, Drawing, Flow, Look, Panel};

const FONT: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// Pixels that a character takes in lines and in titles, at most on average.
const LINE_CHAR: f64 = 7.2;
const TITLE_CHAR: f64 = 9.6;
/// The same on the arrows, where what lies behind is hidden.
const LABEL_CHAR: f64 = 6.6;
const LINE_HEIGHT: f64 = 17.0;
const TITLE_HEIGHT: f64 = 22.0;
/// Characters to a line of a card.
const MOST_CHARS: usize = 52;
const MARGIN: f64 = 24.0;
const PADDING: f64 = 10.0;

impl Drawing {
    /// The drawing as an SVG document.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    ///
    /// let spec = ArraySpec { shape: Shape::new([1, 1, 20, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let svg = stack.project(Axis::Z, Projection::Max)?.stage().drawing().svg();
    /// assert!(svg.starts_with("<svg") && svg.contains("fold over z: 20 → 1"));
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn svg(&self) -> String {
        let frames: Vec<Frame<'_>> = self.panels.iter().map(Frame::new).collect();
        let head = usize::from(!self.title.is_empty()) as f64 * TITLE_HEIGHT + self.notes.len() as f64 * LINE_HEIGHT;
        let words = self.notes.iter().map(|note| width(note, LINE_CHAR)).fold(width(&self.title, TITLE_CHAR), f64::max);
        let legend = self.legend();
        let wide = frames.iter().map(|f| f.width).fold(words.max(legend_width(&legend)), f64::max) + 2.0 * MARGIN;
        let mut body = String::new();
        let mut y = MARGIN;
        if !self.title.is_empty() {
            text(&mut body, (MARGIN, y + 16.0), "title", &self.title);
            y += TITLE_HEIGHT;
        }
        for note in &self.notes {
            text(&mut body, (MARGIN, y + 12.0), "line", note);
            y += LINE_HEIGHT;
        }
        if head > 0.0 {
            y += PADDING;
        }
        for frame in &frames {
            if let Some(arrives) = &frame.panel.arrives {
                arrow_between(&mut body, wide / 2.0, y, arrives);
                y += 44.0;
            }
            frame.draw(&mut body, (MARGIN, y), wide - 2.0 * MARGIN);
            y += frame.height + MARGIN;
        }
        for look in legend {
            swatch(&mut body, (MARGIN, y), look);
            y += LINE_HEIGHT + 4.0;
        }
        document(wide, y + MARGIN / 2.0, &body)
    }

    /// The looks that need to be explained.
    fn legend(&self) -> Vec<Look> {
        let used = |look: &Look| self.panels.iter().any(|panel| panel.graph.node_weights().any(|c| c.look == *look));
        [Look::Runs, Look::Fused, Look::Shared].into_iter().filter(used).collect()
    }
}

fn document(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{FONT}\" font-size=\"12\" fill=\"#1c2733\">\n\
         <style>.title{{font-weight:bold;font-size:15px}}.card{{font-weight:bold;font-size:14px}}\
         .label{{fill:#44566b}}.more{{font-style:italic;fill:#5b6b7b}}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#6b7c8d\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// A panel with its place in the making.
struct Frame<'a> {
    panel: &'a Panel,
    cards: Vec<Vec<String>>,
    sizes: Vec<Size>,
    layout: Layout,
    width: f64,
    height: f64,
}

impl<'a> Frame<'a> {
    fn new(panel: &'a Panel) -> Frame<'a> {
        let cards: Vec<Vec<String>> = panel.graph.node_weights().map(wrapped).collect();
        let turned = |size: Size| match panel.flow {
            Flow::Down => size,
            Flow::Right => Size { along: size.across, across: size.along },
        };
        let mut sizes: Vec<Size> =
            panel.graph.node_weights().zip(&cards).map(|(card, lines)| turned(card_size(card, lines))).collect();
        // What is written on arrows stands above the card that they lead to, and not above others.
        for edge in panel.graph.edge_references().filter(|_| panel.flow == Flow::Down) {
            let across = &mut sizes[edge.target().index()].across;
            *across = across.max(width(edge.weight(), LABEL_CHAR));
        }
        let gaps = match panel.flow {
            Flow::Down => Size { along: 58.0, across: 28.0 },
            Flow::Right => Size { along: 72.0, across: 10.0 },
        };
        let layout = layout::place(&panel.graph, &sizes, gaps);
        let inner = turned(layout.size);
        let head = TITLE_HEIGHT + panel.notes.len() as f64 * LINE_HEIGHT + PADDING;
        let words =
            panel.notes.iter().map(|note| width(note, LINE_CHAR)).fold(width(&panel.title, TITLE_CHAR), f64::max);
        let labels = panel.graph.edge_weights().map(|label| width(label, LINE_CHAR)).fold(0.0, f64::max);
        let width = inner.across.max(words).max(labels) + 2.0 * MARGIN;
        Frame { panel, cards, sizes, layout, width, height: head + inner.along + 2.0 * MARGIN - PADDING }
    }

    fn draw(&self, out: &mut String, (x, y): (f64, f64), width: f64) {
        let height = self.height;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"10\" fill=\"#fbfcfd\" \
             stroke=\"#c9d3dd\"/>"
        );
        text(out, (x + PADDING + 4.0, y + 22.0), "title", &self.panel.title);
        for (n, note) in self.panel.notes.iter().enumerate() {
            text(out, (x + PADDING + 4.0, y + 22.0 + LINE_HEIGHT * (n + 1) as f64), "line", note);
        }
        let head = TITLE_HEIGHT + self.panel.notes.len() as f64 * LINE_HEIGHT + PADDING;
        let inner = self.turned(self.layout.size);
        let origin = (x + (width - inner.across) / 2.0, y + head + PADDING);
        for edge in self.panel.graph.edge_references() {
            self.arrow(out, origin, (edge.source().index(), edge.target().index()));
        }
        for (n, card) in self.panel.graph.node_weights().enumerate() {
            draw_card(out, card, &self.cards[n], self.corner(origin, n), self.turned(self.sizes[n]));
        }
        for edge in self.panel.graph.edge_references() {
            self.label(out, origin, (edge.source().index(), edge.target().index()), edge.weight());
        }
    }

    /// As height and width.
    fn turned(&self, size: Size) -> Size {
        match self.panel.flow {
            Flow::Down => size,
            Flow::Right => Size { along: size.across, across: size.along },
        }
    }

    fn corner(&self, origin: (f64, f64), n: usize) -> (f64, f64) {
        let at = self.turned(self.layout.corners[n]);
        (origin.0 + at.across, origin.1 + at.along)
    }

    /// Where an arrow leaves a card and where it meets the other.
    fn ends(&self, origin: (f64, f64), (from, to): (usize, usize)) -> ((f64, f64), (f64, f64)) {
        let ((ax, ay), (bx, by)) = (self.corner(origin, from), self.corner(origin, to));
        let (a, b) = (self.turned(self.sizes[from]), self.turned(self.sizes[to]));
        match self.panel.flow {
            Flow::Down => ((ax + a.across / 2.0, ay + a.along), (bx + b.across / 2.0, by)),
            Flow::Right => ((ax + a.across, ay + a.along / 2.0), (bx, by + b.along / 2.0)),
        }
    }

    fn arrow(&self, out: &mut String, origin: (f64, f64), edge: (usize, usize)) {
        let ((x0, y0), (x1, y1)) = self.ends(origin, edge);
        let (c0, c1) = match self.panel.flow {
            Flow::Down => ((x0, y0.midpoint(y1) + 10.0), (x1, y0.midpoint(y1) - 10.0)),
            Flow::Right => ((x0.midpoint(x1), y0), (x0.midpoint(x1), y1)),
        };
        let _ = writeln!(
            out,
            "<path d=\"M{x0:.1} {y0:.1}C{:.1} {:.1} {:.1} {:.1} {x1:.1} {y1:.1}\" fill=\"none\" stroke=\"#6b7c8d\" \
             stroke-width=\"1.4\" marker-end=\"url(#tip)\"/>",
            c0.0, c0.1, c1.0, c1.1
        );
    }

    fn label(&self, out: &mut String, origin: (f64, f64), edge: (usize, usize), label: &str) {
        if label.is_empty() {
            return;
        }
        let (_, (x, y)) = self.ends(origin, edge);
        on_arrow(out, (x, y - 20.0), label, "#fbfcfd");
    }
}

/// A text over an arrow.
fn on_arrow(out: &mut String, (x, y): (f64, f64), label: &str, ground: &str) {
    let wide = width(label, LABEL_CHAR) + 8.0;
    let _ = writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"16\" fill=\"{ground}\"/>\
         <text x=\"{x:.1}\" y=\"{:.1}\" class=\"label\" text-anchor=\"middle\">{}</text>",
        x - wide / 2.0,
        y - 8.0,
        y + 4.0,
        escaped(label)
    );
}

fn card_size(card: &Card, lines: &[String]) -> Size {
    let words = lines.iter().map(|line| width(line, LINE_CHAR)).fold(width(&card.title, TITLE_CHAR), f64::max);
    let height = TITLE_HEIGHT + LINE_HEIGHT * lines.len() as f64 + PADDING;
    Size { along: height, across: words + 2.0 * PADDING }
}

fn draw_card(out: &mut String, card: &Card, lines: &[String], (x, y): (f64, f64), size: Size) {
    let (width, height) = (size.across, size.along);
    if card.look == Look::More {
        text(out, (x + PADDING, y + height / 2.0 + 4.0), "more", &card.title);
        return;
    }
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\" {}/>",
        paint(card.look)
    );
    text(out, (x + PADDING, y + 20.0), "card", &card.title);
    for (n, line) in lines.iter().enumerate() {
        text(out, (x + PADDING, y + 20.0 + LINE_HEIGHT * (n + 1) as f64), "line", line);
    }
}

const fn paint(look: Look) -> &'static str {
    match look {
        Look::Runs => "fill=\"#e8f1fa\" stroke=\"#1f6fb2\" stroke-width=\"1.6\"",
        Look::Fused | Look::More => "fill=\"#f6f6f6\" stroke=\"#8a8f94\" stroke-width=\"1.2\" stroke-dasharray=\"5 3\"",
        Look::Shared => "fill=\"#fff2d6\" stroke=\"#b87400\" stroke-width=\"1.6\"",
    }
}

fn swatch(out: &mut String, (x, y): (f64, f64), look: Look) {
    let _ = writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"26\" height=\"14\" rx=\"3\" {}/>", paint(look));
    text(out, (x + 36.0, y + 11.5), "line", look.meaning());
}

fn legend_width(legend: &[Look]) -> f64 {
    legend.iter().map(|look| width(look.meaning(), LINE_CHAR) + 36.0).fold(0.0, f64::max)
}

fn arrow_between(out: &mut String, x: f64, y: f64, label: &str) {
    let (from, to) = (y - MARGIN + 2.0, y + 42.0);
    let _ = writeln!(
        out,
        "<path d=\"M{x:.1} {from:.1}V{to:.1}\" fill=\"none\" stroke=\"#6b7c8d\" stroke-width=\"1.4\" \
         stroke-dasharray=\"6 4\" marker-end=\"url(#tip)\"/>"
    );
    on_arrow(out, (x, from.midpoint(to)), label, "#fff");
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escaped(text));
}

fn width(text: &str, each: f64) -> f64 {
    text.chars().count() as f64 * each
}

/// The lines of a card, none of them too long.
fn wrapped(card: &Card) -> Vec<String> {
    let mut out = Vec::new();
    for line in &card.lines {
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > MOST_CHARS {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        out.push(current);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
