//! Compacting a journal: what still counts is written to a second file, which then takes the place of the first.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::text::printable_path;
use crate::upload::journal::entry::Header;
use crate::upload::journal::lock::beside;

/// What every journal begins with.
const BEGINNING: &[u8] = br#"{"format":"twelvelabs-"#;

/// Where the parts of an old journal are in a new one.
pub(crate) struct OffsetMap {
    /// What was copied, in order, and where it begins now.
    parts: Vec<(Range<u64>, u64)>,
}

impl OffsetMap {
    pub(crate) fn apply(&self, place: &mut Range<u64>) {
        let next = self.parts.partition_point(|(part, _)| part.start <= place.start);
        // The first line, if something stood before it.
        let Some((part, start)) = self.parts.get(next.saturating_sub(1)) else { return };
        let end = start + (place.end - part.start);
        *place = start + place.start.saturating_sub(part.start)..end;
    }
}

/// Puts a journal with this first line, and these parts of the old one, in its place, at once or not at all.
pub(crate) fn rewrite(
    path: &Path,
    header: &Header,
    old: Option<&File>,
    kept: &[Range<u64>],
) -> io::Result<(File, OffsetMap)> {
    let fresh = beside(path, ".new");
    match File::open(&fresh) {
        // What a run has left that was killed here.
        Ok(left) if is_ours(&left)? => std::fs::remove_file(&fresh)?,
        Ok(_) => {
            let message = format!("{} is in the way; move it to another place", printable_path(&fresh));
            return Err(io::Error::new(ErrorKind::AlreadyExists, message));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let written = write_new(&fresh, header, old, kept).and_then(|moved| {
        std::fs::rename(&fresh, path)?;
        sync_folder(path)?;
        Ok(moved)
    });
    match written {
        Ok(moved) => Ok((OpenOptions::new().read(true).append(true).open(path)?, moved)),
        Err(e) => {
            // If that fails too, it is in nobody's way.
            let _ = std::fs::remove_file(&fresh);
            Err(e)
        }
    }
}

fn is_ours(left: &File) -> io::Result<bool> {
    let mut begins = Vec::new();
    left.take(BEGINNING.len() as u64).read_to_end(&mut begins)?;
    Ok(BEGINNING.starts_with(&begins))
}

fn write_new(fresh: &Path, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<OffsetMap> {
    let file = OpenOptions::new().write(true).create_new(true).open(fresh)?;
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
    Ok(OffsetMap { parts })
}

/// Makes sure that the name of a file is on the disk, where folders can be synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
