//! Imports: creating assets from the files of a connected account.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::error::{Error, FailedError, Result};
use crate::http::session::Session;
use crate::resources::data_connectors::ConnectionProvider;

/// Imports files from accounts at other providers. Returned by [`TwelveLabs::imports`](crate::TwelveLabs::imports).
/// Connect accounts with [`data_connectors`](crate::TwelveLabs::data_connectors).
#[derive(Debug, Clone)]
pub struct ImportsClient(pub(crate) Session);

impl ImportsClient {
    /// Imports 1 to 100 files by their ids at the provider. Each id may occur once.
    ///
    /// The call returns immediately, with an item for each file in the order of the request. `Ok` does not mean that
    /// all files were accepted: an item that was refused has an [`error`](ImportItem::error).
    /// [`wait_for_done`](Self::wait_for_done) waits for the others. A file that was imported before is fetched again
    /// only if the earlier import failed.
    ///
    /// The platform's documented limits are 10 GB for video, 4 GB for audio and 32 MB for an image.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let import = client.imports().import_files("66f…", ["1AbC…", "2DeF…"]).send()?;
    /// for item in import.items.unwrap_or_default() {
    ///     println!("{:?} {:?} {:?}", item.source_id, item.action, item.error);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn import_files(
        &self,
        connection_id: &str,
        items: impl IntoIterator<Item = impl Into<ImportItemInput>>,
    ) -> Call<ImportResult> {
        let items: Vec<ImportItemInput> = items.into_iter().map(Into::into).collect();
        let mut request = self.0.post(&["connections", connection_id, "imports"]);
        if items.is_empty() {
            request.reject("items", "is empty; an import takes 1 to 100 files");
        }
        request.json("items", &items);
        request.into()
    }

    /// Lists the imports of a connection, newest first. [`retrieve_import`](Self::retrieve_import) returns their files.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for import in client.imports().list_imports("66f…").send()? {
    ///     let import = import?;
    ///     println!("{} {:?}", import.id, import.item_count);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_imports(&self, connection_id: &str) -> ListImports {
        self.0.get(&["connections", connection_id, "imports"]).into()
    }

    /// Gets an import with its files and their current status.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let import = client.imports().retrieve_import("66f…", "670…").send()?;
    /// println!("{:?}", import.items);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve_import(&self, connection_id: &str, import_id: &str) -> Call<ImportDetail> {
        self.0.get(&["connections", connection_id, "imports", import_id]).into()
    }

    /// Waits until every file of an import has succeeded or failed, and returns the import with all files.
    ///
    /// A file that fails does not end the wait or turn it into an error: [`ImportItem::outcome`] returns the outcome of
    /// each file. Files whose asset was deleted meanwhile are missing from the result, but
    /// [`item_count`](ImportDetail::item_count) counts them.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let imports = client.imports();
    /// let import = imports.import_files("66f…", ["1AbC…", "2DeF…"]).send()?;
    /// let import = imports.wait_for_done("66f…", &import.id).send()?;
    /// for item in import.items.unwrap_or_default() {
    ///     match item.outcome() {
    ///         Some(Ok(asset_id)) => println!("{asset_id}"),
    ///         Some(Err(e)) => eprintln!("{e}"),
    ///         None => {} // still in the works, not after a wait
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, connection_id: &str, import_id: &str) -> Wait<ImportDetail> {
        Wait::new(self.0.get(&["connections", connection_id, "imports", import_id]), import_id)
    }
}

request! {
    /// The builder returned by [`ImportsClient::list_imports`].
    ListImports -> SyncPager<Import> {
        paging,
    }
}

input! {
    /// A file to import, by its id at the provider. The id alone can be converted into one. The Python SDK calls it
    /// `ImportFilesRequestItemsItem`.
    ImportItemInput(source_id: String) {}
}

impl From<&str> for ImportItemInput {
    fn from(source_id: &str) -> Self {
        Self::new(source_id)
    }
}

impl From<&String> for ImportItemInput {
    fn from(source_id: &String) -> Self {
        Self::new(source_id)
    }
}

impl From<String> for ImportItemInput {
    fn from(source_id: String) -> Self {
        Self::new(source_id)
    }
}

open_enum! {
    /// The action of an import for a file.
    ImportItemAction {
        /// The import created an asset.
        Created = "created",
        /// The file was imported before, and its asset exists.
        Skipped = "skipped",
        /// The file was imported before without success and is fetched again.
        Retried = "retried",
        /// The file was refused: see [`ImportItem::error`].
        Rejected = "rejected",
    }
}

open_enum! {
    /// The status of the asset of an imported file.
    ImportItemStatus {
        /// The platform is fetching the file.
        Processing = "processing",
        /// The asset is ready for use.
        Ready = "ready",
        /// The platform could not fetch or process the file.
        Failed = "failed",
    }
}

/// An import in a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Import {
    /// The id of the import.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of the connection.
    pub connection_id: Option<String>,
    /// The provider of the files.
    pub provider: Option<ConnectionProvider>,
    /// Your own label for the connection.
    pub custom_id: Option<String>,
    /// The number of requested files.
    pub item_count: Option<u64>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

/// An import with its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportDetail {
    /// The id of the import.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of the connection.
    pub connection_id: Option<String>,
    /// The provider of the files.
    pub provider: Option<ConnectionProvider>,
    /// Your own label for the connection.
    pub custom_id: Option<String>,
    /// The number of requested files, which is larger than the number of items if assets were deleted meanwhile.
    pub item_count: Option<u64>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The files, in the order of the request.
    pub items: Option<Vec<ImportItem>>,
}

impl Pollable for ImportDetail {
    const RESOURCE: &'static str = "import";

    fn status(&self) -> Option<&str> {
        let working = self.items.iter().flatten().find(|item| item.outcome().is_none())?;
        working.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.items {
            Some(items) if items.iter().all(|item| item.outcome().is_some()) => PollStatus::Done,
            _ => PollStatus::Working,
        }
    }
}

/// The result of [`ImportsClient::import_files`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportResult {
    /// The id of the import.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// Whether a file was refused.
    pub has_failures: Option<bool>,
    /// The files, in the order of the request.
    pub items: Option<Vec<ImportItem>>,
}

/// A file of an import.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportItem {
    /// The id of the file at the provider.
    pub source_id: Option<String>,
    /// The action of the import. `None` for old imports.
    pub action: Option<ImportItemAction>,
    /// The id of the asset. `None` if the file was refused.
    pub asset_id: Option<String>,
    /// The status of the asset.
    pub status: Option<ImportItemStatus>,
    /// The reason for the refusal.
    pub error: Option<ImportItemError>,
}

impl ImportItem {
    /// Returns the outcome: the id of the asset, or the reason why there is none. `None` while the file is in progress.
    ///
    /// # Errors
    ///
    /// A file that was refused or failed returns an [`Error::Failed`] with the platform's reason. The details of a
    /// failure are in the asset: see [`assets().retrieve(…)`](crate::assets::AssetsClient::retrieve).
    pub fn outcome(&self) -> Option<Result<&str>> {
        let failed = |status: &str, message: String| {
            let error = self.error.clone().unwrap_or_default();
            Some(Err(Error::from(Box::new(FailedError {
                resource: "file".into(),
                id: self.source_id.clone().unwrap_or_default(),
                status: status.into(),
                code: error.code,
                message: error.message.unwrap_or(message),
                raw: serde_json::to_value(self).unwrap_or_default(),
            }))))
        };
        match (&self.status, &self.asset_id) {
            (Some(ImportItemStatus::Ready), Some(asset_id)) => Some(Ok(asset_id)),
            (Some(ImportItemStatus::Ready), None) => failed("ready", "the platform returned no asset id".into()),
            (Some(ImportItemStatus::Failed), Some(id)) => {
                failed("failed", format!("retrieve asset {id} for the reason"))
            }
            (Some(ImportItemStatus::Failed), None) => failed("failed", "the platform gave no reason".into()),
            (Some(_), _) => None,
            (None, _) if self.action == Some(ImportItemAction::Rejected) || self.error.is_some() => {
                failed("rejected", "the platform gave no reason".into())
            }
            (None, _) => None,
        }
    }
}

/// The reason why a file was refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportItemError {
    /// The platform's code for the reason, such as `source_unavailable` or `unsupported_media_type`.
    pub code: Option<String>,
    /// The reason as text.
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_import_is_that_of_an_unfinished_item() {
        let status = |items: serde_json::Value| {
            let import: ImportDetail = serde_json::from_value(serde_json::json!({"_id": "1", "items": items})).unwrap();
            import.status().map(str::to_string)
        };
        let items = serde_json::json!([{"status": "ready", "asset_id": "a"}, {"error": {}}, {"status": "pondering"}]);
        assert_eq!(status(items).as_deref(), Some("pondering"));
        assert_eq!(status(serde_json::json!([{}])), None);
    }
}
