//! The durations of waiting used throughout the crate, in one table with the reason for each.

use std::time::Duration;

/// The longest single wait in the operating system, or sleep, before cancellation and time limits are checked again.
///
/// It is short enough that a person who cancels sees no delay, and long enough that waiting uses almost no CPU time.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// The longest time for which a thread waits before it checks for a change that nobody announces, such as a permit of
/// the rate limiter or a poll that is due on a replaced clock. The thread notices such a change at most this much late.
pub(crate) const RECHECK: Duration = Duration::from_millis(20);

/// The interval at which progress is reported and cancellation is checked while no chunk completes. Ten times a second
/// moves a progress bar smoothly.
pub(crate) const PROGRESS_TICK: Duration = Duration::from_millis(100);

/// The stand-in for "no time limit": ten years. Any clock can add it, whereas `Duration::MAX` would overflow.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The first and the longest pause before a full socket is written to again, on systems where a write must not have a
/// timeout (Windows). Waiting until the socket has room would need `unsafe` code there, so the pauses double from the
/// first to the longest. The first is about as long as 64 KiB last on a line of 1 GB/s, and a network is slower than
/// that. The longest means that a stalled upload checks its socket 100 times a second.
pub(crate) const WRITE_PAUSES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(10));

/// The time for which one address of a name may be tried alone before the next is tried in parallel. RFC 8305, section
/// 5, recommends this value as the "Connection Attempt Delay".
pub(crate) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// The same delay when the system has no thread left and addresses can only be tried in sequence. It equals the time
/// before TCP retransmits its first packet (RFC 6298, section 2.1), so that a distant server is still reached.
pub(crate) const NEXT_ADDRESS_ALONE: Duration = Duration::from_secs(1);
