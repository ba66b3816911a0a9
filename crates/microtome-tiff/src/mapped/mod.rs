//! A stretch of a local file in memory, for the time of a closure, which copies out of it.
//!
//! *Invariant:* no reference to mapped bytes exists, here or elsewhere, so that nothing can be made of their changing; and
//! reading pages that are gone marks the map as spoiled instead of ending the process.
#![expect(
    unsafe_code,
    reason = "maps of files; the signal they may give is handled in `guard`, nothing else is unsafe here"
)]

mod guard;
mod local;

use std::fs::File;
use std::marker::PhantomData;

use memmap2::{MmapOptions, MmapRaw};

pub(crate) use local::is_local;

/// What became of reading through a map.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Every page was there.
    Whole,
    /// A page was not: what was copied is partly zeros.
    Spoiled,
    /// The file could not be mapped; nothing was read.
    NotMapped,
}

/// Mapped bytes.
pub(crate) struct View<'a> {
    start: *const u8,
    len: usize,
    map: PhantomData<&'a MmapRaw>,
}

impl View<'_> {
    /// Copies the bytes from `at` on into `out`.
    ///
    /// # Panics
    /// If so many are not mapped: a bug in the caller.
    pub(crate) fn copy(&self, at: usize, out: &mut [u8]) {
        assert!(at.checked_add(out.len()).is_some_and(|end| end <= self.len), "{at} + {} of {}", out.len(), self.len);
        // SAFETY: the map holds `len` bytes from `start` and lives as long as the view; `out` is memory of its own. What a
        // file becomes meanwhile may be copied in part, and bytes have no invalid values.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(at), out.as_mut_ptr(), out.len()) }
    }
}

/// Maps `len` bytes of a file from `offset` on, lets `read` copy out of them, and unmaps them. `all` says that it will copy
/// everything, so that pages are made ready at once.
pub(crate) fn with(file: &File, (offset, len): (u64, usize), all: bool, read: impl FnOnce(&View<'_>)) -> Read {
    let mut options = MmapOptions::new();
    options.offset(offset).len(len);
    if all {
        options.populate();
    }
    if len == 0 {
        return Read::NotMapped;
    }
    let Ok(map) = options.map_raw_read_only(file) else { return Read::NotMapped };
    let page = guard::page_size();
    let start = map.as_ptr().expose_provenance();
    let pages = start / page * page..(start + len).next_multiple_of(page);
    // SAFETY: these are the pages of `map`, which was declared before the watch and so is dropped after it, and which is
    // only read, by the closure, on this thread.
    let Some(watch) = (unsafe { guard::watch(pages) }) else { return Read::NotMapped };
    read(&View { start: map.as_ptr(), len, map: PhantomData });
    if watch.was_hit() { Read::Spoiled } else { Read::Whole }
}

#[cfg(test)]
mod tests;
