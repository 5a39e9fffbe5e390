//! The limits of a call that still apply while its response is repaired: its deadline and its cancel handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::Error;
use crate::http::cancel::CancelHandle;

/// The deadline and the cancel handle of a call, for the work on its response after the exchange.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    until: Option<(Arc<dyn Clock>, Instant)>,
    cancel: Option<CancelHandle>,
}

/// The reason why the work on a response was stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stop {
    Canceled,
    DeadlinePassed,
}

impl Watch {
    /// Starts to watch a call that begins now.
    pub(crate) fn new(clock: &Arc<dyn Clock>, deadline: Option<Duration>, cancel: Option<CancelHandle>) -> Self {
        // A deadline too distant for the clock counts as none.
        let until = deadline.and_then(|deadline| Some((clock.clone(), clock.now().checked_add(deadline)?)));
        Watch { until, cancel }
    }

    /// Watches only a cancel handle. The items of a page have no deadline, because the caller decides when they are
    /// decoded.
    pub(crate) fn cancellation(cancel: Option<&CancelHandle>) -> Self {
        Watch { until: None, cancel: cancel.cloned() }
    }

    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
            return Err(Stop::Canceled);
        }
        match &self.until {
            Some((clock, until)) if clock.now() >= *until => Err(Stop::DeadlinePassed),
            _ => Ok(()),
        }
    }
}

impl Stop {
    /// Returns the error of the stopped call. It says that the request was sent, because the platform has answered.
    pub(crate) fn error(self, operation: String) -> Error {
        match self {
            Stop::Canceled => Error::Canceled { operation, sent: true },
            Stop::DeadlinePassed => {
                let message = "the deadline of the call passed while its malformed response was being repaired".into();
                Error::Timeout { operation, message, sent: true, source: None }
            }
        }
    }
}
