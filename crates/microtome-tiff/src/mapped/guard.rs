//! The handler of SIGBUS: a fault of a thread in pages that it watches becomes zeros and a mark; any other goes to whoever
//! handled it before.
//!
//! A mapped page that cannot be read, because the file was cut or its disk has a bad block, is told by this signal, which
//! ends a process that does not handle it.
//!
//! *Invariant:* nothing is mapped over but pages that [`watch`] was given by the very thread that faults. What runs in the
//! handler makes system calls and reads atomics, no more.
#![expect(unsafe_code, reason = "signal handlers are a matter of C; what is safe is in `mapped`")]

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering, compiler_fence};

/// Pages that a thread reads.
struct Slot {
    /// The thread, 0 where the slot is free. What else is in the slot is of this thread alone.
    thread: AtomicI32,
    start: AtomicUsize,
    end: AtomicUsize,
    hit: AtomicBool,
}

impl Slot {
    const fn free() -> Slot {
        Slot {
            thread: AtomicI32::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            hit: AtomicBool::new(false),
        }
    }
}

/// One for each thread that reads at a time; a thread that finds none reads without a map.
static SLOTS: [Slot; 256] = [const { Slot::free() }; 256];

/// What handled the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether the handler was put in place.
static IN_PLACE: OnceLock<bool> = OnceLock::new();

/// Bytes of a page.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Pages that are watched until this is dropped, on the thread that asked for it.
pub(super) struct Watch {
    slot: &'static Slot,
    of_one_thread: PhantomData<*const ()>,
}

/// Watches pages for this thread; `None` where that is not possible: another handler took the place of ours, or very many
/// threads are reading.
///
/// # Safety
/// The pages are mapped from a file by the caller, to be read only, and stay so until the watch is dropped.
pub(super) unsafe fn watch(pages: Range<usize>) -> Option<Watch> {
    if !*IN_PLACE.get_or_init(put_in_place) || !is_ours() {
        return None;
    }
    // SAFETY: asks for the number of this thread.
    let thread = unsafe { libc::gettid() };
    let is_free = |slot: &&Slot| slot.thread.compare_exchange(0, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let slot = SLOTS.iter().find(is_free)?;
    slot.hit.store(false, Ordering::Relaxed);
    slot.start.store(pages.start, Ordering::Relaxed);
    slot.end.store(pages.end, Ordering::Relaxed);
    // The handler runs on this thread: it sees what comes before in the program, if the compiler leaves the order as it is.
    compiler_fence(Ordering::SeqCst);
    Some(Watch { slot, of_one_thread: PhantomData })
}

impl Watch {
    /// Whether a page could not be read; then it is zeros from there on.
    pub(super) fn was_hit(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        self.slot.hit.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.slot.start.store(0, Ordering::Relaxed);
        self.slot.end.store(0, Ordering::Relaxed);
        self.slot.thread.store(0, Ordering::Release);
    }
}

/// Bytes of a page of memory.
pub(super) fn page_size() -> usize {
    // SAFETY: asks for a number of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn put_in_place() -> bool {
    PAGE.store(page_size(), Ordering::Relaxed);
    // SAFETY: both structures are ours and whole; the handler is a function of the signature that SA_SIGINFO asks for, and
    // finds what was before in BEFORE, which is filled first.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before) != 0 || BEFORE.set(before).is_err() {
            return false;
        }
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = handler_address();
        // On the stack for signals, where the thread has one: whoever comes next in the chain may handle full stacks.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut ours.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) == 0
    }
}

fn handler_address() -> usize {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
    handler as usize
}

/// Whether nobody put another handler in our place meanwhile.
fn is_ours() -> bool {
    // SAFETY: the structure is ours and whole; nothing is changed.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == handler_address()
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives the handler a whole structure; errno is this thread's own.
    let (errno, code, address) =
        unsafe { (*libc::__errno_location(), (*info).si_code, (*info).si_addr().expose_provenance()) };
    let is_fault = code > 0; // not sent by a process
    if !(is_fault && cover(address)) {
        pass_on(signal, info, context, is_fault);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Maps zeros over the watched pages from the one that holds `address` on, if this thread watches it.
fn cover(address: usize) -> bool {
    // SAFETY: asks for the number of this thread.
    let thread = unsafe { libc::gettid() };
    for slot in SLOTS.iter().filter(|slot| slot.thread.load(Ordering::Relaxed) == thread) {
        let (start, end) = (slot.start.load(Ordering::Relaxed), slot.end.load(Ordering::Relaxed));
        if !(start..end).contains(&address) {
            continue;
        }
        let from = address & !(PAGE.load(Ordering::Relaxed) - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: by the contract of `watch` these pages are a map of a file that this thread alone reads and that
        // outlives the watch; zeros take its place until it is unmapped as a whole.
        let zeros = unsafe {
            libc::mmap(std::ptr::with_exposed_provenance_mut(from), end - from, libc::PROT_READ, flags, -1, 0)
        };
        slot.hit.store(true, Ordering::Relaxed);
        return zeros != libc::MAP_FAILED;
    }
    false
}

/// Does with the signal what would have been done without this handler.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, is_fault: bool) {
    type Long = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    type Short = extern "C" fn(c_int);
    let before = BEFORE.get().map_or((libc::SIG_DFL, 0), |before| (before.sa_sigaction, before.sa_flags));
    match before {
        (libc::SIG_IGN, _) if !is_fault => {}
        (libc::SIG_DFL | libc::SIG_IGN, _) => {
            // SAFETY: puts the default back; a fault happens again and ends the process, what was sent is sent again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
        (handler, flags) if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: this flag says that the handler has this signature.
            let handler: Long = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        (handler, _) => {
            // SAFETY: without the flag it has this one.
            let handler: Short = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
