//! What the allocator does with memory that was freed.

/// Blocks of this size and more come from the system one by one and go back to it when they are freed.
const GIVEN_BACK_BYTES: libc::c_int = 256 * 1024;

/// Keeps large blocks out of the heap. The C library would raise the limit with each large block that is freed (to 32 MiB),
/// and then keep such blocks in the heap of each thread: 19 MiB for every worker that ever verified a password.
pub fn give_back_large_blocks() {
    // SAFETY: mallopt takes two numbers and touches nothing of ours; called before threads start.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIVEN_BACK_BYTES);
    }
}
