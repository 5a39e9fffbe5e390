//! A limit for work that could hang, for several test programs.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs a function, and panics if it has not returned after 30 seconds.
pub fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    within(Duration::from_secs(30), work)
}

/// Does the same with another limit, which must be shorter than the time after which a hanging function would return by
/// itself.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = sender.send(work());
    });
    match done.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => panic!("there is no result"),
        },
    }
}
