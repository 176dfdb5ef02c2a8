//! What a file in memory does when the file is shorter than its map, or the disk cannot read it: by itself a SIGBUS, which ends
//! the process with all of its sessions. Here such a page becomes one of zeros, and the map is told to be lost
//! ([`Guard::is_lost`]). Zeros verify nowhere, so who reads finds damage, and who finds damage asks.
//!
//! Only our own maps are treated so. Whatever else gets a SIGBUS ends as before.
//!
//! The handler must not allocate and must not wait (signal-safety(7)), so the maps stand in a list that only grows, of
//! entries that are used again. It reads them as others change them; that of the map that faulted is not being changed,
//! since somebody is reading through it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const CHUNK_ENTRIES: usize = 256;

/// One map; unused when its end is 0.
struct Entry {
    start: AtomicUsize,
    end: AtomicUsize,
    is_lost: AtomicBool,
}

struct Chunk {
    entries: [Entry; CHUNK_ENTRIES],
    next: AtomicPtr<Chunk>,
}

/// The newest chunk; none is ever given back.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(std::ptr::null_mut());
static UNUSED: Mutex<Vec<&'static Entry>> = Mutex::new(Vec::new());
static INSTALLED: Once = Once::new();
/// The size of a page here; the handler reads it, and asks nobody.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);

/// Keeps a range of addresses guarded until it is dropped: before the range is given back.
pub struct Guard(&'static Entry);

impl Guard {
    /// Guards a map that begins at this address and is so long.
    pub fn on(start: usize, length: usize) -> Guard {
        INSTALLED.call_once(install);
        let entry = unused_entry();
        entry.is_lost.store(false, Ordering::Relaxed);
        entry.start.store(start, Ordering::Relaxed);
        entry.end.store(start.saturating_add(length), Ordering::Release);
        Guard(entry)
    }

    /// Whether a page of it was not there: what was read since may be zeros, and what was written went nowhere.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end.store(0, Ordering::Release);
        UNUSED.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

fn unused_entry() -> &'static Entry {
    let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = unused.pop() {
        return entry;
    }
    let entry =
        || Entry { start: AtomicUsize::new(0), end: AtomicUsize::new(0), is_lost: AtomicBool::new(false) };
    let next = AtomicPtr::new(CHUNKS.load(Ordering::Relaxed));
    let chunk: &'static Chunk =
        Box::leak(Box::new(Chunk { entries: std::array::from_fn(|_| entry()), next }));
    CHUNKS.store(std::ptr::from_ref(chunk).cast_mut(), Ordering::Release);
    let (first, rest) = chunk.entries.split_at(1);
    unused.extend(rest);
    &first[0]
}

/// The map with this address in it.
fn entry_of(address: usize) -> Option<&'static Entry> {
    let mut chunk = CHUNKS.load(Ordering::Acquire);
    // SAFETY: null, or a chunk that was leaked whole before it was stored.
    while let Some(known) = unsafe { chunk.as_ref() } {
        let has = |entry: &&Entry| {
            let end = entry.end.load(Ordering::Acquire);
            (entry.start.load(Ordering::Acquire)..end).contains(&address)
        };
        if let Some(entry) = known.entries.iter().find(has) {
            return Some(entry);
        }
        chunk = known.next.load(Ordering::Acquire);
    }
    None
}

fn install() {
    PAGE_BYTES.store(page_bytes(), Ordering::Relaxed);
    // SAFETY: the action is whole; the handler does only what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// The size of a page.
pub fn page_bytes() -> usize {
    // SAFETY: a question.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel gives what belongs to SIGBUS (sigaction(2)).
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: errno is this thread's own.
    let errno = unsafe { *libc::__errno_location() };
    let is_mended = entry_of(address).is_some_and(|entry| {
        entry.is_lost.store(true, Ordering::Release); // before anybody can see zeros
        put_zeros(address)
    });
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    if !is_mended {
        // SAFETY: the access is made once more, and ends the process as it would have without us.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    }
}

/// A page of zeros in place of the one that cannot be had.
fn put_zeros(address: usize) -> bool {
    let length = PAGE_BYTES.load(Ordering::Relaxed);
    let page = address & !(length - 1);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the page is of a map of ours that is being read, so it is mapped and stays so; only its content was lost.
    let got = unsafe { libc::mmap(page as *mut libc::c_void, length, protection, flags, -1, 0) };
    got != libc::MAP_FAILED
}

/// What a map that was lost is answered with.
pub fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut, or cannot be read, while it was in use")
}
