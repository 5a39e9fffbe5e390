#![doc = include_str!("links.md")]
#![doc = include_str!("README.md")]

// The pages are Markdown, so that they can be read without rustdoc. A page defines the targets of its links for that case;
// the definitions before it are for rustdoc, and Markdown takes the first definition of a label. A link to a module that is
// missing without its feature leads to the page about it in such a build.
//
// `tests/guide.rs` tests the examples, so the tests of rustdoc leave them out: the lines that rustdoc needs around an
// example are visible on a code host. An example may be a whole test, with its attribute, as a reader writes it.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[doc = include_str!("links.md")]
        #[cfg_attr(feature = "webhooks", doc = "[`webhooks`]: crate::webhooks")]
        #[cfg_attr(not(feature = "webhooks"), doc = "[`webhooks`]: crate::guide::webhooks")]
        #[doc = ""]
        #[cfg_attr(not(doctest), doc = include_str!($file))]
        #[allow(clippy::test_attr_in_doctest)]
        pub mod $name {}
    };
}

page!(calls, "calls.md");
page!(upload, "upload.md");
page!(batches, "batches.md");
page!(ingest, "ingest.md");
page!(nightly, "nightly.md");
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
page!(webhooks, "webhooks.md");
page!(errors, "errors.md");
page!(guarantees, "guarantees.md");
page!(cancellation, "cancellation.md");
page!(web_server, "web_server.md");
page!(threads, "threads.md");
page!(logging, "logging.md");
page!(proxies, "proxies.md");
page!(testing, "testing.md");
page!(from_python, "from_python.md");
page!(from_python_methods, "from_python_methods.md");
page!(from_python_types, "from_python_types.md");
