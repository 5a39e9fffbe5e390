//! The lines of a response, however its bytes are split.

use std::io::{self, BufRead, BufReader, Read};

use serde::de::IgnoredAny;

use crate::call::json::scan::is_whole;
use crate::call::stream::Fault;
use crate::text::BOM;

/// A line without its end.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub bytes: Vec<u8>,
    /// Whether the line had an end. The last line of a stream need not have one.
    pub ended: bool,
}

/// The lines of a reader, which end in CRLF, LF or CR. Each line is returned as soon as its end has arrived.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: u64,
    /// The number of lines so far.
    number: u64,
    after_cr: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Lines { reader: BufReader::new(reader), limit, number: 0, after_cr: false }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line>, Fault> {
        let mut bytes = Vec::new();
        loop {
            let available = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Fault::Read(e)),
                Ok([]) => return Ok((!bytes.is_empty()).then(|| self.line(bytes, false))),
                Ok([b'\n', ..]) if self.after_cr => {
                    self.after_cr = false;
                    self.reader.consume(1);
                    continue;
                }
                Ok(available) => available,
            };
            let mut parts = available.splitn(2, |byte| matches!(byte, b'\n' | b'\r'));
            let part = parts.next().unwrap_or_default();
            let end = parts.next().and(available.get(part.len())).copied();
            bytes.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.after_cr = end == Some(b'\r');
            if bytes.len() as u64 > self.limit {
                return Err(Fault::TooLong);
            }
            if end.is_some() {
                return Ok(Some(self.line(bytes, true)));
            }
        }
    }

    /// Returns the underlying reader.
    pub(super) fn reader(&self) -> &R {
        self.reader.get_ref()
    }

    /// Returns the maximum number of bytes of a line.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the number of lines so far.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn line(&mut self, mut bytes: Vec<u8>, ended: bool) -> Line {
        self.number += 1;
        if bytes.starts_with(BOM) {
            bytes.drain(..BOM.len());
        }
        Line { bytes, ended }
    }

    /// Returns the next line that is not blank. A last line without an end is complete if it is valid JSON.
    pub(crate) fn json(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        while let Some(line) = self.next()? {
            if line.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let complete = || is_whole(&line.bytes) || serde_json::from_slice::<IgnoredAny>(&line.bytes).is_ok();
            if !line.ended && !complete() {
                return Err(Fault::Truncated);
            }
            return Ok(Some(line.bytes));
        }
        Ok(None)
    }
}
