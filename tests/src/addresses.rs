//! Loopback addresses that nothing else on this machine listens on: neither another process of tests nor another run of them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Where a process of tests says which number it has: 127.252.x.y. A port that no service of the tests has, and none that the
/// system gives to clients.
const CLAIM: u16 = 1999;
/// Networks of 256 addresses that there are of each kind.
const NETWORKS: u32 = 124 * 250;

/// The number of this process, which it keeps until it ends.
fn number() -> u32 {
    static CLAIMED: OnceLock<(u32, TcpListener)> = OnceLock::new();
    let (number, _) = CLAIMED.get_or_init(|| {
        let begin = std::process::id();
        (begin..begin + NETWORKS)
            .map(|number| number % NETWORKS)
            .find_map(|number| {
                let [.., high, low] = number.to_be_bytes();
                Some((number, TcpListener::bind((Ipv4Addr::new(127, 252, high, low), CLAIM)).ok()?))
            })
            .expect("a free network of loopback addresses")
    });
    *number
}

fn next(first: u8, last: &AtomicU8) -> Ipv4Addr {
    let number = number();
    let [second, third] = [number / 250, number % 250].map(|part| u8::try_from(part).unwrap());
    Ipv4Addr::new(127, first + second, third, last.fetch_add(1, Ordering::Relaxed))
}

/// For an instance: 127.1.0.0 to 127.124.249.255.
pub fn of_instance() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    next(1, &NEXT)
}

/// For whoever an instance speaks to: 127.128.0.0 to 127.251.249.255.
pub fn of_peer() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    next(128, &NEXT)
}

/// A port of 127.0.0.1, for a program that must be told one. It is none of those that the system gives to clients, who could
/// take it before the program has it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = number().wrapping_mul(37);
    loop {
        let port = 10_000 + (first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
