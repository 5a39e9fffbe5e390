//! Stopping an upload from another thread, and one pause for all workers of a batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::http::session::{Session, Settings};

/// How often a pause looks whether it was canceled.
const SLICE: Duration = Duration::from_millis(50);

/// Stops an upload from another thread. Clones are the same handle.
///
/// What is being sent breaks off within a fraction of a second, and the call returns with an error for which
/// [`Error::is_canceled`] is true. A chunked upload stays at the platform and can be resumed. Only a connection that is
/// just being made ends no sooner than it is made, after 10 s at the most. (With an
/// [agent](crate::TwelveLabsBuilder::agent) of your own, a connection that is silent at that moment ends at its time
/// limit.)
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
    /// A handle for the uploads that it is given to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops everything that has this handle, for good. It only sets a flag: a signal handler may call it.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst) || self.parent.as_ref().is_some_and(|parent| parent.is_canceled())
    }

    /// A handle that is canceled with this one, and can be canceled by itself.
    pub(crate) fn child(&self) -> Self {
        CancelHandle { canceled: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }
}

/// The rate limit of an account, which all workers of a batch obey together.
#[derive(Default)]
pub(crate) struct Gate(Mutex<Option<Instant>>);

impl Gate {
    /// Nobody sends anything before `until`.
    pub(crate) fn close(&self, until: Instant) {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |have| have.max(until)));
    }

    fn closed_until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    /// Waits while the gate is closed. An error if the call was canceled.
    pub(crate) fn proceed(&self, operation: impl Fn() -> String) -> Result<()> {
        if let Some(gate) = &self.gate {
            // A pause is taken once, also on a clock that does not show it.
            let mut now = self.clock.now();
            while let Some(until) = gate.closed_until().filter(|until| *until > now) {
                self.pause(until - now, &operation)?;
                now = until;
            }
        }
        self.check_canceled(operation)
    }

    /// An error if the call was canceled.
    pub(crate) fn check_canceled(&self, operation: impl Fn() -> String) -> Result<()> {
        match &self.cancel {
            Some(cancel) if cancel.is_canceled() => Err(Error::Canceled { operation: operation() }),
            _ => Ok(()),
        }
    }

    /// Sleeps. An error if the call is canceled meanwhile.
    pub(crate) fn pause(&self, duration: Duration, operation: impl Fn() -> String) -> Result<()> {
        let Some(cancel) = &self.cancel else {
            self.clock.sleep(duration);
            return Ok(());
        };
        let mut left = duration;
        while !cancel.is_canceled() {
            if left.is_zero() {
                return Ok(());
            }
            let slice = left.min(SLICE);
            self.clock.sleep(slice);
            left -= slice;
        }
        Err(Error::Canceled { operation: operation() })
    }
}

/// A client for one upload or one batch, which can be stopped as a whole.
pub(crate) struct Working {
    pub client: Session,
    done: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
}

impl Working {
    /// With `cancel`, the connections are its own, so that they can be shut down without harm to others.
    pub(crate) fn new(client: &Session, cancel: Option<CancelHandle>, gate: Option<Arc<Gate>>) -> Result<Self> {
        let client = client.derived(cancel.clone(), gate);
        let done = Arc::new(AtomicBool::new(false));
        let watch = match cancel {
            Some(cancel) => Some(watch(&client, cancel, done.clone())?),
            None => None,
        };
        Ok(Working { client, done, watch })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        if let Some(watch) = self.watch.take() {
            watch.thread().unpark();
            // It ends by itself, and has nothing to say.
            let _ = watch.join();
        }
    }
}

/// Shuts the client's connections down when it is canceled.
fn watch(client: &Session, cancel: CancelHandle, done: Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let client = client.clone();
    let look = move || {
        while !done.load(Ordering::SeqCst) {
            if cancel.is_canceled() {
                client.settings().shut_down();
                return;
            }
            std::thread::park_timeout(SLICE);
        }
    };
    std::thread::Builder::new().name("twelvelabs-cancel".into()).spawn(look).map_err(no_thread)
}

/// The system has no thread left for this.
pub(crate) fn no_thread(e: std::io::Error) -> Error {
    Error::Transport {
        operation: "upload".into(),
        message: "cannot start a thread; nothing was sent".into(),
        sent: false,
        source: Some(e),
    }
}
