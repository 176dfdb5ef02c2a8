//! Which name server is asked first.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a look-up goes through the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As configured, each time; that a server did not answer is not remembered (S59: MX).
    Configured,
    /// A server that does not answer goes to the end of the list, for good: it comes forward again only as those before
    /// it go to the end themselves (S60: everything else).
    Demoting,
}

pub(crate) struct Servers {
    configured: Vec<SocketAddr>,
    demoting: Mutex<Vec<SocketAddr>>,
}

impl Servers {
    /// A server that stands twice in the list is asked once.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Servers {
        let mut configured: Vec<SocketAddr> = Vec::with_capacity(servers.len());
        for server in servers {
            if !configured.contains(&server) {
                configured.push(server);
            }
        }
        Servers { demoting: Mutex::new(configured.clone()), configured }
    }

    pub(crate) fn in_order(&self, order: Order) -> Vec<SocketAddr> {
        match order {
            Order::Configured => self.configured.clone(),
            Order::Demoting => self.lock().clone(),
        }
    }

    /// This server did not answer; whether others are asked before it from now on that were not so far.
    pub(crate) fn was_silent(&self, order: Order, server: SocketAddr) -> bool {
        if order == Order::Configured {
            return false;
        }
        let mut list = self.lock();
        let behind = list.iter().position(|one| *one == server).and_then(|place| list.get_mut(place..));
        let Some(behind) = behind else { return false };
        behind.rotate_left(1);
        behind.len() > 1
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.demoting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_server_comes_back_only_as_the_others_fall_silent() {
        let [a, b, c]: [SocketAddr; 3] =
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|a| a.parse().unwrap());
        let servers = Servers::new(vec![a, b, a, c]);
        assert_eq!(servers.in_order(Order::Demoting), [a, b, c]);
        assert!(servers.was_silent(Order::Demoting, a));
        assert_eq!(servers.in_order(Order::Demoting), [b, c, a]);
        assert!(!servers.was_silent(Order::Demoting, a));
        assert!(!servers.was_silent(Order::Configured, b));
        assert_eq!(servers.in_order(Order::Demoting), [b, c, a]);
        assert!(servers.was_silent(Order::Demoting, b));
        assert!(servers.was_silent(Order::Demoting, c));
        assert_eq!(servers.in_order(Order::Demoting), [a, b, c]);
        assert_eq!(servers.in_order(Order::Configured), [a, b, c]);
    }
}
