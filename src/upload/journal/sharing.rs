//! Files that other programs have open at the same time. Only Windows refuses a step for that reason.

use std::fs::OpenOptions;
use std::io;
use std::time::Duration;

/// Windows' error if another program has opened the file in a way that forbids this use of it.
pub(crate) const ERROR_SHARING_VIOLATION: i32 = 32;
/// Windows' error if the file is being removed, or if the file to be replaced is open.
const ERROR_ACCESS_DENIED: i32 = 5;
/// The pauses in milliseconds between attempts.
const PAUSES: [u64; 8] = [1, 5, 10, 20, 50, 100, 200, 400];

/// Returns options with which, on Windows, other programs can read the file while it is open, but cannot write to,
/// rename or remove it. On other systems they can, and [`leads_to`](super::lock::leads_to) detects it afterwards.
pub(crate) fn share_for_reading(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(windows)]
    {
        const FILE_SHARE_READ: u32 = 1;
        std::os::windows::fs::OpenOptionsExt::share_mode(options, FILE_SHARE_READ);
    }
    options
}

/// Repeats a step for about a second while Windows refuses it because another program has the file open. Virus
/// scanners, indexers and backups open a file that has just been written, and close it a moment later.
pub(crate) fn patiently<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pauses = PAUSES.iter().filter(|_| cfg!(windows));
    loop {
        match step() {
            Err(e) if matches!(e.raw_os_error(), Some(ERROR_SHARING_VIOLATION | ERROR_ACCESS_DENIED)) => {
                let Some(pause) = pauses.next() else { return Err(e) };
                std::thread::sleep(Duration::from_millis(*pause));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_repeated_only_where_the_system_refuses_it_for_a_moment() {
        let attempt = |code| {
            let mut attempts = 0;
            let result = patiently(|| {
                attempts += 1;
                if attempts < 3 { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
            });
            (attempts, result.is_ok())
        };
        let expected = if cfg!(windows) { (3, true) } else { (1, false) };
        for code in [ERROR_SHARING_VIOLATION, ERROR_ACCESS_DENIED] {
            assert_eq!(attempt(code), expected, "{code}");
        }
        // ERROR_FILE_NOT_FOUND, which is ENOENT on Unix.
        assert_eq!(attempt(2), (1, false));
    }
}
