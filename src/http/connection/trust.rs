//! Decides which of the kept connections may be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The trust in kept connections, counted in epochs. A new epoch starts when a kept connection fails, and connections
/// on which nothing was heard since then are not used again.
///
/// A restarted load balancer, a network change, or a NAT that has lost its table ends all idle connections together,
/// but the system notices each one only when it is used. Without epochs, every attempt of a call could meet the next
/// dead connection. RFC 9112, section 9.3.1, requires clients to expect this.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Trust(Arc<AtomicU64>);

impl Trust {
    pub(super) fn epoch(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Starts a new epoch because a kept connection has failed.
    pub(in crate::http) fn withdraw(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
