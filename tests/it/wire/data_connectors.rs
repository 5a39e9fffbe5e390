//! Calls of `data_connectors`.

use serde_json::json;
use twelvelabs::data_connectors::ConnectionProvider;

use crate::server::{Server, Step, answer, client};
use crate::wire::{Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("data_connectors.authorize_connection", |client, args| {
        let provider: ConnectionProvider = args.value("provider");
        one(client
            .data_connectors()
            .authorize_connection(provider, args.text("redirect_uri"))
            .when_some(args.get("custom_id"), |call, value: String| call.custom_id(value))
            .send())
    }),
    Row::new("data_connectors.list_connections", |client, args| {
        list(
            client
                .data_connectors()
                .list_connections()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("data_connectors.retrieve_connection", |client, args| {
        one(client.data_connectors().retrieve_connection(&args.text("connection_id")).send())
    })
    .id("_id"),
    Row::new("data_connectors.delete_connection", |client, args| {
        one(client.data_connectors().delete_connection(&args.text("connection_id")).send())
    }),
    Row::new("data_connectors.create_connection_picker_token", |client, args| {
        one(client.data_connectors().create_connection_picker_token(&args.text("connection_id")).send())
    }),
    Row::new("data_connectors.list_redirect_uris", |client, args| {
        list(
            client
                .data_connectors()
                .list_redirect_uris()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("data_connectors.create_redirect_uri", |client, args| {
        one(client.data_connectors().create_redirect_uri(args.text("redirect_uri")).send())
    })
    .id("_id"),
    Row::new("data_connectors.delete_redirect_uri", |client, args| {
        one(client.data_connectors().delete_redirect_uri(&args.text("redirect_uri_id")).send())
    }),
];

#[test]
fn every_option_of_an_authorization() {
    let answers = [json!({"authorize_url": "https://a.example?state=s3cret", "state": "s3cret"}), json!({"data": []})];
    let server = Server::start(answers.map(|body| Step::Answer(answer(200, &body))));
    let (client, _) = client(&server);
    let connectors = client.data_connectors();
    let authorized = connectors
        .authorize_connection("dropbox", "https://app.example.com/done?a=1&b=é")
        .custom_id("customer-42")
        .send()
        .unwrap();
    assert!(authorized.authorize_url.as_deref().is_some_and(|url| url.contains("s3cret")));
    assert!(!format!("{authorized:?}").contains("s3cret"), "{authorized:?}");
    // The colon before the custom method is not encoded, and a colon in an id is.
    assert_eq!(connectors.retrieve_connection("x:authorize").send().unwrap_err().status(), None);
    let received = server.finish();
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/v1.3/connections:authorize"));
    let body = json!({
        "provider": "dropbox", "redirect_uri": "https://app.example.com/done?a=1&b=é", "custom_id": "customer-42",
    });
    assert_eq!(received[0].json(), body);
    assert_eq!(received[1].path, "/v1.3/connections/x%3Aauthorize");
}

#[test]
fn the_secrets_of_a_picker_are_not_printed() {
    let token = json!({
        "access_token": "ya29.s3cret", "expires_in": 3600, "scope": "drive.readonly", "app_id": "42",
        "developer_key": "AIza-s3cret",
    });
    let server = Server::start([Step::Answer(answer(200, &token))]);
    let (client, _) = client(&server);
    let token = client.data_connectors().create_connection_picker_token("c1").send().unwrap();
    assert_eq!((token.access_token.as_deref(), token.expires_in), (Some("ya29.s3cret"), Some(3600)));
    assert!(!format!("{token:?}").contains("s3cret") && format!("{token:?}").contains("3600"), "{token:?}");
}
