//! A connection from its authorization to the files that are imported through it, against the stand-in.

use std::time::Duration;

use twelvelabs::data_connectors::ConnectionStatus;
use twelvelabs::imports::{ImportItemAction, ImportItemStatus};
use twelvelabs::testing::StandIn;
use twelvelabs::{Result, TwelveLabs};

#[test]
fn files_of_a_connected_account_become_assets() -> Result<()> {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build()?;
    let connectors = client.data_connectors();

    let uri = connectors.create_redirect_uri("https://app.example.com/done").send()?;
    assert_eq!(connectors.create_redirect_uri("http://app.example.com").send().unwrap_err().status(), Some(422));
    let taken = connectors.create_redirect_uri("https://app.example.com/done").send().unwrap_err();
    assert_eq!(taken.status(), Some(409));
    let registered: Vec<_> = connectors.list_redirect_uris().send()?.collect::<Result<_>>()?;
    assert_eq!(registered, std::slice::from_ref(&uri));
    let authorize = |uri: &str| connectors.authorize_connection("google_drive", uri).custom_id("ana").send();
    assert_eq!(authorize("https://other.example.com").unwrap_err().status(), Some(400));
    let url = authorize("https://app.example.com/done")?.authorize_url.unwrap();
    connectors.delete_redirect_uri(&uri.id).send()?;
    authorize("https://other.example.com")?;

    let id = url.strip_prefix("https://app.example.com/done?connection_id=").unwrap();
    let id = id.strip_suffix("&status=ok").unwrap();
    let connection = connectors.retrieve_connection(id).send()?;
    assert_eq!((connection.status, connection.custom_id.as_deref()), (Some(ConnectionStatus::Active), Some("ana")));
    assert_eq!(connectors.list_connections().page_limit(1).send()?.count(), 2);
    assert!(connectors.create_connection_picker_token(id).send()?.access_token.is_some());

    let imports = client.imports();
    let files = ["a.mp4", "missing.mp4", "video_duration_too_short.mp4", "gone.mp4"];
    let import = imports.import_files(id, files).send()?;
    assert_eq!(import.has_failures, Some(true));
    let gone = import.items.unwrap_or_default().swap_remove(3).asset_id.unwrap();
    client.assets().delete(&gone).send()?;
    let done = imports.wait_for_done(id, &import.id).sleep_interval(Duration::from_millis(1)).send()?;
    let items = done.items.unwrap_or_default();
    assert_eq!((done.item_count, items.len()), (Some(4), 3), "one of the four assets was deleted");
    let asset_id = items[0].outcome().unwrap()?;
    assert_eq!(client.assets().retrieve(asset_id).send()?.filename.as_deref(), Some("a.mp4"));
    assert_eq!(items[1].outcome().unwrap().unwrap_err().code(), Some("source_unavailable"));
    let too_short = items[2].outcome().unwrap().unwrap_err();
    assert!(too_short.to_string().contains(items[2].asset_id.as_deref().unwrap()), "{too_short}");

    let again = imports.import_files(id, ["a.mp4"]).send()?.items.unwrap_or_default();
    assert_eq!(again[0].action, Some(ImportItemAction::Skipped));
    assert_eq!(
        (again[0].status.clone(), again[0].asset_id.as_deref()),
        (Some(ImportItemStatus::Ready), Some(asset_id))
    );
    let listed: Vec<_> = imports.list_imports(id).page_limit(1).send()?.collect::<Result<_>>()?;
    assert_eq!(listed.iter().map(|import| import.item_count).collect::<Vec<_>>(), [Some(1), Some(4)]);
    assert!(imports.import_files(id, ["a", "a"]).send().is_err());

    connectors.delete_connection(id).send()?;
    assert_eq!(connectors.retrieve_connection(id).send().unwrap_err().status(), Some(404));
    Ok(())
}
