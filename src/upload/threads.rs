//! Starting threads, which can fail.

use crate::error::Error;

/// The error if the system cannot start another thread.
pub(crate) fn no_thread(e: std::io::Error) -> Error {
    Error::Transport {
        operation: "upload".into(),
        message: "cannot start a thread; nothing was sent".into(),
        sent: false,
        source: Some(e),
    }
}
