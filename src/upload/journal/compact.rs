//! Compacting a journal: the current lines are written to a second file, which then replaces the journal.
//!
//! The second file is complete and on the disk before it is renamed, so a crash leaves one of the two intact.
//! Compacting in place was rejected, because a crash could destroy both.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::file::nonblocking;
use crate::text::printable_path;
use crate::upload::journal::entry::Header;
use crate::upload::journal::lock::{beside, private_options};
use crate::upload::journal::sharing::{patiently, share_for_reading};

/// The beginning of every journal.
const BEGINNING: &[u8] = br#"{"format":"twelvelabs-"#;

/// Maps the positions of lines in the old journal to those in the new one.
pub(crate) struct OffsetMap {
    /// The ranges that were copied, in order, and the new position of each.
    parts: Vec<(Range<u64>, u64)>,
}

impl OffsetMap {
    pub(crate) fn apply(&self, place: &mut Range<u64>) {
        let next = self.parts.partition_point(|(part, _)| part.start <= place.start);
        // The range may be the first line, without the byte order mark before it.
        let Some((part, start)) = self.parts.get(next.saturating_sub(1)) else { return };
        let end = start + (place.end - part.start);
        *place = start + place.start.saturating_sub(part.start)..end;
    }
}

/// The reason why a journal was not rewritten, and the old journal if it is still in place.
pub(crate) struct NotRewritten {
    pub error: io::Error,
    pub old: Option<File>,
}

/// Opens an existing journal.
pub(crate) fn open_journal(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    share_for_reading(nonblocking(options.read(true).append(true)));
    patiently(|| options.open(path))
}

/// Replaces a journal with a new one that consists of this header and these parts of the old one. If a step fails, the
/// old journal stays as it is.
pub(crate) fn rewrite(
    path: &Path,
    header: &Header,
    old: Option<File>,
    kept: &[Range<u64>],
) -> Result<(File, OffsetMap), NotRewritten> {
    let fresh = beside(path, ".new");
    let written = patiently(|| remove_leftover(&fresh)).and_then(|()| write_new(&fresh, header, old.as_ref(), kept));
    let (map, length) = match written {
        Ok(written) => written,
        Err(error) => return Err(NotRewritten { error, old }),
    };
    // Without POSIX rename (FAT, exFAT, many network shares), a file that is open cannot be replaced, so it is closed.
    let had_old = old.is_some();
    drop(old);
    let renamed = patiently(|| std::fs::rename(&fresh, path));
    if let Err(error) = renamed {
        // If the removal fails as well, the next run removes the file.
        let _ = std::fs::remove_file(&fresh);
        let old = if had_old { open_journal(path).ok() } else { None };
        return Err(NotRewritten { error, old });
    }
    let opened = sync_folder(path).and_then(|()| open_journal(path)).and_then(|file| {
        let is_it = file.metadata()?.len() == length;
        if is_it { Ok(file) } else { Err(io::Error::other("another file has taken its place")) }
    });
    opened.map(|file| (file, map)).map_err(|error| NotRewritten { error, old: None })
}

/// Removes a file left by a run that crashed while compacting. Any other file of this name is kept.
fn remove_leftover(fresh: &Path) -> io::Result<()> {
    let is_ours = match fresh.symlink_metadata() {
        // A link is not followed, and a pipe is not opened, since opening it might block.
        Ok(there) => there.is_file() && begins_as_journal(nonblocking(OpenOptions::new().read(true)).open(fresh)?)?,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if !is_ours {
        let message = format!("{} is in the way; move it elsewhere", printable_path(fresh));
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    std::fs::remove_file(fresh)
}

fn begins_as_journal(file: File) -> io::Result<bool> {
    let mut begins = Vec::new();
    file.take(BEGINNING.len() as u64).read_to_end(&mut begins)?;
    Ok(BEGINNING.starts_with(&begins))
}

/// Writes the new file, and returns its length once it is on the disk. If that fails, the file is removed.
fn write_new(fresh: &Path, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<(OffsetMap, u64)> {
    let file = private_options().write(true).create_new(true).open(fresh)?;
    let written = copy(file, header, old, kept);
    if written.is_err() {
        // If the removal fails as well, the next run removes the file.
        let _ = std::fs::remove_file(fresh);
    }
    written
}

fn copy(file: File, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<(OffsetMap, u64)> {
    if let Some(old) = old {
        file.set_permissions(old.metadata()?.permissions())?;
    }
    let mut output = BufWriter::with_capacity(1 << 16, file);
    let mut line = serde_json::to_vec(header)?;
    line.push(b'\n');
    output.write_all(&line)?;
    let (mut parts, mut end) = (Vec::with_capacity(kept.len()), line.len() as u64);
    if let Some(old) = old {
        let mut input = BufReader::with_capacity(1 << 16, old);
        let mut at = input.seek(SeekFrom::Start(0))?;
        for range in kept {
            input.seek_relative(range.start.cast_signed() - at.cast_signed())?;
            at = range.end;
            io::copy(&mut (&mut input).take(range.end - range.start), &mut output)?;
            parts.push((range.clone(), end));
            end += range.end - range.start;
        }
    }
    output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok((OffsetMap { parts }, end))
}

/// Syncs the folder of a file, so that the file's name is on the disk.
///
/// Without this, a power failure may bring back the file that had the name before. Errors that mean "not supported" are
/// ignored: some file systems cannot sync a folder, and a folder may be writable but not readable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // EINVAL and ENOTSUP come from SMB and from some FUSE file systems.
        Err(e)
            if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
        {
            log::debug!("{}: cannot sync the folder: {e}", printable_path(folder));
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_synced_is_accepted() {
        // Files in /proc cannot be synced: fsync fails with EINVAL.
        let path = Path::new("/proc/self/status");
        assert_eq!(File::open("/proc/self").unwrap().sync_all().unwrap_err().kind(), ErrorKind::InvalidInput);
        sync_folder(path).unwrap();
        assert!(sync_folder(Path::new("/proc/self/missing/status")).is_err());
    }
}
