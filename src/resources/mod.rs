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

#[cfg(test)]
mod tests {
    use crate::call::request::Request;
    use crate::resources::assets::UploadMethod;
    use crate::resources::embed::EmbedInput;

    #[test]
    fn slow_calls_have_a_timeout_of_ten_minutes() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        let (embed, v2) = (client.embed(), client.embed().v2());
        let slow: [&dyn AsRef<Request>; 11] = [
            &client.analyze(),
            &client.analyze_stream(),
            &client.assets().create(UploadMethod::direct("a.mp4")),
            &client.assets().create(UploadMethod::url("https://h/a.mp4")),
            &client.tasks().create("i"),
            &client.responses().create("k", "?"),
            &client.responses().create_stream("k", "?"),
            &embed.create("m"),
            &embed.tasks().create("m"),
            &v2.create(EmbedInput::text("a"), "m"),
            &v2.tasks().create(EmbedInput::text("a"), "m"),
        ];
        let fast: [&dyn AsRef<Request>; 4] = [
            &client.assets().list(),
            &client.assets().delete("a"),
            &client.search().query("i", ["visual"]),
            &client.analyze_async().tasks().create(),
        ];
        let seconds = |call: &dyn AsRef<Request>| call.as_ref().policy().timeout.as_secs();
        assert_eq!(slow.map(seconds), [600; 11]);
        assert_eq!(fast.map(seconds), [60; 4]);
    }
}
