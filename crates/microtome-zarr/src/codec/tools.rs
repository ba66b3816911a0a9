//! Codec contexts that are dear to make: lent to one reader or writer at a time, and kept for the next.
//!
//! *Invariant:* there are never more contexts than there were reads and writes at once.

use std::sync::{Mutex, PoisonError};

/// The contexts that one thread of work uses, made at first use.
#[derive(Default)]
pub(crate) struct Tools {
    pub(super) zstd_decoder: Option<zstd::bulk::Decompressor<'static>>,
    pub(super) zstd_encoder: Option<(i32, zstd::bulk::Compressor<'static>)>,
    pub(super) deflate_decoder: Option<libdeflater::Decompressor>,
    pub(super) deflate_encoder: Option<(i32, libdeflater::Compressor)>,
}

/// Where idle contexts lie.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Vec<Tools>>);

impl Shelf {
    /// Lends contexts.
    pub(crate) fn take(&self) -> Lease<'_> {
        let tools = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Lease { shelf: self, tools }
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shelf")
    }
}

/// Contexts on loan; dropping gives them back.
pub(crate) struct Lease<'a> {
    shelf: &'a Shelf,
    tools: Tools,
}

impl Lease<'_> {
    /// The contexts.
    pub(crate) fn tools(&mut self) -> &mut Tools {
        &mut self.tools
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let tools = std::mem::take(&mut self.tools);
        self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
    }
}
