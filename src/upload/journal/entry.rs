//! The lines of a journal: the first line identifies the account, and each further line is the state of a file.

use std::path::Path;
use std::sync::Mutex;

use serde::de::IgnoredAny;
use serde::de::value::{self, StrDeserializer};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::file::stat;
use crate::hash::Fnv1a;
use crate::http::session::Settings;
use crate::resources::assets::Asset;
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::{printable, public_url};
use crate::upload::journal::lenient::{if_it_fits, those_that_fit};
use crate::upload::journal::paths::Folders;
use crate::upload::journal::placement::Placement;
use crate::upload::options::SentAt;

/// The version of the format. A journal with a later version is refused, because its lines may mean something else.
pub(crate) const VERSION: u32 = 1;
/// The maximum length of a line. Nothing longer is written or read.
pub(crate) const MAX_LINE: u64 = 16 << 20;
/// The maximum length of a complete line's end, `"permanent":false,"at":"…"}`.
const MAX_END: usize = 64;

/// The two kinds of journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The journal of a batch.
    Manifest,
    /// The journal of one upload.
    StateFile,
}

impl Kind {
    /// Returns the name of the kind for errors and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::StateFile => "state file",
        }
    }

    /// Returns the name of the format in the first line.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Kind::Manifest => "twelvelabs-manifest",
            Kind::StateFile => "twelvelabs-upload",
        }
    }
}

/// A version of a file. A different size or modification time means a different version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileKey {
    /// The absolute path.
    pub path: String,
    pub size: u64,
    /// The modification time in nanoseconds since 1970.
    pub modified: Option<i64>,
}

impl FileKey {
    /// Whether this is the same version of the file, however its path is spelled.
    pub(crate) fn is_version(&self, now: &FileKey) -> bool {
        (self.size, self.modified) == (now.size, now.modified)
    }

    /// Reads the metadata of a file. Only a regular file has a key.
    pub(crate) fn of(path: &Path, folders: &Mutex<Folders>) -> Result<Self> {
        let Some(stamp) = stat(path)? else {
            let message = "this is a pipe or a device, not a regular file; use `upload` without a state file for it";
            return Err(Error::file(path, message, None));
        };
        let path = lock(folders).key(path);
        Ok(FileKey { path, size: stamp.size, modified: stamp.modified })
    }
}

/// The first line, which identifies the account and the base URL to which the ids belong.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub format: String,
    pub version: u32,
    pub base_url: String,
    pub account: String,
}

impl Header {
    pub(crate) fn of(kind: Kind, settings: &Settings) -> Self {
        Header {
            format: kind.format().into(),
            version: VERSION,
            base_url: public_url(&settings.options.base_url),
            account: fingerprint(&settings.options.api_key),
        }
    }

    /// Reads a first line, whatever its version. Returns `None` if the line is something else.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().filter(|header: &Header| header.format.starts_with("twelvelabs-"))
    }

    /// Returns the reason why a run with the header `own` cannot use a journal with this header, if there is one.
    pub(crate) fn refusal(&self, own: &Header, kind: Kind) -> Option<String> {
        let what = kind.name();
        if self.format != own.format {
            return Some(format!("this file has the format `{}`, not `{}`", printable(&self.format, 100), own.format));
        }
        if self.version > own.version {
            let (is, known) = (self.version, own.version);
            return Some(format!(
                "this {what} has format version {is}, but this program supports only versions up to {known}; update the program"
            ));
        }
        if self.base_url != own.base_url {
            let (is, own) = (printable(&self.base_url, 200), &own.base_url);
            return Some(format!("this {what} belongs to {is}, not to {own}; use a separate {what} for each"));
        }
        (self.account != own.account).then(|| {
            let (is, own) = (printable(&self.account, 20), &own.account);
            format!(
                "this {what} was started with another API key ({is}, not {own}); use a separate {what} for each account, \
                 or remove the first line of the file if it is a new key of the same account"
            )
        })
    }
}

/// Returns 32 bits that distinguish one API key from another: FNV-1a with the finalizer of MurmurHash 3, whose results
/// are the same on every system and in every version.
///
/// A password hash was rejected. Even many journals reveal no more than these 32 bits of a key, and a key has far more.
pub(crate) fn fingerprint(api_key: &str) -> String {
    let hash = Fnv1a::new().bytes(b"twelvelabs manifest: ").bytes(api_key.as_bytes()).finish();
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    format!("{:08x}", hash >> 32)
}

/// The event of a journal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// The file is being sent in one request.
    Sending,
    /// A chunked upload has started.
    Session,
    /// The file has arrived, and its asset is not known to be ready.
    Uploaded,
    /// The file needs no further step.
    Done,
    Failed,
}

/// A line of a journal: the state of a file from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub event: Event,
    #[serde(flatten)]
    pub file: FileKey,
    /// A chunked upload that can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub upload: Option<ResumableUpload>,
    /// The time at which the file was sent in one request whose outcome is unknown.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<OffsetDateTime>,
    /// The number of milliseconds by which the platform's clock was ahead of this machine's at `sent_at`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub clock_offset: Option<i64>,
    /// The id of an asset that may still become ready.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub asset_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub asset: Option<Asset>,
    /// The indexes and knowledge stores that contain the asset or are about to.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "those_that_fit")]
    pub placements: Vec<Placement>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub message: Option<String>,
    /// Whether the failure is permanent, so that a retry is pointless.
    #[serde(default)]
    pub permanent: bool,
    /// The time at which the entry was written. It must be the last field: see [`EntryHead::read_own`].
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
}

/// The part of an entry that identifies its file. The rest of the line is checked to be complete JSON but not decoded,
/// because a journal may have a million lines.
#[derive(Deserialize)]
pub(crate) struct EntryHead<'a> {
    #[serde(borrow)]
    pub path: std::borrow::Cow<'a, str>,
    #[serde(rename = "event")]
    _event: Event,
    #[serde(rename = "size")]
    _size: u64,
    pub sent_at: Option<IgnoredAny>,
}

impl<'a> EntryHead<'a> {
    /// Reads the head of an entry.
    pub(crate) fn read(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::read_own(line).map_or_else(|| serde_json::from_slice(line), Ok)
    }

    /// Reads a line that has exactly the form in which [`Entry`] is written, in a fraction of the time. Returns `None`
    /// for any other line.
    ///
    /// Only the beginning and the end are parsed. A line that a crash has torn lacks its end, and a line with a block
    /// that never reached the disk contains zeros. Both must be detected here, because the previous line about the file
    /// then still counts.
    fn read_own(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"event\":\"")?;
        let (event, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
        let event = StrDeserializer::<value::Error>::new(std::str::from_utf8(event).ok()?);
        let event = Event::deserialize(event).ok()?;
        let rest = rest.strip_prefix(b"\",\"path\":\"")?;
        let (path, rest) = rest.split_at_checked(memchr::memchr2(b'"', b'\\', rest)?)?;
        let path = std::str::from_utf8(path).ok().filter(|path| !path.bytes().any(|byte| byte < b' '))?;
        let rest = rest.strip_prefix(b"\",\"size\":")?;
        let (size, rest) = rest.split_at_checked(memchr::memchr(b',', rest)?)?;
        let size = serde_json::from_slice(size).ok()?;
        let end = rest.get(rest.len().checked_sub(MAX_END)?..)?;
        let (before, _) = end.split_at_checked(memchr::memmem::rfind(end, b",\"at\":\"")?)?;
        let is_whole = (before.ends_with(b"\"permanent\":false") || before.ends_with(b"\"permanent\":true"))
            && end.ends_with(b"Z\"}")
            && memchr::memchr(0, rest).is_none();
        // If this name occurs anywhere in the line, the whole line has to be parsed.
        let has_sent_at = memchr::memmem::find(rest, b"\"sent_at\"").is_some();
        (is_whole && !has_sent_at).then_some(EntryHead { path: path.into(), _event: event, _size: size, sent_at: None })
    }
}

impl Entry {
    pub(crate) fn new(event: Event, file: &FileKey) -> Self {
        Entry {
            event,
            file: file.clone(),
            upload: None,
            sent_at: None,
            clock_offset: None,
            asset_id: None,
            asset: None,
            placements: Vec::new(),
            code: None,
            message: None,
            permanent: false,
            at: None,
        }
    }

    /// Returns the time at which the file was sent, with the offset of the platform's clock.
    pub(crate) fn sent_at(&self) -> Option<SentAt> {
        let offset = self.clock_offset.map(time::Duration::milliseconds);
        self.sent_at.map(|here| SentAt { here, offset })
    }

    pub(crate) fn with_sent_at(self, sent_at: Option<SentAt>) -> Self {
        let offset = sent_at.and_then(|sent_at| sent_at.offset);
        let clock_offset = offset.and_then(|offset| i64::try_from(offset.whole_milliseconds()).ok());
        Entry { sent_at: sent_at.map(|sent_at| sent_at.here), clock_offset, ..self }
    }

    /// Drops ids that cannot be a path segment. A system crash may leave arbitrary bytes in the journal, and such an id
    /// would make the file fail in every run. A session with such an id is treated like one that has ended.
    pub(crate) fn usable(self) -> Self {
        Entry {
            asset_id: self.asset_id.filter(|id| is_id(id)),
            asset: self.asset.filter(|asset| is_id(&asset.id)),
            placements: self
                .placements
                .into_iter()
                .map(|p| Placement { id: p.id.filter(|id| is_id(id)), ..p })
                .collect(),
            ..self
        }
    }
}

/// Whether an id can be a segment of a path.
fn is_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_of_keys_never_change() {
        assert_eq!(["tlk_1", "tlk_2", ""].map(fingerprint), ["36f7c330", "e17f660e", "4550970c"]);
    }

    #[test]
    fn a_line_is_read_in_the_written_form_and_in_any_other() {
        let file = FileKey { path: "/caf\u{e9}/a.mp4".into(), size: 104_857_600, modified: Some(-1) };
        let at = Some(OffsetDateTime::UNIX_EPOCH);
        let asset = serde_json::from_str(r#"{"_id":"65f0","user_metadata":{"at":"2026-01-01T00:00:00Z"}}"#).ok();
        let done = Entry { asset, at, ..Entry::new(Event::Done, &file) };
        let line = serde_json::to_vec(&done).unwrap();
        let head = EntryHead::read_own(&line).unwrap();
        assert_eq!((&*head.path, head.sent_at.is_some()), ("/caf\u{e9}/a.mp4", false));
        // No part of a line counts as a line.
        for end in 0..line.len() {
            assert!(EntryHead::read(&line[..end]).is_err(), "{end}");
        }
        let mut zeros = line.clone();
        zeros[60..90].fill(0);
        assert!(EntryHead::read(&zeros).is_err());
        let text = String::from_utf8(line).unwrap();
        for (sound, broken) in [("/caf", "/\u{1}caf"), ("\"permanent\":false", "\"permanent\":fal")] {
            assert!(EntryHead::read(text.replace(sound, broken).as_bytes()).is_err(), "{broken:?}");
        }
        // A line in any other form is read as well, by parsing all of it.
        let sent = Entry { sent_at: at, at, ..Entry::new(Event::Sending, &file) };
        let quoted = Entry { at, ..Entry::new(Event::Done, &FileKey { path: "/a\"b".into(), ..file.clone() }) };
        for other in [sent, quoted, Entry { at: None, ..done }] {
            let line = serde_json::to_vec(&other).unwrap();
            assert!(EntryHead::read_own(&line).is_none());
            let head = EntryHead::read(&line).unwrap();
            assert_eq!((&*head.path, head.sent_at.is_some()), (&*other.file.path, other.sent_at.is_some()));
        }
    }
}
