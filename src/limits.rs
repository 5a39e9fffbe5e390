//! How long this crate waits at a time, and what it takes for "without end": one table, with the reason of each figure.

use std::time::Duration;

/// The longest wait of the operating system, or of a sleep, before cancellation and time limits are looked at again.
///
/// Short enough that a person who cancels sees no delay, and long enough that waiting costs no CPU time worth a word.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// The longest wait of a thread for news of another one that may change without notice, such as a permit of the rate limiter
/// or a due poll on a replaced clock. It is what such a thread is late by at the most.
pub(crate) const RECHECK: Duration = Duration::from_millis(20);

/// How often progress is reported, and a cancellation noticed, while no chunk is completed: ten times a second moves a bar
/// smoothly.
pub(crate) const PROGRESS_TICK: Duration = Duration::from_millis(100);

/// As good as no time limit: ten years. No clock is too small to add it to, which `Duration::MAX` would overflow.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The first and the longest pause before a socket that was full is written to again. The system cannot be asked to wait
/// for room without `unsafe` code, so the pauses double from the first to the longest. The first one is far shorter than
/// even a 64 KiB buffer lasts on a line of 1 GB/s, and so does not slow an upload. The longest one costs an upload that
/// has come to a stop 100 looks a second.
pub(crate) const WRITE_PAUSES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(10));

/// How long an attempt to connect to one address of a name may run alone, before the next address is tried beside it:
/// the "Connection Attempt Delay" that RFC 8305, section 5, recommends.
pub(crate) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// The same where the system has no thread left, so that addresses can only be tried one after the other. It is as long
/// as TCP waits before it repeats the first packet (RFC 6298, section 2.1): a server that is merely far away is reached.
pub(crate) const NEXT_ADDRESS_ALONE: Duration = Duration::from_secs(1);
