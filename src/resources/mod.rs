//! The resources of the platform, with one file or folder for each.

pub(crate) mod analyze;
pub(crate) mod analyze_async;
mod asset_type;
pub(crate) mod assets;
pub(crate) mod data_connectors;
pub(crate) mod embed;
pub(crate) mod entity_collections;
pub(crate) mod imports;
pub(crate) mod indexes;
pub(crate) mod knowledge_store_item_collections;
pub(crate) mod knowledge_store_items;
pub(crate) mod knowledge_stores;
pub(crate) mod multipart_upload;
pub(crate) mod responses;
pub(crate) mod search;
pub(crate) mod tasks;
pub(crate) mod technical_metadata;
