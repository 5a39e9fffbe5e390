//! Reading on a separate thread, so that a silent reader does not block the caller.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::limits::SLICE;
use crate::sync::{Receiver, RecvError, Sender, channel};

/// The maximum size of one read.
const BLOCK: usize = 64 << 10;
/// The pauses between two polls of a silent pipe.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// Opens a file without waiting for the writer of a pipe or for a device.
#[cfg(unix)]
const O_NONBLOCK: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0x80
    } else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        0x4000
    } else {
        0x800
    }
} else if cfg!(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)) {
    0x4
} else if cfg!(any(target_os = "solaris", target_os = "illumos")) {
    0x80
} else {
    0
};

/// Adds the flag with which a pipe is opened without waiting.
pub(crate) fn nonblocking(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, O_NONBLOCK);
    options
}

/// Opens a file for reading without waiting. A read from a pipe returns the available bytes.
pub(crate) fn open_nonblocking(path: &Path) -> io::Result<File> {
    match nonblocking(OpenOptions::new().read(true)).open(path) {
        // Another program holds a lease on the file, which it releases only to an open that waits.
        Err(e) if e.kind() == ErrorKind::WouldBlock && path.is_file() => File::open(path),
        other => other,
    }
}

/// A source that can be read only once.
pub(crate) enum Origin {
    Reader(Box<dyn Read + Send>),
    /// A pipe or a device, opened when it is read.
    Pipe(PathBuf),
}

/// The receiving end of a background read.
pub(crate) struct Background {
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    block: Vec<u8>,
    taken: usize,
    pipe: Option<PathBuf>,
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    abandoned: AtomicBool,
    opened: AtomicBool,
}

impl Background {
    /// Starts reading. If `length` is known, reads that many bytes and no more.
    pub(crate) fn start(origin: Origin, length: Option<u64>) -> io::Result<Self> {
        let (sender, blocks) = channel(1);
        let pipe = match &origin {
            Origin::Pipe(path) => Some(path.clone()),
            Origin::Reader(_) => None,
        };
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("twelvelabs-read".into());
        let thread = thread.spawn(move || {
            if let Err(e) = read(origin, length, &sender, &theirs) {
                // Sending fails if the receiver has been dropped.
                let _ = sender.send(Err(e));
            }
        })?;
        Ok(Background { blocks: Some(blocks), block: Vec::new(), taken: 0, pipe, thread, shared })
    }

    /// Returns the bytes that have arrived: 0 at the end, or `None` if none arrived for a while.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.taken == self.block.len() {
            let Some(blocks) = &self.blocks else { return Ok(Some(0)) };
            match blocks.recv_timeout(SLICE) {
                Ok(block) => (self.block, self.taken) = (block?, 0),
                Err(RecvError::Timeout) => return Ok(None),
                Err(RecvError::Closed) => return Err(io::Error::other("the reader has panicked")),
            }
            if self.block.is_empty() {
                self.blocks = None;
            }
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(Some(count))
    }
}

/// Runs on the thread. Sends a block for each read, and an empty block at the end.
fn read(
    origin: Origin,
    mut remaining: Option<u64>,
    blocks: &Sender<io::Result<Vec<u8>>>,
    shared: &Shared,
) -> io::Result<()> {
    let is_pipe = matches!(origin, Origin::Pipe(_));
    let mut reader = match origin {
        Origin::Reader(reader) => reader,
        Origin::Pipe(path) => Box::new(open_pipe(&path, shared)?),
    };
    let mut pause = PAUSES[0];
    while remaining != Some(0) {
        let most = remaining.map_or(BLOCK, |remaining| usize::try_from(remaining).unwrap_or(BLOCK).min(BLOCK));
        let mut block = vec![0; most];
        match reader.read(&mut block) {
            Ok(count) if count > most => {
                return Err(io::Error::other("the reader claims to have read more bytes than fit into its buffer"));
            }
            Ok(count) => {
                block.truncate(count);
                remaining = remaining.map(|remaining| remaining.saturating_sub(count as u64));
                pause = PAUSES[0];
                if blocks.send(Ok(block)).is_err() || count == 0 {
                    return Ok(());
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && is_pipe => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSES[1]);
            }
            Err(e) => return Err(e),
        }
        if shared.abandoned.load(Ordering::SeqCst) {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits for a writer, and returns a handle on which reads do not block, so that an abandoned read consumes nothing.
fn open_pipe(path: &Path, shared: &Shared) -> io::Result<File> {
    if shared.abandoned.load(Ordering::SeqCst) {
        return Err(ErrorKind::Interrupted.into());
    }
    let waited = File::open(path)?;
    shared.opened.store(true, Ordering::SeqCst);
    if !cfg!(unix) {
        return Ok(waited);
    }
    let file = open_nonblocking(path)?;
    Ok(if is_same(&file.metadata()?, &waited.metadata()?) { file } else { waited })
}

/// Whether both describe the same file. On a system without inode numbers, this is unknown and assumed.
pub(crate) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (one, other);
        true
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
        self.blocks = None;
        let Some(path) = self.pipe.take().filter(|_| cfg!(unix)) else { return };
        // The thread may be waiting for a writer. Then only the flag ends it.
        for _ in 0..100 {
            if self.shared.opened.load(Ordering::SeqCst) || self.thread.is_finished() {
                return;
            }
            drop(nonblocking(OpenOptions::new().write(true)).open(&path));
            std::thread::sleep(PAUSES[0]);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_abandoned_pipe_leaves_no_thread() {
        let path = std::env::temp_dir().join(format!("twelvelabs-pipe-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for has_writer in [false, true] {
            let mut background = Background::start(Origin::Pipe(path.clone()), None).unwrap();
            let writer = has_writer.then(|| OpenOptions::new().write(true).open(&path).unwrap());
            assert_eq!(background.read(&mut [0; 9]).unwrap(), None);
            let thread = Arc::downgrade(&background.shared);
            drop(background);
            let began = Instant::now();
            while thread.strong_count() > 0 {
                assert!(
                    began.elapsed() < Duration::from_secs(30),
                    "the reading thread is still running (with a writer: {has_writer})"
                );
                std::thread::sleep(PAUSES[0]);
            }
            drop(writer);
        }
        std::fs::remove_file(path).unwrap();
    }
}
