//! Pages without metadata about their order: pages of the same shape and type are one scene along T.
//!
//! A page marked as a reduced image (`NewSubfileType` bit 0) that shrinks a scene evenly is a level of it; a page marked
//! as a mask (bit 2) never shares a scene with one that is not.

use microtome_array::Axis;

use super::build::can_be_level;
use super::{Draft, pages};
use crate::page::Layout;
use crate::set::{PlaneRef, Set};

struct Group {
    mask: bool,
    pages: Vec<u32>,
    levels: Vec<Vec<u32>>,
}

pub(super) fn arrange(set: &mut Set) -> Vec<Draft> {
    let mut groups: Vec<Group> = Vec::new();
    let mut skipped = Vec::new();
    let index = &set.main().index;
    let mut last = 0;
    for page in 0..index.chain() {
        match index.kind(page) {
            Ok(layout) => last = place(set, &mut groups, last, page, layout),
            Err(why) => skipped.push(format!("page {page} is left out: {why}")),
        }
    }
    let drafts = groups.into_iter().map(|group| draft(group, &mut skipped)).collect();
    set.warnings.append(&mut skipped);
    drafts
}

/// Puts a page into a group, that of the page before first; gives the group's number.
fn place(set: &Set, groups: &mut Vec<Group>, last: usize, page: u32, layout: &Layout) -> usize {
    let of = |page: u32| set.main().index.layout(page);
    let (reduced, mask) = (layout.tags.subfile & 1 != 0, layout.tags.subfile & 4 != 0);
    let first = |g: &Group| g.pages.first().and_then(|&p| of(p));
    if reduced {
        for (n, group) in groups.iter_mut().enumerate().rev().filter(|(_, g)| g.mask == mask) {
            if let Some(level) = group.levels.last_mut()
                && level.len() < group.pages.len()
                && of(level[0]).is_some_and(|l| l.same_plane(layout))
            {
                level.push(page);
                return n;
            }
            let smallest = group.levels.last().map_or(group.pages[0], |l| l[0]);
            let (Some(full), Some(smallest)) = (of(group.pages[0]), of(smallest)) else { continue };
            if can_be_level(full, smallest, layout) {
                group.levels.push(vec![page]);
                return n;
            }
        }
    }
    let fits = |g: &Group| g.mask == mask && first(g).is_some_and(|l| l.same_plane(layout));
    let known = groups.get(last).is_some_and(fits).then_some(last).or_else(|| groups.iter().position(fits));
    if let Some(n) = known {
        groups[n].pages.push(page);
        return n;
    }
    groups.push(Group { mask, pages: vec![page], levels: Vec::new() });
    groups.len() - 1
}

fn draft(group: Group, warnings: &mut Vec<String>) -> Draft {
    let refs = |list: &[u32]| list.iter().map(|&p| PlaneRef::new(0, p)).collect::<Vec<_>>();
    let count = group.pages.len();
    let mut draft = Draft::new([count as u64, 1, 1], refs(&group.pages));
    draft.guessed = vec![Axis::T];
    for level in group.levels {
        if level.len() == count {
            draft.levels.push(refs(&level));
        } else {
            let found = pages(level.len());
            warnings
                .push(format!("{found} from page {} on are a smaller level of {count}; they are left out", level[0]));
        }
    }
    draft
}
