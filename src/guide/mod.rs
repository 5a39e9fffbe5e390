//! The guide: a page for each task, in the order in which most programs meet them.
//!
//! Begin with [`calls`] and [`upload`]. [`errors`] and [`guarantees`] say what the crate does when something goes wrong,
//! and [`from_python`] has every method of the Python SDK.

// The pages are Markdown, so that they can be read without rustdoc. A page defines the targets of its links for that
// case; those in links.md come first, and the first definition of a label counts.
macro_rules! page {
    ($(#[$attribute:meta])* $name:ident, $file:literal) => {
        #[doc = include_str!("links.md")]
        #[doc = include_str!($file)]
        $(#[$attribute])*
        pub mod $name {}
    };
}

page!(calls, "calls.md");
page!(upload, "upload.md");
page!(batches, "batches.md");
page!(transcripts, "transcripts.md");
page!(lists, "lists.md");
page!(search, "search.md");
page!(hit_to_asset, "hit_to_asset.md");
page!(analyze, "analyze.md");
page!(embeddings, "embeddings.md");
page!(entities, "entities.md");
page!(knowledge_stores, "knowledge_stores.md");
page!(responses, "responses.md");
page!(imports, "imports.md");
page!(
    #[cfg(feature = "webhooks")]
    webhooks,
    "webhooks.md"
);
page!(errors, "errors.md");
page!(guarantees, "guarantees.md");
page!(cancellation, "cancellation.md");
page!(threads, "threads.md");
page!(logging, "logging.md");
page!(proxies, "proxies.md");
page!(testing, "testing.md");
page!(from_python, "from_python.md");
