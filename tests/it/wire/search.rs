//! Calls of `search`.

use serde_json::{Value, json};
use twelvelabs::search::{GroupBy, QueryMediaType, SearchFilter, SearchOperator, SearchOption, TranscriptionOption};
use twelvelabs::{Error, FileSource};

use crate::server::{Server, Step, answer, client};
use crate::wire::{Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("search.create", |client, args| {
        let options: Vec<SearchOption> = args.value("search_options");
        one(client.search().create(&args.text("index_id"), options).send())
    })
    .whole(),
    Row::new("search.query", |client, args| {
        let options: Vec<SearchOption> = args.value("search_options");
        list(client.search().query(&args.text("index_id"), options).send())
    }),
    Row::new("search.retrieve", |client, args| {
        let call = client.search().retrieve(&args.text("page_token"));
        one(call.when_some(args.get("include_user_metadata"), |call, value| call.include_user_metadata(value)).send())
    })
    .whole(),
];

#[test]
fn every_option_of_a_search_is_a_form_part() {
    let filter = SearchFilter::new()
        .id(["v1", "v2"])
        .duration(600.0..=800.0)
        .width(1280..)
        .height(..=1080)
        .size(5_000_000_000_u64)
        .filename("Animal Encounters")
        .field("needsReview", true)
        .range("rating", 7.5..);
    let conditions = json!({
        "id": ["v1", "v2"], "duration": {"gte": 600.0, "lte": 800.0}, "width": {"gte": 1280}, "height": {"lte": 1080},
        "size": 5_000_000_000_u64, "filename": "Animal Encounters", "needsReview": true, "rating": {"gte": 7.5}
    });
    let empty = answer(200, &json!({"data": [], "page_info": {}}));
    let server = Server::start([Step::Answer(empty.clone()), Step::Answer(empty.clone()), Step::Answer(empty)]);
    let (client, _) = client(&server);
    macro_rules! with_every_option {
        ($search:expr, $filter:expr) => {
            $search
                .query_text("<@e1> is walking")
                .query_media_type(QueryMediaType::Image)
                .transcription_options([TranscriptionOption::Lexical, TranscriptionOption::Semantic])
                .group_by(GroupBy::Video)
                .operator(SearchOperator::And)
                .page_limit(5)
                .include_user_metadata(true)
                .query_media_url("https://example.com/1.jpg")
                .query_media_urls(["https://example.com/2.jpg"])
                .query_media_file(FileSource::bytes("3.png", *b"three"))
                .query_media_files([FileSource::bytes("4.jpg", *b"four")])
                .filter($filter)
                .send()
                .unwrap()
        };
    }
    let options = [SearchOption::Visual, SearchOption::Audio, SearchOption::Transcription];
    let _ = with_every_option!(client.search().query("i1", options.clone()), filter);
    with_every_option!(client.search().create("i1", options.clone()), conditions.clone());
    with_every_option!(client.search().create("i1", options), conditions.to_string());
    for received in server.finish() {
        assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/search"));
        let parts = received.parts();
        let texts = |name: &str| -> Vec<String> {
            parts.iter().filter(|part| part.name == name).map(|part| part.text()).collect()
        };
        for (name, values) in [
            ("index_id", vec!["i1"]),
            ("search_options", vec!["visual", "audio", "transcription"]),
            ("query_text", vec!["<@e1> is walking"]),
            ("query_media_type", vec!["image"]),
            ("transcription_options", vec!["lexical", "semantic"]),
            ("group_by", vec!["video"]),
            ("operator", vec!["and"]),
            ("page_limit", vec!["5"]),
            ("include_user_metadata", vec!["true"]),
            ("query_media_url", vec!["https://example.com/1.jpg", "https://example.com/2.jpg"]),
            ("query_media_file", vec!["three", "four"]),
        ] {
            assert_eq!(texts(name), values, "{name}");
        }
        let filter: Value = serde_json::from_str(&texts("filter").concat()).unwrap();
        assert_eq!(filter, conditions);
        let files: Vec<_> =
            parts.iter().filter_map(|part| Some((part.filename.as_deref()?, &part.content_type))).collect();
        assert_eq!(files, [("3.png", &Some("image/png".into())), ("4.jpg", &Some("image/jpeg".into()))]);
        assert_eq!(parts.len(), 17);
    }
}

#[test]
fn a_filter_that_cannot_be_sent_is_refused() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    #[allow(clippy::reversed_empty_ranges)]
    let backwards = SearchFilter::new().duration(60..=10);
    let search = || client.search().query("i1", ["visual"]);
    for (result, why) in [
        (search().filter(backwards).send(), "the range from 60 to 10"),
        (search().filter(SearchFilter::new().width(f64::NAN)).send(), "finite"),
        (search().filter("duration > 5").send(), "object"),
    ] {
        let e = result.unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "filter"), "{e}");
        assert!(e.to_string().contains(why), "{e}");
    }
    assert!(server.finish().is_empty());
}
