//! Sets of chunk indices: which chunks of a layer are needed.

use microtome_array::{ChunkIndex, IndexBox};

/// A set of chunk indices, kept as disjoint boxes.
///
/// A chain of layers needs one box; layers with several consumers need a few. Counting is exact and costs O(boxes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet {
    boxes: Vec<IndexBox>,
}

impl IndexSet {
    /// The set of one box.
    pub fn of(chunks: IndexBox) -> IndexSet {
        let mut set = IndexSet::default();
        set.insert(chunks);
        set
    }

    /// Adds a box; indices that are in the set already stay in it once.
    pub fn insert(&mut self, chunks: IndexBox) {
        let mut fresh = vec![chunks];
        for old in &self.boxes {
            fresh = fresh.iter().flat_map(|b| b.without(old)).collect();
        }
        self.boxes.extend(fresh.into_iter().filter(|b| !b.is_empty()));
    }

    /// The disjoint boxes.
    pub fn boxes(&self) -> &[IndexBox] {
        &self.boxes
    }

    /// Number of indices.
    pub fn count(&self) -> u64 {
        self.boxes.iter().map(IndexBox::count).sum()
    }

    /// Whether an index is in the set. O(boxes).
    pub fn contains(&self, index: &ChunkIndex) -> bool {
        self.boxes.iter().any(|b| b.contains(index))
    }

    /// Number of indices that lie in `chunks` too.
    pub fn count_in(&self, chunks: &IndexBox) -> u64 {
        self.boxes.iter().map(|b| b.intersect(chunks).count()).sum()
    }

    /// All indices, box by box, each in C order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        self.boxes.iter().flat_map(IndexBox::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::PerAxis;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn any_box() -> impl Strategy<Value = IndexBox> {
        (proptest::array::uniform6(0u64..4), proptest::array::uniform6(0u64..4)).prop_map(|(a, b)| IndexBox {
            start: PerAxis::from_fn(|x| a[x.index()].min(b[x.index()])),
            end: PerAxis::from_fn(|x| a[x.index()].max(b[x.index()])),
        })
    }

    proptest! {
        #[test]
        fn counts_each_index_once(boxes in proptest::collection::vec(any_box(), 0..5), probe in any_box()) {
            let mut set = IndexSet::default();
            let mut model = HashSet::new();
            for b in boxes {
                set.insert(b);
                model.extend(b.iter());
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.iter().collect::<HashSet<_>>(), model.clone());
            prop_assert_eq!(set.count_in(&probe), model.iter().filter(|i| probe.contains(i)).count() as u64);
        }
    }
}
