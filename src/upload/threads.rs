//! Threads that the system may not have.

use crate::error::Error;

/// The error when the system has no thread left.
pub(crate) fn no_thread(e: std::io::Error) -> Error {
    Error::Transport {
        operation: "upload".into(),
        message: "cannot start a thread; nothing was sent".into(),
        sent: false,
        source: Some(e),
    }
}
