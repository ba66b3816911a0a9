//! Where cards go: in ranks, in an order that crosses few arrows.
//!
//! Layers are a chain or a small tree, so this is the simple kind of layered layout: a card stands one rank behind the
//! last of its inputs, a card without inputs just before its first consumer, and each rank is ordered by the mean place of
//! its neighbours.

use petgraph::Direction::{self, Incoming, Outgoing};
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

type Node = NodeIndex<u32>;

/// Extents along the ranks and across them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub(super) along: f64,
    pub(super) across: f64,
}

/// Gaps between ranks, and between cards of a rank.
pub(super) type Gaps = Size;

/// Where a graph's cards lie.
#[derive(Debug)]
pub(super) struct Layout {
    /// The corner of each card that is nearest to the origin; those of a rank are in line.
    pub(super) corners: Vec<Size>,
    /// The extent of all.
    pub(super) size: Size,
}

/// Sweeps of ordering; more change nothing in graphs of this size.
const SWEEPS: usize = 6;

/// Places the cards of a graph, given their sizes.
pub(super) fn place<N, E>(graph: &DiGraph<N, E, u32>, sizes: &[Size], gaps: Gaps) -> Layout {
    let ranks = ordered(graph, ranks(graph));
    let mut corners = vec![Size::default(); sizes.len()];
    let span = |rank: &[Node]| {
        let cards: f64 = rank.iter().map(|n| sizes[n.index()].across).sum();
        cards + gaps.across * rank.len().saturating_sub(1) as f64
    };
    let across = ranks.iter().map(|rank| span(rank)).fold(0.0, f64::max);
    let mut along = 0.0;
    for rank in &ranks {
        let depth = rank.iter().map(|n| sizes[n.index()].along).fold(0.0, f64::max);
        let mut at = (across - span(rank)) / 2.0;
        for node in rank {
            let size = sizes[node.index()];
            corners[node.index()] = Size { along, across: at };
            at += size.across + gaps.across;
        }
        along += depth + gaps.along;
    }
    let along = (along - gaps.along).max(0.0);
    Layout { corners, size: Size { along, across } }
}

/// The nodes of each rank.
fn ranks<N, E>(graph: &DiGraph<N, E, u32>) -> Vec<Vec<Node>> {
    // A plan has no circles; were there one, all would stand in one rank.
    let order = toposort(graph, None).unwrap_or_default();
    let mut rank = vec![0usize; graph.node_count()];
    for &node in &order {
        let inputs = graph.neighbors_directed(node, Incoming);
        rank[node.index()] = inputs.map(|n| rank[n.index()] + 1).max().unwrap_or(0);
    }
    for node in graph.externals(Incoming) {
        let first = graph.neighbors_directed(node, Outgoing).map(|n| rank[n.index()]).min();
        rank[node.index()] = first.map_or(rank[node.index()], |first| first.saturating_sub(1));
    }
    // What stands alone says what more there is of the results.
    let last = rank.iter().max().copied().unwrap_or(0);
    for node in graph.externals(Incoming).filter(|&n| graph.neighbors_directed(n, Outgoing).next().is_none()) {
        rank[node.index()] = last;
    }
    let mut ranks = vec![Vec::new(); last + 1];
    graph.node_indices().for_each(|node| ranks[rank[node.index()]].push(node));
    ranks
}

fn ordered<N, E>(graph: &DiGraph<N, E, u32>, mut ranks: Vec<Vec<Node>>) -> Vec<Vec<Node>> {
    let mut place = vec![0.0; graph.node_count()];
    for rank in &ranks {
        settle(rank, &mut place);
    }
    for sweep in 0..SWEEPS {
        let (direction, forward) = if sweep % 2 == 0 { (Incoming, true) } else { (Outgoing, false) };
        let count = ranks.len();
        for step in 0..count {
            let rank = &mut ranks[if forward { step } else { count - 1 - step }];
            let mut keyed: Vec<_> = rank.iter().map(|&n| (mean(graph, n, direction, &place), n)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *rank = keyed.into_iter().map(|(_, n)| n).collect();
            settle(rank, &mut place);
        }
    }
    ranks
}

/// Gives the nodes of a rank places from −½ to ½.
fn settle(rank: &[Node], place: &mut [f64]) {
    let count = rank.len() as f64;
    for (n, node) in rank.iter().enumerate() {
        place[node.index()] = (n as f64 + 0.5) / count - 0.5;
    }
}

fn mean<N, E>(graph: &DiGraph<N, E, u32>, node: Node, direction: Direction, place: &[f64]) -> f64 {
    let places: Vec<f64> = graph.neighbors_directed(node, direction).map(|n| place[n.index()]).collect();
    if places.is_empty() { place[node.index()] } else { places.iter().sum::<f64>() / places.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(count: usize) -> Vec<Size> {
        vec![Size { along: 10.0, across: 20.0 }; count]
    }

    const GAPS: Gaps = Size { along: 5.0, across: 4.0 };

    #[test]
    fn a_chain_is_a_line() {
        let graph = DiGraph::<(), (), u32>::from_edges([(0, 1), (1, 2)]);
        let layout = place(&graph, &sizes(3), GAPS);
        assert_eq!(layout.corners.iter().map(|c| c.along).collect::<Vec<_>>(), [0.0, 15.0, 30.0]);
        assert_eq!(layout.size, Size { along: 40.0, across: 20.0 });
    }

    #[test]
    fn cards_never_overlap() {
        let graph = DiGraph::<(), (), u32>::from_edges([(0, 3), (1, 3), (2, 4), (3, 5), (4, 5), (1, 4), (0, 5)]);
        let layout = place(&graph, &sizes(6), GAPS);
        for a in 0..6 {
            for b in 0..a {
                let (a, b) = (layout.corners[a], layout.corners[b]);
                let apart = (a.along - b.along).abs() >= 15.0 || (a.across - b.across).abs() >= 24.0;
                assert!(apart, "{layout:?}");
            }
        }
        for edge in graph.raw_edges() {
            assert!(layout.corners[edge.source().index()].along < layout.corners[edge.target().index()].along);
        }
    }

    #[test]
    fn results_stand_beside_what_they_are_made_from() {
        // Reads 0 and 2 belong to 5, reads 1 and 3 to 4.
        let graph = DiGraph::<(), (), u32>::from_edges([(0, 5), (1, 4), (2, 5), (3, 4)]);
        let layout = place(&graph, &sizes(6), GAPS);
        let at = |n: usize| layout.corners[n].across;
        let crossed = (at(4) < at(5)) != (at(1).max(at(3)) < at(0).min(at(2)));
        assert!(!crossed, "{layout:?}");
    }
}
