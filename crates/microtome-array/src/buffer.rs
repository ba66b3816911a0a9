//! Pooled byte buffers, aligned to 64 bytes.
//!
//! *Invariant:* memory that a pool holds, lent or idle, is counted from the moment it is allocated until it is freed;
//! idle memory is given back to the system before the pool would pass its limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One cache line: what sizes are rounded to.
const LINE: usize = 64;
/// Buffers up to this size are not worth a lock: the allocator serves them from its own caches.
const POOLED_FROM: usize = 16 << 10;

/// Zeroed memory that starts on a cache line.
///
/// It is made of words, with room to skip to a line: memory for a type as aligned as a line is, the standard library's
/// allocator zeroes by writing it, all pages of a large array at once on one thread; words are zeroed when first touched.
#[derive(Default)]
struct Memory {
    words: Box<[u64]>,
    /// Bytes before the line.
    skip: usize,
}

impl Memory {
    fn zeroed(len: usize) -> Memory {
        let words: Box<[u64]> = bytemuck::allocation::zeroed_slice_box((len + LINE).div_ceil(size_of::<u64>()));
        let skip = words.as_ptr().cast::<u8>().align_offset(LINE);
        Memory { words, skip }
    }

    /// Bytes from the line on, if they were whole words.
    fn len(&self) -> usize {
        size_of_val::<[u64]>(&self.words) - LINE
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[self.skip..]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[self.skip..]
    }
}

/// A byte buffer aligned to 64 bytes that goes back to its pool when dropped.
pub struct Buffer {
    memory: Memory,
    len: usize,
    /// Where it goes back to; small ones do not.
    pool: Option<Arc<Inner>>,
}

impl Buffer {
    /// A zeroed buffer outside any pool.
    pub fn zeroed(len: usize) -> Buffer {
        Buffer { memory: Memory::zeroed(len), len, pool: None }
    }

    /// Length in bytes as asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len]
    }

    /// Shortens the buffer; its memory stays with it.
    ///
    /// # Panics
    /// If `len` is longer than the buffer: a bug in the caller.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "a buffer of {} bytes cannot grow to {len}", self.len);
        self.len = len;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(std::mem::take(&mut self.memory));
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

/// Bytes that count as lent by a pool and are allocated elsewhere.
#[must_use = "the bytes are counted as long as this lives"]
pub struct Charge {
    bytes: u64,
    pool: Arc<Inner>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.lock().stats.lent -= self.bytes;
    }
}

impl std::fmt::Debug for Charge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Charge({} bytes)", self.bytes)
    }
}

/// What a pool holds and has held, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes lent out now.
    pub lent: u64,
    /// Bytes kept for reuse now.
    pub idle: u64,
    /// The most bytes that were ever lent out at once.
    pub peak_lent: u64,
}

/// Lends buffers and takes them back for reuse; a clone shares the same pool.
///
/// Fresh memory costs a page fault per 4 KiB, which is dearer than most kernels here: reuse is what the pool is for.
#[derive(Clone)]
pub struct BufferPool(Arc<Inner>);

struct Inner {
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: BTreeMap<usize, Vec<Memory>>,
    stats: PoolStats,
}

impl BufferPool {
    /// A pool that keeps idle buffers as long as lent and idle bytes together stay within `limit` bytes.
    ///
    /// The limit bounds what is *kept*; what is lent is bounded by who asks (see the executor's budget).
    pub fn new(limit: u64) -> BufferPool {
        BufferPool(Arc::new(Inner { limit, state: Mutex::default() }))
    }

    /// Lends a buffer of `len` bytes. **Its contents are unspecified**: whoever takes it writes all of it.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::BufferPool;
    /// let pool = BufferPool::new(1 << 20);
    /// let buffer = pool.take(100_000);
    /// assert_eq!(buffer.bytes().as_ptr() as usize % 64, 0);
    /// drop(buffer);
    /// assert_eq!(pool.stats().lent, 0);
    /// assert!(pool.stats().idle >= 100_000);
    /// ```
    pub fn take(&self, len: usize) -> Buffer {
        let bytes = BufferPool::charged(len as u64) as usize;
        if bytes < POOLED_FROM {
            return Buffer::zeroed(len);
        }
        let memory = self.0.lend(bytes).unwrap_or_else(|| Memory::zeroed(bytes));
        Buffer { memory, len, pool: Some(Arc::clone(&self.0)) }
    }

    /// Counts bytes as lent that are allocated elsewhere (by a codec), until the loan is dropped.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::BufferPool;
    /// let pool = BufferPool::new(1 << 20);
    /// let loan = pool.charge(5000);
    /// assert_eq!(pool.stats().lent, 5000);
    /// drop(loan);
    /// assert_eq!(pool.stats(), microtome_array::PoolStats { lent: 0, idle: 0, peak_lent: 5000 });
    /// ```
    pub fn charge(&self, bytes: u64) -> Charge {
        let mut state = self.0.lock();
        state.stats.lent += bytes;
        state.stats.peak_lent = state.stats.peak_lent.max(state.stats.lent);
        state.shrink_to(self.0.limit);
        drop(state);
        Charge { bytes, pool: Arc::clone(&self.0) }
    }

    /// The bytes that a buffer of `len` bytes really takes: up to an eighth more, so that buffers of nearly equal
    /// length (encoded strips) are reused for each other. Plans must reserve this.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::BufferPool;
    /// assert_eq!(BufferPool::charged(2 << 20), 2 << 20);
    /// assert_eq!(BufferPool::charged((2 << 20) + 1), (2 << 20) + (256 << 10));
    /// assert_eq!(BufferPool::charged(100), 128);
    /// ```
    pub fn charged(len: u64) -> u64 {
        let step = (len.checked_ilog2().map_or(0, |log| 1u64 << log.saturating_sub(3))).max(LINE as u64);
        len.div_ceil(step) * step
    }

    /// What the pool holds now.
    pub fn stats(&self) -> PoolStats {
        self.0.lock().stats
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool").field("limit", &self.0.limit).field("stats", &self.stats()).finish()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements that can panic (none), so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle buffer of just `bytes`, if there is one; counts the loan either way.
    fn lend(&self, bytes: usize) -> Option<Memory> {
        let mut state = self.lock();
        let found = state.remove(bytes);
        state.stats.lent += bytes as u64;
        state.stats.peak_lent = state.stats.peak_lent.max(state.stats.lent);
        state.shrink_to(self.limit);
        found
    }

    fn give_back(&self, memory: Memory) {
        let bytes = memory.len();
        let mut state = self.lock();
        state.stats.lent -= bytes as u64;
        state.stats.idle += bytes as u64;
        state.idle.entry(bytes).or_default().push(memory);
        state.shrink_to(self.limit);
    }
}

impl State {
    fn remove(&mut self, size: usize) -> Option<Memory> {
        let shelf = self.idle.get_mut(&size)?;
        let memory = shelf.pop();
        if shelf.is_empty() {
            self.idle.remove(&size);
        }
        if memory.is_some() {
            self.stats.idle -= size as u64;
        }
        memory
    }

    /// Frees idle buffers, largest first, until lent and idle bytes fit the limit or nothing is idle.
    fn shrink_to(&mut self, limit: u64) {
        while self.stats.lent + self.stats.idle > limit {
            let Some((&size, _)) = self.idle.last_key_value() else { return };
            drop(self.remove(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_came_back_is_lent_again() {
        let pool = BufferPool::new(1 << 30);
        let first = pool.take(1 << 20).bytes().as_ptr() as usize;
        let second = pool.take(1 << 20).bytes().as_ptr() as usize;
        assert_eq!(first, second);
    }

    #[test]
    fn every_buffer_starts_on_a_cache_line_and_has_its_length() {
        let pool = BufferPool::new(1 << 30);
        for len in [0, 1, 63, 64, 65, 1000, 16 << 10, 100_001, 3_333_333] {
            for buffer in [pool.take(len), Buffer::zeroed(len)] {
                assert_eq!(buffer.bytes().as_ptr() as usize % LINE, 0);
                assert_eq!((buffer.len(), buffer.bytes().len()), (len, len));
            }
        }
    }

    #[test]
    fn what_is_lent_is_what_was_charged() {
        let pool = BufferPool::new(1 << 30);
        for len in [16 << 10, 100_000, 1 << 20, (1 << 20) + 1, 3_333_333] {
            let buffer = pool.take(len);
            assert_eq!(pool.stats().lent, BufferPool::charged(len as u64));
            drop(buffer);
        }
    }

    #[test]
    fn idle_memory_is_freed_before_the_limit_is_passed() {
        let pool = BufferPool::new(3 << 20);
        drop(pool.take(2 << 20));
        let big = pool.take(3 << 20);
        assert_eq!(pool.stats(), PoolStats { lent: 3 << 20, idle: 0, peak_lent: 3 << 20 });
        drop(big);
    }

    #[test]
    fn stats_return_to_zero_when_everything_came_back() {
        let pool = BufferPool::new(0);
        let all: Vec<Buffer> = (1..20).map(|n| pool.take(n * 50_000)).collect();
        drop(all);
        assert_eq!((pool.stats().lent, pool.stats().idle), (0, 0));
    }
}
