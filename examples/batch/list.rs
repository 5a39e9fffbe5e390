//! The files listed in the argument of `--list`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

/// The byte order mark that a text editor on Windows may write at the start of UTF-8 text.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a list of paths, one per line; `-` is standard input.
///
/// # Errors
///
/// Fails if the list cannot be read or is not a list of lines. In the latter case, a single error says what it is;
/// otherwise each of its lines would be reported as a missing file.
pub fn read_list(list: &Path) -> io::Result<Vec<PathBuf>> {
    match list.to_str() {
        Some("-") => read(io::stdin().lock()),
        _ => read(BufReader::new(File::open(list)?)),
    }
}

fn read(reader: impl BufRead) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (number, line) in reader.split(b'\n').enumerate() {
        let line = line?;
        let mut line = line.as_slice();
        if number == 0 {
            line = line.strip_prefix(UTF_8_MARK).unwrap_or(line);
        }
        check(line)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            paths.push(path(line)?.into());
        }
    }
    Ok(paths)
}

/// Returns an error that says what the list is, if a line cannot be a path. No system allows a NUL byte in a path.
fn check(line: &[u8]) -> io::Result<()> {
    let has_utf_16_mark = line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff");
    let nuls = line.iter().filter(|byte| **byte == 0).count();
    if nuls == 0 && !has_utf_16_mark {
        return Ok(());
    }
    // In UTF-16, every other byte of most paths is NUL. In a NUL-separated list, only the end of each path is.
    let message = match has_utf_16_mark || nuls * 3 > line.len() {
        true => "it is in UTF-16; save it as UTF-8",
        false => "its paths are separated by NUL; write one path on each line (`find … -print`, not `-print0`)",
    };
    Err(io::Error::new(ErrorKind::InvalidData, message))
}

#[cfg(unix)]
fn path(line: &[u8]) -> io::Result<OsString> {
    Ok(std::os::unix::ffi::OsStringExt::from_vec(line.to_vec()))
}

#[cfg(not(unix))]
fn path(line: &[u8]) -> io::Result<OsString> {
    let text = std::str::from_utf8(line);
    text.map(OsString::from).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not in UTF-8; save it as UTF-8"))
}
