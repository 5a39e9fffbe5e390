//! Looking for a file whose upload has no known outcome: the answer was lost, or the program was killed.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::call::options::RequestOptions;
use crate::error::Result;
use crate::http::session::Session;
use crate::resources::assets::Asset;

/// The dates of answers have no more than seconds.
const TOLERANCE: Duration = Duration::seconds(2);

/// Whether an asset belongs to another file.
pub(crate) type Claimed = Arc<dyn Fn(&str) -> Result<bool> + Send + Sync>;

/// An asset that is a file, as far as can be known.
pub(crate) struct Found {
    pub asset: Asset,
    /// How many others it could be as well.
    pub others: usize,
}

impl Found {
    /// What is not certain about it.
    pub(crate) fn note(&self) -> Option<String> {
        let others = self.others;
        (others > 0).then(|| {
            format!(
                "the answer to the upload was lost, and {others} more assets have the same name and came at the same \
                 time: check that this is the file"
            )
        })
    }
}

/// Looks for an asset of this name and size that was created since `since`, a time of this machine's clock.
pub(crate) fn find(
    client: &Session,
    filename: &str,
    size: Option<u64>,
    since: OffsetDateTime,
    claimed: Option<&Claimed>,
    options: &RequestOptions,
) -> Result<Option<Found>> {
    let mut found: Option<Found> = None;
    let list = client.assets().list().filename(filename).page_limit(50).request_options(options.clone()).send()?;
    // Now that it has answered, the platform's clock is known.
    let since = client.server_time(since).saturating_sub(TOLERANCE);
    for asset in list {
        let asset = asset?;
        let Some(created_at) = asset.created_at else { continue };
        if created_at < since {
            // The newest come first.
            break;
        }
        let same = asset.filename.as_deref() == Some(filename)
            && (asset.size.is_none() || size.is_none() || asset.size == size);
        if !same || claimed.map_or(Ok(false), |claimed| claimed(&asset.id))? {
            continue;
        }
        match &mut found {
            Some(found) => found.others += 1,
            None => found = Some(Found { asset, others: 0 }),
        }
    }
    Ok(found)
}
