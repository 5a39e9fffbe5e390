//! Compacting a journal: what still counts is written to a second file, which then takes the place of the first.
//!
//! The second file is complete and on the disk before it gets its name, so a crash leaves one or the other. Compacting
//! in place was turned down, since a crash would leave neither.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::file::nonblocking;
use crate::text::printable_path;
use crate::upload::journal::entry::Header;
use crate::upload::journal::lock::{beside, private_options, share_for_reading};

/// The beginning of every journal.
const BEGINNING: &[u8] = br#"{"format":"twelvelabs-"#;

/// Where the parts of an old journal are in a new one.
pub(crate) struct OffsetMap {
    /// What was copied, in order, and where it begins now.
    parts: Vec<(Range<u64>, u64)>,
}

impl OffsetMap {
    pub(crate) fn apply(&self, place: &mut Range<u64>) {
        let next = self.parts.partition_point(|(part, _)| part.start <= place.start);
        // The first line, if a byte order mark stood before it.
        let Some((part, start)) = self.parts.get(next.saturating_sub(1)) else { return };
        let end = start + (place.end - part.start);
        *place = start + place.start.saturating_sub(part.start)..end;
    }
}

/// Why a journal was not rewritten, and the old one if it still has its name.
pub(crate) struct NotRewritten {
    pub error: io::Error,
    pub old: Option<File>,
}

/// Opens a journal that exists.
pub(crate) fn open_journal(path: &Path) -> io::Result<File> {
    share_for_reading(nonblocking(OpenOptions::new().read(true).append(true))).open(path)
}

/// Puts a journal with this first line, and these parts of the old one, in its place, all of it or nothing.
pub(crate) fn rewrite(
    path: &Path,
    header: &Header,
    old: Option<File>,
    kept: &[Range<u64>],
) -> Result<(File, OffsetMap), NotRewritten> {
    let fresh = beside(path, ".new");
    let written = remove_leftover(&fresh).and_then(|()| write_new(&fresh, header, old.as_ref(), kept));
    let (map, length) = match written {
        Ok(written) => written,
        Err(error) => return Err(NotRewritten { error, old }),
    };
    // Where there is no POSIX rename (FAT, exFAT, many network shares), no file takes the name of one that is open.
    let had_old = old.is_some();
    drop(old);
    if let Err(error) = std::fs::rename(&fresh, path) {
        // If that fails, too, the next run removes it.
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

/// Removes what a run has left that was killed here; anything else of this name stays.
fn remove_leftover(fresh: &Path) -> io::Result<()> {
    let is_ours = match fresh.symlink_metadata() {
        // Not a link, and not a pipe, which would be waited for.
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

/// Writes the new file and returns once it is on the disk, with its length. Nothing is left of it if that fails.
fn write_new(fresh: &Path, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<(OffsetMap, u64)> {
    let file = private_options().write(true).create_new(true).open(fresh)?;
    let written = copy(file, header, old, kept);
    if written.is_err() {
        // If that fails, too, the next run removes it.
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

/// Makes sure that the name of a file is on the disk, where that is possible.
///
/// Without it, a power cut may bring back the file that had the name before. That is no reason not to work on file
/// systems that cannot sync a folder, or in a folder that may be written to and not read.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // EINVAL and ENOTSUP: SMB, and some FUSE file systems.
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
    fn a_folder_that_cannot_be_synced_does_no_harm() {
        // Its files cannot be synced, with EINVAL.
        let path = Path::new("/proc/self/status");
        assert_eq!(File::open("/proc/self").unwrap().sync_all().unwrap_err().kind(), ErrorKind::InvalidInput);
        sync_folder(path).unwrap();
        assert!(sync_folder(Path::new("/proc/self/missing/status")).is_err());
    }
}
