//! The example of `src/guide/testing.md`.

use twelvelabs::TwelveLabs;
use twelvelabs::testing::TestClock;

/// The code under test.
fn is_ready(client: &TwelveLabs, asset_id: &str) -> twelvelabs::Result<bool> {
    let asset = client.assets().retrieve(asset_id).send()?;
    Ok(asset.status.is_some_and(|status| status.as_str() == "ready"))
}

#[test]
fn an_asset_is_ready() -> twelvelabs::Result<()> {
    let mut server = mockito::Server::new();
    let mock = server
        .mock("GET", "/assets/42")
        .match_header("x-api-key", "tlk_test")
        .with_body(r#"{"_id": "42", "status": "ready"}"#)
        .create();
    let builder = TwelveLabs::builder().api_key("tlk_test").base_url(server.url());
    let client = builder.clock(TestClock::new()).build()?;

    assert!(is_ready(&client, "42")?);
    mock.assert();
    Ok(())
}
