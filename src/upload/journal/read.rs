//! Reading a journal: the position of the last line about each file, and how much of the journal is still current.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::text::{BOM, printable_path};
use crate::upload::journal::entry::{EntryHead, Header, Kind, MAX_LINE};
use crate::upload::journal::paths::{PathId, Paths};

/// The beginning of a journal written before the format had a header line.
const OLD_BEGINNING: &[u8] = br#"{"event":"#;
/// The size above which a journal is compacted if most of it is superseded.
const MIN_COMPACTED: u64 = 1 << 20;

/// The content of a journal and the positions of its lines.
#[derive(Default)]
pub(crate) struct Content {
    pub has_header: bool,
    /// The position of the last line about each path.
    pub last: HashMap<PathId, Range<u64>>,
    /// The positions of unrecognized lines. They are kept, because a later version may have written them.
    unrecognized: Vec<Range<u64>>,
    start: u64,
    end: u64,
    /// The number of bytes that are not superseded.
    live: u64,
    /// Whether the last line has no end.
    pub torn: bool,
    /// A path in the journal that is not a file of this run, if there is one.
    pub other: Option<String>,
    /// The paths of files that were sent in one request whose outcome is unknown.
    pub in_flight: HashSet<PathId>,
}

/// The state of reading: the criteria for a line, and what was found so far.
struct Reading<'a> {
    kind: Kind,
    header: &'a Header,
    paths: &'a Paths,
    path: &'a Path,
    content: Content,
    /// Whether an earlier line has identified the file as a journal.
    started: bool,
    /// The number of headers so far. Each one after the first begins a part of concatenated journals.
    part: u32,
    /// For each path in concatenated journals: the part of the last line that counts, and when it was written.
    written: Option<HashMap<PathId, (u32, OffsetDateTime)>>,
    /// The number of unreadable lines.
    skipped: u64,
}

impl Content {
    /// Reads a journal. Returns an error if it is of another kind, another account or another base URL.
    pub(crate) fn read(file: &File, kind: Kind, header: &Header, paths: &Paths, path: &Path) -> Result<Self> {
        let content = Content::default();
        let reading =
            Reading { kind, header, paths, path, content, started: false, part: 0, written: None, skipped: 0 };
        reading.read(file)
    }

    /// Whether most of the journal is superseded.
    pub(crate) fn is_old(&self) -> bool {
        self.end > MIN_COMPACTED && self.live < self.end / 2
    }

    /// Returns the ranges to copy into a compacted journal, in order.
    pub(crate) fn kept(&self) -> Vec<Range<u64>> {
        if !self.is_old() {
            return Vec::from_iter((self.start < self.end).then_some(self.start..self.end));
        }
        let mut kept: Vec<Range<u64>> = self.last.values().chain(&self.unrecognized).cloned().collect();
        kept.sort_unstable_by_key(|place| place.start);
        kept.dedup_by(|next, place| {
            let is_next = place.end == next.start;
            if is_next {
                place.end = next.end;
            }
            is_next
        });
        kept
    }
}

impl Reading<'_> {
    fn read(mut self, mut file: &File) -> Result<Content> {
        let (kind, path) = (self.kind, self.path);
        let fail = |e| Error::file(path, format!("cannot read the {}", kind.name()), Some(e));
        file.rewind().map_err(fail)?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let length = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(fail)? as u64;
            if length == 0 {
                break;
            }
            self.line(number, &line, length)?;
        }
        if self.part > 1 && self.written.is_none() {
            // Concatenated journals are read again, now with the time of each line.
            let (content, written) = (Content::default(), Some(HashMap::new()));
            return Reading { content, written, started: false, part: 0, skipped: 0, ..self }.read(file);
        }
        if self.skipped > 1 {
            log::warn!("{}: {} lines are skipped", printable_path(path), self.skipped);
        }
        Ok(self.content)
    }

    /// Whether a line in concatenated journals is older than the last one about its file in another part.
    ///
    /// The parts may be copies of one journal that were continued separately, so the position of a line says nothing.
    /// Within a part, the position counts, because the clock may have been set.
    fn is_older(&mut self, id: PathId, text: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Written {
            #[serde(with = "time::serde::rfc3339")]
            at: OffsetDateTime,
        }
        let Some(written) = &mut self.written else { return false };
        let Ok(Written { at }) = serde_json::from_slice(text) else { return false };
        let is_older = written.get(&id).is_some_and(|(part, last)| *part != self.part && at <= *last);
        if !is_older {
            written.insert(id, (self.part, at));
        }
        is_older
    }

    fn line(&mut self, number: u64, line: &[u8], length: u64) -> Result<()> {
        self.content.torn = !line.ends_with(b"\n");
        if self.content.torn && length == MAX_LINE {
            return self.refuse(&format!(
                "line {number} is longer than any line of a {} ({MAX_LINE} bytes)",
                self.kind.name()
            ));
        }
        let place = self.content.end..self.content.end + length;
        self.content.end = place.end;
        let mut text = line.trim_ascii();
        if let Some(rest) = text.strip_prefix(BOM).filter(|_| number == 1) {
            (text, self.content.start) = (rest, BOM.len() as u64);
        }
        if text.is_empty() {
            return Ok(());
        }
        match EntryHead::read(text) {
            // The first line of a state file is always a header.
            Ok(head) if self.started || self.kind == Kind::Manifest => self.entry(&head, text, place),
            head => match Header::read(text) {
                Some(found) => return self.header(&found, length),
                None => return self.unrecognized(number, text, place, head.err()),
            },
        }
        Ok(())
    }

    fn entry(&mut self, head: &EntryHead, text: &[u8], place: Range<u64>) {
        self.started = true;
        let id = self.paths.id(&head.path);
        if self.is_older(id, text) {
            return;
        }
        let content = &mut self.content;
        if content.other.is_none() && !self.paths.may_be_own(id) {
            content.other = Some(head.path.clone().into_owned());
        }
        match head.sent_at.is_some() {
            true => content.in_flight.insert(id),
            false => content.in_flight.remove(&id),
        };
        content.live += place.end - place.start;
        if let Some(old) = content.last.insert(id, place) {
            content.live -= old.end - old.start;
        }
    }

    fn header(&mut self, found: &Header, length: u64) -> Result<()> {
        if let Some(why) = found.refusal(self.header, self.kind) {
            return self.refuse(&why);
        }
        // A header further down comes from manifests that were concatenated.
        self.part += 1;
        self.content.has_header |= !self.started;
        self.started = true;
        self.content.live += length;
        Ok(())
    }

    fn unrecognized(
        &mut self,
        number: u64,
        text: &[u8],
        place: Range<u64>,
        why: Option<serde_json::Error>,
    ) -> Result<()> {
        // A manifest may consist of nothing but a torn line.
        let may_be_old = self.kind == Kind::Manifest && self.content.torn && text.starts_with(OLD_BEGINNING);
        if !self.started && !may_be_old {
            let what = self.kind.name();
            return self
                .refuse(&format!("this file is not a {what}; name another, or remove it if you do not need it"));
        }
        self.started = true;
        self.content.live += place.end - place.start;
        match self.content.unrecognized.last_mut().filter(|last| last.end == place.start) {
            Some(last) => last.end = place.end,
            None => self.content.unrecognized.push(place),
        }
        self.skipped += 1;
        if self.skipped == 1 {
            let why = why.map(|e| e.to_string()).unwrap_or_default();
            log::warn!("{}: line {number} is skipped: {why}", printable_path(self.path));
        }
        Ok(())
    }

    fn refuse(&self, why: &str) -> Result<()> {
        Err(Error::file(self.path, format!("{why} (nothing was written to it)"), None))
    }
}
