//! The indexes and knowledge stores to which a file's asset is added, and its progress there.

use serde::{Deserialize, Serialize};

use crate::resources::indexes::indexed_assets::IndexedAsset;
use crate::resources::knowledge_store_items::KnowledgeStoreItem;
use crate::upload::journal::lenient::if_it_fits;

/// The destination of an asset: an index or a knowledge store, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Destination {
    Index(String),
    KnowledgeStore(String),
}

/// An asset on its way into an index or a knowledge store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub to: Destination,
    /// Whether a request to add the asset was sent and its outcome is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_flight: bool,
    /// The id of the indexed asset or the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The indexed asset, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub indexed_asset: Option<IndexedAsset>,
    /// The item, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_it_fits")]
    pub item: Option<KnowledgeStoreItem>,
    /// The reason why the asset can never be ready here, if it has failed permanently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Refusal>,
}

/// The reason why an asset cannot be in an index or a knowledge store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub message: String,
    /// The id of the failed indexed asset or item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Placement {
    pub(crate) fn new(to: &Destination) -> Self {
        Placement { to: to.clone(), in_flight: false, id: None, indexed_asset: None, item: None, failed: None }
    }

    pub(crate) fn set_added(&mut self, id: String) {
        (self.in_flight, self.id, self.failed) = (false, Some(id), None);
    }

    /// Whether the platform has finished processing the asset here.
    pub(crate) fn is_ready(&self) -> bool {
        self.indexed_asset.is_some() || self.item.is_some()
    }
}
