//! Which of the kept connections may be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The trust in kept connections, counted in epochs. A connection on which nothing was heard since the last one failed
/// is not used again.
///
/// A load balancer that is restarted, a network that was changed, or a NAT that has forgotten its table ends all idle
/// connections together, and the system learns that of each only when it is used. Without this, each attempt of a call
/// would meet the next dead one (RFC 9112, section 9.3.1: a client has to expect that).
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Trust(Arc<AtomicU64>);

impl Trust {
    pub(super) fn epoch(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins another epoch: a kept connection has failed.
    pub(in crate::http) fn withdraw(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
