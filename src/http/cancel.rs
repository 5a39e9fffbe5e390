//! Cancellation from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a call, a wait, a list, a stream or an upload from another thread. All clones of a handle are canceled
/// together.
///
/// Pass it to [`RequestOptions::cancel_handle`](crate::RequestOptions::cancel_handle) or to an upload. The call returns
/// within a fraction of a second, with an error for which [`Error::is_canceled`](crate::Error::is_canceled) is true. A
/// chunked upload remains on the platform and can be resumed. Your own code, such as a
/// [reader](crate::FileSource::reader) that blocks, cannot be interrupted. The call returns anyway, and the reading
/// thread ends when the read returns.
///
/// ```no_run
/// use twelvelabs::CancelHandle;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let cancel = CancelHandle::new();
/// let remote = cancel.clone();
/// std::thread::spawn(move || {
///     // Somebody presses a button, or a signal arrives.
///     remote.cancel();
/// });
/// let result = client.assets().upload("holiday.mp4").cancel_handle(&cancel).send();
/// if result.is_err_and(|e| e.is_canceled()) {
///     eprintln!("stopped");
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelHandle {
    canceled: Arc<AtomicBool>,
    parent: Option<Arc<CancelHandle>>,
}

impl CancelHandle {
    /// Creates a handle that is not canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops all calls that use this handle, now and in the future. It only sets a flag, so a signal handler may call
    /// it.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
    }

    /// Returns whether [`cancel`](Self::cancel) was called.
    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst) || self.parent.as_ref().is_some_and(|parent| parent.is_canceled())
    }

    /// Undoes the cancellation of a handle that is not shared.
    pub(crate) fn reset(&self) {
        self.canceled.store(false, Ordering::SeqCst);
    }

    /// Returns a handle that is canceled together with this one, and can also be canceled alone.
    pub(crate) fn child(&self) -> Self {
        CancelHandle { canceled: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }
}

/// Creates a handle that is canceled when this flag is set, for example by a signal.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::sync::atomic::AtomicBool;
///
/// use signal_hook::consts::SIGINT;
/// use twelvelabs::CancelHandle;
///
/// let stop = Arc::new(AtomicBool::new(false));
/// signal_hook::flag::register(SIGINT, stop.clone())?;
/// let cancel = CancelHandle::from(stop);
/// # Ok::<(), std::io::Error>(())
/// ```
impl From<Arc<AtomicBool>> for CancelHandle {
    fn from(flag: Arc<AtomicBool>) -> Self {
        CancelHandle { canceled: flag, parent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canceling_a_parent_cancels_its_child_and_not_vice_versa() {
        let parent = CancelHandle::new();
        let (child, other) = (parent.child(), parent.child());
        child.cancel();
        assert!(child.is_canceled() && !parent.is_canceled() && !other.is_canceled());
        parent.cancel();
        assert!(other.is_canceled() && other.child().is_canceled());
        child.reset();
        assert!(child.is_canceled(), "resetting a child does not reset its parent");
    }
}
