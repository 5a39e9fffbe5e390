//! The lines of a journal: the first one says whose it is, each further one is the state of a file.

use std::path::Path;
use std::sync::Mutex;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::file::look;
use crate::hash::Fnv1a;
use crate::http::session::Settings;
use crate::resources::assets::Asset;
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::{printable, public_url};
use crate::upload::journal::paths::Folders;
use crate::upload::options::SentAt;

pub(crate) const VERSION: u32 = 1;
/// A longer line is not one of a journal.
pub(crate) const MAX_LINE: u64 = 16 << 20;

/// The two kinds of journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a batch.
    Manifest,
    /// Of one upload.
    StateFile,
}

impl Kind {
    /// What errors call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::StateFile => "state file",
        }
    }

    pub(crate) fn format(self) -> &'static str {
        match self {
            Kind::Manifest => "twelvelabs-manifest",
            Kind::StateFile => "twelvelabs-upload",
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

    /// Why a journal with this first line is not one of `own`, if so.
    pub(crate) fn refusal(&self, own: &Header) -> Option<String> {
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
pub(crate) fn fingerprint(api_key: &str) -> String {
    let hash = Fnv1a::new().bytes(b"twelvelabs manifest: ").bytes(api_key.as_bytes()).finish();
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    format!("{:08x}", hash >> 32)
}

/// The first line of a journal, whatever its version; nothing if it is something else.
pub(crate) fn header_of(text: &[u8]) -> Option<Header> {
    serde_json::from_slice(text).ok().filter(|header: &Header| header.format.starts_with("twelvelabs-"))
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
    /// By how many milliseconds the platform's clock was ahead of this machine's then, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub clock_offset: Option<i64>,
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
pub(crate) struct EntryHead<'a> {
    #[serde(borrow)]
    pub path: std::borrow::Cow<'a, str>,
    #[serde(rename = "event")]
    _event: Event,
    #[serde(rename = "size")]
    _size: u64,
    pub sent_at: Option<IgnoredAny>,
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
            code: None,
            message: None,
            permanent: false,
            at: None,
        }
    }

    /// When the file was sent, with the platform's clock.
    pub(crate) fn sent_at(&self) -> Option<SentAt> {
        let offset = self.clock_offset.map(time::Duration::milliseconds);
        self.sent_at.map(|here| SentAt { here, offset })
    }

    pub(crate) fn with_sent_at(self, sent_at: Option<SentAt>) -> Self {
        let offset = sent_at.and_then(|sent_at| sent_at.offset);
        let clock_offset = offset.and_then(|offset| i64::try_from(offset.whole_milliseconds()).ok());
        Entry { sent_at: sent_at.map(|sent_at| sent_at.here), clock_offset, ..self }
    }

    /// Without ids that cannot be asked for: a file does not fail forever over them.
    pub(crate) fn usable(self) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_the_same_way_for_ever() {
        assert_eq!(["tlk_1", "tlk_2", ""].map(fingerprint), ["36f7c330", "e17f660e", "4550970c"]);
    }
}
