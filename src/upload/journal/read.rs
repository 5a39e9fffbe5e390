//! Reading a journal: where the last line about each path is, and how much of the file still counts.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::text::{BOM, printable_path};
use crate::upload::journal::entry::{EntryHead, Header, Kind, MAX_LINE, header_of};
use crate::upload::journal::paths::{PathId, Paths};

/// A journal from before there was a first line begins like this.
const OLD_BEGINNING: &[u8] = br#"{"event":"#;
/// A journal is compacted if it is larger than this and most of it is old.
const LEAST_COMPACTED: u64 = 1 << 20;

/// What is in a journal, and where.
#[derive(Default)]
pub(crate) struct Content {
    pub has_header: bool,
    /// The last line about each path.
    pub last: HashMap<PathId, Range<u64>>,
    /// What is not understood, and kept.
    unrecognized: Vec<Range<u64>>,
    start: u64,
    end: u64,
    /// How much of it still counts.
    live: u64,
    pub torn: bool,
    pub other: Option<String>,
    /// The paths of files that were sent in one request whose outcome is unknown.
    pub in_flight: HashSet<PathId>,
}

impl Content {
    pub(crate) fn read(file: &File, kind: Kind, header: &Header, paths: &Paths, path: &Path) -> Result<Self> {
        let what = kind.name();
        let fail = |e| Error::file(path, format!("cannot read the {what}"), Some(e));
        let refuse = |why: String| Err(Error::file(path, format!("{why}; nothing was written to it"), None));
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut content, mut line, mut started, mut passed_over) = (Content::default(), Vec::new(), false, 0u64);
        for number in 1u64.. {
            line.clear();
            let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(fail)? as u64;
            if read == 0 {
                break;
            }
            content.torn = !line.ends_with(b"\n");
            if content.torn && read == MAX_LINE {
                return refuse(format!("line {number} is longer than a {what} has any ({MAX_LINE} bytes)"));
            }
            let place = content.end..content.end + read;
            content.end = place.end;
            let mut text = line.trim_ascii();
            if let Some(rest) = text.strip_prefix(BOM).filter(|_| number == 1) {
                (text, content.start) = (rest, BOM.len() as u64);
            }
            if text.is_empty() {
                continue;
            }
            let known = serde_json::from_slice::<EntryHead>(text);
            if let Some(known) = known.as_ref().ok().filter(|_| started || kind == Kind::Manifest) {
                started = true;
                let id = paths.id(&known.path);
                if content.other.is_none() && !paths.own.contains(&id) {
                    content.other = Some(known.path.clone().into_owned());
                }
                match known.sent_at.is_some() {
                    true => content.in_flight.insert(id),
                    false => content.in_flight.remove(&id),
                };
                content.live += read;
                if let Some(old) = content.last.insert(id, place) {
                    content.live -= old.end - old.start;
                }
                continue;
            }
            if let Some(found) = header_of(text) {
                if let Some(why) = found.refusal(header) {
                    return refuse(why);
                }
                content.has_header |= !started;
                (started, content.live) = (true, content.live + read);
                continue;
            }
            let may_be_old = kind == Kind::Manifest && content.torn && text.starts_with(OLD_BEGINNING);
            if !started && !may_be_old {
                return refuse(format!("this file is not a {what}; name another, or remove it if it is of no use"));
            }
            started = true;
            content.live += read;
            match content.unrecognized.last_mut().filter(|last| last.end == place.start) {
                Some(last) => last.end = place.end,
                None => content.unrecognized.push(place),
            }
            passed_over += 1;
            if passed_over == 1 {
                let e = known.err().map(|e| e.to_string()).unwrap_or_default();
                log::warn!("{}: line {number} is passed over: {e}", printable_path(path));
            }
        }
        if passed_over > 1 {
            log::warn!("{}: {passed_over} lines are passed over", printable_path(path));
        }
        Ok(content)
    }

    pub(crate) fn is_old(&self) -> bool {
        self.end > LEAST_COMPACTED && self.live < self.end / 2
    }

    /// What of it goes into another one, in order.
    pub(crate) fn kept(&self) -> Vec<Range<u64>> {
        if !self.is_old() {
            return Vec::from_iter((self.start < self.end).then_some(self.start..self.end));
        }
        let mut kept: Vec<Range<u64>> = self.last.values().chain(&self.unrecognized).cloned().collect();
        kept.sort_unstable_by_key(|place| place.start);
        kept.dedup_by(|next, place| {
            let together = place.end == next.start;
            if together {
                place.end = next.end;
            }
            together
        });
        kept
    }
}
