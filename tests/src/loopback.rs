//! Loopback addresses and ports of the directory servers of a test, which no other process's tests take. Those of instances and
//! of other hosts are claimed, see `addresses.rs`.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

/// The two addresses of this process's other servers, which share them: each has a port of its own ([`port`]).
pub fn of_process() -> [Ipv4Addr; 2] {
    let pid = std::process::id();
    [128, 192].map(|from| Ipv4Addr::new(127, from + ((pid >> 16) % 60) as u8, (pid >> 8) as u8, pid as u8))
}

/// A port of those addresses that no other server of this process has; below those that the system gives away.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(3000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
