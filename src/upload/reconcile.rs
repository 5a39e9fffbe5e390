//! Search for files whose upload has an unknown outcome, because the response was lost or the program crashed.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::call::options::RequestOptions;
use crate::error::{Error, Result};
use crate::http::body::escape;
use crate::http::engine::pause;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetStatus};
use crate::text::printable;
use crate::upload::options::SentAt;

/// The tolerance when two times are compared, because the dates in responses have a resolution of one second.
const TOLERANCE: Duration = Duration::seconds(2);
/// The pauses before another search for a file that was sent a moment ago: the platform may still be creating its
/// asset.
pub(crate) const LATE: [std::time::Duration; 3] =
    [std::time::Duration::from_secs(1), std::time::Duration::from_secs(2), std::time::Duration::from_secs(4)];
/// The age from which the platform can no longer be creating an asset for the file.
const RECENT: Duration = Duration::hours(1);

/// The name of the search in its errors.
const SEARCH: &str = "search for an uploaded file";

/// Whether a search failed because it could not tell which asset is the file's and which is another file's.
pub(crate) fn is_unclear(e: &Error) -> bool {
    matches!(e, Error::Timeout { operation, .. } if operation == SEARCH)
}

/// Determines the owner of an asset.
pub(crate) type Ownership = Arc<dyn Fn(&Asset) -> Result<Owner> + Send + Sync>;

/// The owner of an asset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Owner {
    /// No file has been matched with the asset yet.
    Unclaimed,
    AnotherFile,
    /// The asset may belong to a file with the same name and a different size, because its size is not known yet.
    Unclear,
}

/// The files to look for: all have the same name and size, and may have arrived.
pub(crate) struct Lost<'a> {
    pub client: &'a Session,
    pub name: &'a str,
    pub size: Option<u64>,
    pub owner: Option<&'a Ownership>,
    pub options: &'a RequestOptions,
}

/// The outcome of one search.
struct Search {
    /// The asset of each file, in their order.
    found: Vec<Option<Found>>,
    /// Whether an asset whose owner is unclear may belong to a file that was not found.
    is_unclear: bool,
}

/// The asset that most likely belongs to the file.
#[derive(Debug)]
pub(crate) struct Found {
    pub asset: Asset,
    /// The number of other assets that could belong to the file as well.
    pub others: usize,
}

impl Found {
    /// Describes the remaining doubt, for the caller.
    pub(crate) fn note(&self) -> Option<String> {
        let others = self.others;
        (others > 0).then(|| {
            format!(
                "the response to the upload was lost, and {others} more assets with the same name arrived at the same \
                 time; check that this one is the file"
            )
        })
    }
}

/// Asks the platform for its time, if no response has contained it yet. The time of an upload is recorded relative to
/// the platform's clock, because this machine's clock may be different in a later run.
pub(crate) fn learn_clock(client: &Session, options: &RequestOptions) {
    if client.clock_offset().is_none() {
        let options = options.without_parameters().max_retries(0).timeout(std::time::Duration::from_secs(10));
        if let Err(e) = client.assets().list().page_limit(1).request_options(options).send() {
            log::debug!("the platform's time is not known: {e}");
        }
    }
}

impl Lost<'_> {
    /// Looks for the asset of a file that was sent at this time.
    pub(crate) fn find(&self, sent_at: SentAt) -> Result<Option<Found>> {
        Ok(self.find_each(&[sent_at])?.found.pop().flatten())
    }

    /// Looks for the assets of several files that were sent one after the other, in this order.
    ///
    /// The last file is matched with the newest asset created since it was sent, and so on backwards. An asset created
    /// between two attempts belongs to the earlier one.
    fn find_each(&self, sent: &[SentAt]) -> Result<Search> {
        let (mut candidates, is_unclear) = self.candidates(sent)?;
        let mut found = Vec::new();
        for sent_at in sent.iter().rev() {
            let since = self.since(sent_at);
            let place = candidates.iter().position(|asset| asset.created_at.is_some_and(|at| at >= since));
            found.push(place.map(|place| Found { asset: candidates.remove(place), others: 0 }));
        }
        found.reverse();
        if let Some(Some(last)) = found.last_mut() {
            last.others = candidates.len();
        }
        let is_unclear = is_unclear && found.iter().any(Option::is_none);
        Ok(Search { found, is_unclear })
    }

    /// Looks for each file. If one that was sent a moment ago is missing, the search is repeated for some seconds; a
    /// file that is still missing then has not arrived.
    pub(crate) fn settle(&self, sent: &[SentAt]) -> Result<Vec<Option<Found>>> {
        let mut search = self.find_each(sent)?;
        for duration in LATE {
            let now = self.client.server_time(self.client.settings().clock.utc_now());
            let may_come = |(sent_at, found): (&SentAt, &Option<Found>)| {
                found.is_none() && now - sent_at.at_platform(self.client) < RECENT
            };
            if !search.is_unclear && !sent.iter().zip(&search.found).any(may_come) {
                break;
            }
            pause(self.client, duration, self.options.cancel.as_ref(), "upload")?;
            search = self.find_each(sent)?;
        }
        if search.is_unclear {
            let message = format!(
                "the response to the upload was lost, and it is unknown which of the assets named `{}` is this file \
                 until the platform has determined their sizes; run the batch again later",
                printable(self.name, 200)
            );
            return Err(Error::Timeout { operation: SEARCH.into(), message, sent: true, source: None });
        }
        Ok(search.found)
    }

    fn since(&self, sent_at: &SentAt) -> OffsetDateTime {
        sent_at.at_platform(self.client).saturating_sub(TOLERANCE)
    }

    /// Returns the assets that may be one of the files, newest first, and whether there are others whose owner is
    /// unclear.
    fn candidates(&self, sent: &[SentAt]) -> Result<(Vec<Asset>, bool)> {
        // A server may keep a name as it was written in the form, with `%22` for a quotation mark.
        let (name, written) = (self.name, escape(self.name));
        let mut list = self.client.assets().list().page_limit(50).request_options(self.options.without_parameters());
        let part =
            name.split(|c: char| c == '"' || c.is_ascii_control()).max_by_key(|part| part.len()).unwrap_or_default();
        if !part.is_empty() {
            list = list.filename(part);
        }
        let (mut candidates, mut is_unclear) = (Vec::new(), false);
        for asset in list.send()? {
            let asset = asset?;
            let Some(created_at) = asset.created_at else { continue };
            // The platform has answered, so its clock is known here.
            if sent.iter().all(|sent_at| created_at < self.since(sent_at)) {
                // The newest assets come first, so the rest of the list is too old.
                break;
            }
            let same_name = asset.filename.as_deref().is_some_and(|is| is == name || is == written);
            let size = final_size(&asset);
            let same = same_name && (size.is_none() || self.size.is_none() || size == self.size);
            if !same {
                continue;
            }
            match self.owner.map_or(Ok(Owner::Unclaimed), |owner| owner(&asset))? {
                Owner::Unclaimed => candidates.push(asset),
                Owner::AnotherFile => {}
                Owner::Unclear => is_unclear = true,
            }
        }
        // An asset whose size is not final may be another file, unless there are too few others.
        let is_exact = |asset: &Asset| self.size.is_some() && final_size(asset) == self.size;
        if candidates.iter().filter(|asset| is_exact(asset)).count() >= sent.len() {
            candidates.retain(is_exact);
        }
        Ok((candidates, is_unclear))
    }
}

/// Returns the size of an asset, if it is known. The platform finalizes it when the asset is ready, so 0 means nothing
/// before.
pub(crate) fn final_size(asset: &Asset) -> Option<u64> {
    let is_ready = asset.status == Some(AssetStatus::Ready);
    asset.size.filter(|size| is_ready || *size > 0)
}
