//! The journal of a batch, or of one upload: the outcome of each file, one JSON text a line.
//!
//! The first line says whose it is. Every event is written at once and completely, and the last line about a file says
//! all that is known of it. A line that was torn by a crash is passed over.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::file::look;
use crate::hash::Fnv1a;
use crate::http::session::{Session, Settings};
use crate::resources::assets::Asset;
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::{BOM, printable, printable_path, public_url, without_bom};
use crate::upload::journal::lock::{Lock, beside, leads_to};
use crate::upload::journal::paths::{Folders, PathId, Paths};

const VERSION: u32 = 1;
/// What every journal begins with.
const BEGINNING: &[u8] = br#"{"format":"twelvelabs-"#;
/// A journal from before there was a first line begins like this.
const OLD_BEGINNING: &[u8] = br#"{"event":"#;
/// A longer line is not one of a journal.
const MOST_LINE: u64 = 16 << 20;
/// A journal is compacted if it is larger than this and most of it is old.
const LEAST_COMPACTED: u64 = 1 << 20;

/// The two kinds of journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a batch.
    Manifest,
    /// Of one upload.
    State,
}

impl Kind {
    /// What errors call it.
    fn name(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::State => "state file",
        }
    }

    fn format(self) -> &'static str {
        match self {
            Kind::Manifest => "twelvelabs-manifest",
            Kind::State => "twelvelabs-upload",
        }
    }
}

/// A file as it was: another size or time means another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileKey {
    /// The absolute path.
    pub path: String,
    pub size: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified: Option<i64>,
}

impl FileKey {
    /// Looks at a file. Only a regular file has a key.
    pub(crate) fn of(path: &Path, folders: &Mutex<Folders>) -> Result<Self> {
        let Some(stamp) = look(path)? else {
            let message = "this is no regular file but a pipe or a device; `upload` without a state file takes it";
            return Err(Error::file(path, message, None));
        };
        let path = lock(folders).key(path);
        Ok(FileKey { path, size: stamp.size, modified: stamp.modified })
    }
}

/// The first line: whose assets the ids are.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    base_url: String,
    account: String,
}

impl Header {
    fn of(kind: Kind, settings: &Settings) -> Self {
        Header {
            format: kind.format().into(),
            version: VERSION,
            base_url: public_url(&settings.options.base_url),
            account: fingerprint(&settings.options.api_key),
        }
    }

    /// Why a journal with this first line is not one of `own`, if so.
    fn refusal(&self, own: &Header) -> Option<String> {
        if self.format != own.format {
            return Some(format!("it is a `{}`, and not a `{}`", printable(&self.format, 100), own.format));
        }
        if self.version > own.version {
            let (is, known) = (self.version, own.version);
            return Some(format!("it has version {is} of its format, and this program knows {known}: update it"));
        }
        if self.base_url != own.base_url {
            let (is, own) = (printable(&self.base_url, 200), &own.base_url);
            return Some(format!("it is of {is}, and not of {own}: use a file for each"));
        }
        (self.account != own.account).then(|| {
            let (is, own) = (printable(&self.account, 20), &own.account);
            format!(
                "it was started with another API key ({is}, not {own}): use a file for each account; if the account is the \
                 same and has a new key, remove the first line of the file"
            )
        })
    }
}

/// 32 bits that distinguish one API key from another: FNV-1a and the finalizer of MurmurHash 3, which are the same
/// everywhere and forever. Whatever the hash, nobody can learn more than 32 bits of a key from it, also from many
/// journals.
fn fingerprint(api_key: &str) -> String {
    let hash = Fnv1a::new().bytes(b"twelvelabs manifest: ").bytes(api_key.as_bytes()).finish();
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    format!("{:08x}", hash >> 32)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// The file is being sent in one request.
    Sending,
    /// A chunked upload has started.
    Session,
    /// The file has arrived; the asset is not known to be ready.
    Uploaded,
    /// Nothing is left to do.
    Done,
    Failed,
}

/// One line: the state of a file from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub event: Event,
    #[serde(flatten)]
    pub file: FileKey,
    /// A chunked upload that can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub upload: Option<ResumableUpload>,
    /// When the file was sent in one request whose outcome is unknown.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<OffsetDateTime>,
    /// An asset that may become ready.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub asset_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub asset: Option<Asset>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub message: Option<String>,
    /// Whether the file can never succeed.
    #[serde(default)]
    pub permanent: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
}

/// What a later version may have written in another way costs no more than itself.
fn if_it_fits<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    // By way of its text, so that each type is read from texts alone.
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_slice(value.to_string().as_bytes()).ok())
}

/// As much of a line as says which file it is about.
#[derive(Deserialize)]
struct EntryHead<'a> {
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    #[serde(rename = "event")]
    _event: Event,
    size: u64,
    sent_at: Option<IgnoredAny>,
}

impl Entry {
    pub(crate) fn new(event: Event, file: &FileKey) -> Self {
        Entry {
            event,
            file: file.clone(),
            upload: None,
            sent_at: None,
            asset_id: None,
            asset: None,
            code: None,
            message: None,
            permanent: false,
            at: None,
        }
    }

    /// Without ids that cannot be asked for: a file does not fail forever over them.
    fn usable(self) -> Self {
        Entry {
            upload: self.upload.filter(|upload| is_id(&upload.upload_id)),
            asset_id: self.asset_id.filter(|id| is_id(id)),
            asset: self.asset.filter(|asset| is_id(&asset.id)),
            ..self
        }
    }
}

fn is_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.chars().any(char::is_control)
}

/// An open journal, which nobody else has open.
pub(crate) struct Manifest {
    kind: Kind,
    path: PathBuf,
    file: File,
    /// Whether the last line was torn, and has to be ended before the next.
    torn: bool,
    paths: Paths,
    /// Where the last line about each path of its own is, until it is taken.
    known: HashMap<PathId, Range<u64>>,
    /// A path that is not its own, if it has any.
    other: Option<String>,
    /// The sizes of its own paths that were sent with an unknown outcome.
    in_flight: HashMap<String, u64>,
    lock: Lock,
}

impl Manifest {
    /// Opens a journal, or begins one. What is known of paths other than these is passed over.
    pub(crate) fn open(kind: Kind, path: &Path, client: &Session, paths: Paths) -> Result<Self> {
        let what = kind.name();
        let fail = |e| Error::file(path, format!("cannot open the {what}"), Some(e));
        // Behind every link, so that two names of one file are one lock, and no link is replaced by a file.
        let path = &match path.canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => Folders::default().place(path),
            canonical => canonical.map_err(fail)?,
        };
        if paths.own.contains(&paths.id(&Folders::default().key(path))) {
            let message =
                format!("the {what} is itself one of the files to upload: name another, or leave it out of them");
            return Err(Error::file(path, message, None));
        }
        match path.metadata() {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::file(path, format!("the {what} has to be a file"), None));
            }
            Err(e) if e.kind() != ErrorKind::NotFound || !path.parent().is_some_and(Path::is_dir) => {
                return Err(fail(e));
            }
            _ => {}
        }
        let settings = client.settings();
        let lock = Lock::on(path, settings.clock.utc_now())?;
        let header = Header::of(kind, settings);
        let old = match OpenOptions::new().read(true).append(true).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            old => Some(old.map_err(fail)?),
        };
        let mut content = match &old {
            Some(old) => Content::read(old, kind, &header, &paths, path)?,
            None => Content::default(),
        };
        let file = match old {
            Some(old) if content.has_header && !content.is_old() => old,
            old => match rewrite(path, &header, old.as_ref(), &content.kept()) {
                Ok((file, moved)) => {
                    content.last.values_mut().for_each(|place| moved.apply(place));
                    file
                }
                Err(e) => match old.filter(|_| content.has_header) {
                    Some(old) => {
                        log::warn!("{}: the {what} cannot be compacted: {e}", printable_path(path));
                        old
                    }
                    None => return Err(fail(e)),
                },
            },
        };
        let Content { mut last, torn, other, in_flight, .. } = content;
        last.retain(|id, _| paths.own.contains(id));
        last.shrink_to_fit();
        Ok(Manifest { kind, path: path.clone(), file, torn, paths, known: last, other, in_flight, lock })
    }

    /// A path that it knows and that is not among its own.
    pub(crate) fn other(&self) -> Option<&str> {
        self.other.as_deref()
    }

    /// The sizes of the files that earlier runs sent in one request whose outcome is unknown, by path.
    pub(crate) fn in_flight(&self) -> HashMap<String, u64> {
        self.in_flight.clone()
    }

    /// Whether it has this asset for a path other than this.
    pub(crate) fn has_asset_of_another(&mut self, asset_id: &str, path: &str) -> Result<bool> {
        let fail = |e| Error::file(&self.path, format!("cannot read the {}", self.kind.name()), Some(e));
        self.file.seek(SeekFrom::Start(0)).map_err(fail)?;
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(MOST_LINE).read_until(b'\n', &mut line).map_err(fail)? == 0 {
                return Ok(false);
            }
            let is_it = |entry: Entry| {
                let own_id = entry.asset_id.as_deref() == Some(asset_id);
                entry.file.path != path && (own_id || entry.asset.is_some_and(|asset| asset.id == asset_id))
            };
            let may_be = line.windows(asset_id.len()).any(|part| part == asset_id.as_bytes());
            if may_be && serde_json::from_slice(line.trim_ascii()).is_ok_and(is_it) {
                return Ok(true);
            }
        }
    }

    /// What earlier runs knew of this file, unless it has changed since. It is given once.
    pub(crate) fn take(&mut self, file: &FileKey) -> Result<Option<Entry>> {
        Ok(self.take_any(&file.path)?.filter(|line| line.file == *file))
    }

    /// What earlier runs knew of this path, however the file was.
    pub(crate) fn take_any(&mut self, path: &str) -> Result<Option<Entry>> {
        let Some(place) = self.known.remove(&self.paths.id(path)) else { return Ok(None) };
        let fail = |e| Error::file(&self.path, format!("cannot read the {}", self.kind.name()), Some(e));
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(place.start)).map_err(fail)?;
        (&self.file).take(place.end - place.start).read_to_end(&mut text).map_err(fail)?;
        match serde_json::from_slice::<Entry>(without_bom(&text)) {
            Ok(line) => Ok(Some(line.usable()).filter(|line| line.file.path == path)),
            Err(e) => {
                log::warn!("{}: a line is passed over: {e}", printable_path(&self.path));
                Ok(None)
            }
        }
    }

    /// Writes an event, and returns once it is on the disk.
    pub(crate) fn write(&mut self, line: &Entry) -> Result<()> {
        let fail = |e| Error::file(&self.path, format!("cannot write to the {}", self.kind.name()), Some(e));
        let mut json = serde_json::to_string(line).map_err(|e| fail(e.into()))?;
        if json.len() as u64 >= MOST_LINE {
            // With its id, the asset can be asked for again.
            json = serde_json::to_string(&Entry { asset: None, ..line.clone() }).map_err(|e| fail(e.into()))?;
        }
        let text = format!("{}{json}\n", if self.torn { "\n" } else { "" });
        self.torn = true;
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(fail)?;
        self.torn = false;
        let in_place = leads_to(&self.path, &self.file).and_then(|there| Ok(there && self.lock.is_in_place()?));
        match in_place.map_err(fail)? {
            true => Ok(()),
            false => {
                let message = format!("the {} was removed or replaced while it was in use", self.kind.name());
                Err(Error::file(&self.path, message, None))
            }
        }
    }

    /// Removes the journal: there is nothing left to resume.
    pub(crate) fn remove(&self) -> Result<()> {
        let removed = match leads_to(&self.path, &self.file) {
            Ok(true) => std::fs::remove_file(&self.path).and_then(|()| sync_folder(&self.path)),
            other => other.map(drop),
        };
        removed.map_err(|e| Error::file(&self.path, format!("cannot remove the {}", self.kind.name()), Some(e)))
    }
}

/// What is in a journal, and where.
#[derive(Default)]
struct Content {
    has_header: bool,
    /// The last line about each path.
    last: HashMap<PathId, Range<u64>>,
    /// What is not understood, and kept.
    strange: Vec<Range<u64>>,
    start: u64,
    end: u64,
    /// How much of it still counts.
    live: u64,
    torn: bool,
    other: Option<String>,
    in_flight: HashMap<String, u64>,
}

impl Content {
    fn read(file: &File, kind: Kind, header: &Header, paths: &Paths, path: &Path) -> Result<Self> {
        let what = kind.name();
        let fail = |e| Error::file(path, format!("cannot read the {what}"), Some(e));
        let refuse = |why: String| Err(Error::file(path, format!("{why}; nothing was written to it"), None));
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut content, mut line, mut started, mut passed_over) = (Content::default(), Vec::new(), false, 0u64);
        for number in 1u64.. {
            line.clear();
            let read = (&mut reader).take(MOST_LINE).read_until(b'\n', &mut line).map_err(fail)? as u64;
            if read == 0 {
                break;
            }
            content.torn = !line.ends_with(b"\n");
            if content.torn && read == MOST_LINE {
                return refuse(format!("line {number} is longer than a {what} has any ({MOST_LINE} bytes)"));
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
                if known.sent_at.is_some() && paths.own.contains(&id) {
                    content.in_flight.insert(known.path.clone().into_owned(), known.size);
                } else if !content.in_flight.is_empty() {
                    content.in_flight.remove(known.path.as_ref());
                }
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
            match content.strange.last_mut().filter(|last| last.end == place.start) {
                Some(last) => last.end = place.end,
                None => content.strange.push(place),
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

    fn is_old(&self) -> bool {
        self.end > LEAST_COMPACTED && self.live < self.end / 2
    }

    /// What of it goes into another one, in order.
    fn kept(&self) -> Vec<Range<u64>> {
        if !self.is_old() {
            return Vec::from_iter((self.start < self.end).then_some(self.start..self.end));
        }
        let mut kept: Vec<Range<u64>> = self.last.values().chain(&self.strange).cloned().collect();
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

/// The first line of a journal, whatever its version; nothing if it is something else.
fn header_of(text: &[u8]) -> Option<Header> {
    serde_json::from_slice(text).ok().filter(|header: &Header| header.format.starts_with("twelvelabs-"))
}

/// Where the parts of an old journal are in a new one.
struct Moved {
    /// What was copied, in order, and where it begins now.
    parts: Vec<(Range<u64>, u64)>,
}

impl Moved {
    fn apply(&self, place: &mut Range<u64>) {
        let next = self.parts.partition_point(|(part, _)| part.start <= place.start);
        // The first line, if something stood before it.
        let Some((part, start)) = self.parts.get(next.saturating_sub(1)) else { return };
        let end = start + (place.end - part.start);
        *place = start + place.start.saturating_sub(part.start)..end;
    }
}

/// Puts a journal with this first line, and these parts of the old one, in its place, at once or not at all.
fn rewrite(path: &Path, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<(File, Moved)> {
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

fn write_new(fresh: &Path, header: &Header, old: Option<&File>, kept: &[Range<u64>]) -> io::Result<Moved> {
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
    Ok(Moved { parts })
}

/// Makes sure that the name of a file is on the disk, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::fuzzing::journal::{Folder, is_known, key};

    fn line(name: &str) -> Entry {
        Entry::new(Event::Done, &key(name))
    }

    #[test]
    fn an_event_that_cannot_be_written_is_an_error_and_spoils_no_other() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        manifest.write(&line("a")).unwrap();
        let writable = std::mem::replace(&mut manifest.file, File::open(&manifest.path).unwrap());
        let e = manifest.write(&line("b")).unwrap_err();
        assert!(e.to_string().ends_with("cannot write to the manifest"), "{e}");
        // As if a part of it had been written.
        manifest.file = writable;
        manifest.file.write_all(b"{\"event\":").unwrap();
        manifest.write(&line("c")).unwrap();
        drop(manifest);

        let mut manifest = folder.open(&["a", "b", "c"]).unwrap();
        assert_eq!(["a", "b", "c"].map(|name| is_known(&mut manifest, name)), [true, false, true]);
        assert!(!is_known(&mut manifest, "a"), "it is given once");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_event_that_is_not_on_the_disk_is_not_written() {
        let mut manifest = Folder::new().open(&[]).unwrap();
        // Takes everything, and cannot be synced.
        manifest.file = OpenOptions::new().append(true).open("/dev/null").unwrap();
        let Error::File { message, source, .. } = manifest.write(&line("a")).unwrap_err() else { panic!() };
        assert_eq!(
            (message.as_str(), source.unwrap().kind()),
            ("cannot write to the manifest", ErrorKind::InvalidInput)
        );
    }

    #[test]
    fn only_what_is_its_own_is_kept_in_memory() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        ["a", "b", "c", "b"].iter().for_each(|name| manifest.write(&line(name)).unwrap());
        drop(manifest);
        let mut manifest = folder.open(&["b", "d"]).unwrap();
        assert_eq!((manifest.known.len(), manifest.other()), (1, Some("a")));
        assert!(is_known(&mut manifest, "b") && !is_known(&mut manifest, "d"));
        assert!(!is_known(&mut manifest, "a"), "it is not its own");
    }

    #[test]
    fn a_line_is_never_longer_than_a_line_may_be() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        let asset = format!(r#"{{"_id":"a1","filename":"{}"}}"#, "x".repeat(MOST_LINE as usize));
        let asset = Some(serde_json::from_str(&asset).unwrap());
        manifest.write(&Entry { asset_id: Some("a1".into()), asset, ..line("a") }).unwrap();
        drop(manifest);
        let line = folder.open(&["a"]).unwrap().take(&key("a")).unwrap().unwrap();
        assert_eq!((line.asset_id.as_deref(), line.asset.is_none()), (Some("a1"), true));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_looked_up_once() {
        let folder = Folder::new();
        let (link, mut folders) = (folder.0.join("link"), Folders::default());
        std::os::unix::fs::symlink(&folder.0, &link).unwrap();
        let real = folder.0.canonicalize().unwrap();
        assert_eq!(folders.key(&link.join("a")), real.join("a").to_str().unwrap());
        std::fs::remove_file(&link).unwrap();
        assert_eq!(folders.key(&link.join("b")), real.join("b").to_str().unwrap());
        assert_eq!(
            folders.key(Path::new("Cargo.toml")),
            std::env::current_dir().unwrap().join("Cargo.toml").to_str().unwrap()
        );
    }

    #[test]
    fn keys_are_told_apart_the_same_way_for_ever() {
        assert_eq!(["tlk_1", "tlk_2", ""].map(fingerprint), ["36f7c330", "e17f660e", "4550970c"]);
    }

    /// Bytes that are, or nearly are, a journal.
    fn journals() -> impl prop::strategy::Strategy<Value = Vec<u8>> {
        use prop::strategy::Strategy;
        let header = serde_json::to_vec(&Header {
            format: Kind::Manifest.format().into(),
            version: VERSION,
            base_url: "http://h".into(),
            account: fingerprint("tlk_1"),
        });
        let piece = prop_oneof![
            Just(header.unwrap()),
            Just(serde_json::to_vec(&line("a")).unwrap()),
            Just(serde_json::to_vec(&line("é\n")).unwrap()),
            Just(b"\n".to_vec()),
            Just(BOM.to_vec()),
            Just(br#"{"event":"done","path":"a","size":1,"modified":-1,"asset":{"_id":".."}}"#.to_vec()),
            "[\\PC\n]{0,20}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        (prop::collection::vec(piece, 0..8), any::<bool>(), any::<prop::sample::Index>()).prop_map(
            |(pieces, cut, at)| {
                let mut bytes = pieces.join(&b"\n"[..]);
                if cut {
                    bytes.truncate(at.index(bytes.len() + 1));
                }
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn any_bytes_are_read_or_refused_and_then_not_touched(bytes in journals()) {
            crate::fuzzing::manifest(&bytes);
        }
    }
}
