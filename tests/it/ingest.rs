//! Batches that add their assets to indexes and knowledge stores: every step is done exactly once, whatever fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use twelvelabs::assets::UploadOutcomeKind::{Failed, NotStarted, Skipped, Uploaded};
use twelvelabs::assets::{AssetType, UploadAll, UploadOutcome, UploadStep};
use twelvelabs::knowledge_store_items::KnowledgeStoreItem;
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{CancelHandle, Clock, Error, TwelveLabs};

use crate::batch::outcomes;
use crate::files::{Folder, content};

/// A stand-in with two indexes and two stores, and a folder with videos and images.
struct Scene {
    stand_in: StandIn,
    client: TwelveLabs,
    folder: Folder,
    indexes: [String; 2],
    stores: [String; 2],
}

const ADD_TO_INDEX: &str = "POST /indexes/{index_id}/indexed-assets";
const ADD_TO_STORE: &str = "POST /knowledge-stores/{store_id}/items";

impl Scene {
    fn new(videos: usize, images: usize) -> Self {
        let (stand_in, folder) = (StandIn::start(), Folder::new("ingest"));
        stand_in.polls_until_ready(1);
        for number in 0..videos {
            folder.write(&format!("{number:03}.mp4"), &content(1000 + number));
        }
        for number in 0..images {
            folder.write(&format!("{number:03}.jpg"), &content(500 + number));
        }
        let client = stand_in.client();
        let index = |name: &str| {
            let models = [twelvelabs::indexes::IndexModelInput::new("marengo3.0", ["visual"])];
            client.indexes().create(name, models).send().unwrap().id
        };
        let store = |name: &str| client.knowledge_stores().create(name).send().unwrap().id;
        let (indexes, stores) = (["one", "two"].map(index), ["one", "two"].map(store));
        Scene { stand_in, client, folder, indexes, stores }
    }

    fn batch(&self) -> UploadAll {
        let names = self.folder.names().into_iter().filter(|name| !name.starts_with("manifest"));
        let paths: Vec<PathBuf> = names.map(|name| self.folder.path(&name)).collect();
        self.client.assets().upload_all(paths).manifest(self.folder.path("manifest.jsonl"))
    }

    /// Creates a batch with the first index and the first store as destinations.
    fn both(&self) -> UploadAll {
        self.batch().index(&self.indexes[0]).knowledge_store(&self.stores[0])
    }

    /// Returns the number of assets, and how many are in each index and store. Checks that none is there twice.
    fn counts(&self) -> (usize, [usize; 2], [usize; 2]) {
        let once = |mut ids: Vec<String>| {
            ids.sort();
            let all = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), all, "each item exists only once");
            all
        };
        let indexed = |index: &String| {
            let list = self.client.indexes().indexed_assets().list(index).page_limit(50).send().unwrap();
            once(list.map(|indexed| indexed.unwrap().asset_id.unwrap()).collect())
        };
        let items = |store: &String| {
            let list = self.client.knowledge_store_items().list(store).page_limit(50).send().unwrap();
            once(list.map(|item| item.unwrap().asset_id.unwrap()).collect())
        };
        let [a, b] = &self.indexes;
        let [c, d] = &self.stores;
        (self.stand_in.asset_count(), [indexed(a), indexed(b)], [items(c), items(d)])
    }
}

#[test]
fn a_folder_goes_into_a_store_and_its_videos_into_an_index() {
    let scene = Scene::new(3, 2);
    let found = outcomes(scene.both());
    for (name, outcome) in &found {
        let asset = outcome.asset.as_ref().unwrap();
        let item = &outcome.items[0];
        assert_eq!((outcome.items.len(), item.asset_id.as_ref()), (1, Some(&asset.id)), "{name}");
        if name.ends_with(".mp4") {
            assert_eq!((outcome.kind, outcome.failed_at), (Uploaded, None), "{outcome:?}");
            assert!(outcome.not_applicable.is_empty());
            assert_eq!(outcome.indexed_assets[0].asset_id.as_ref(), Some(&asset.id));
            assert_eq!(item.asset_type, Some(AssetType::Video));
        } else {
            assert_eq!((outcome.kind, outcome.failed_at), (Uploaded, None), "{outcome:?}");
            assert_eq!(outcome.not_applicable, [UploadStep::Index], "an index does not accept images");
            assert_eq!((outcome.indexed_assets.len(), &item.asset_type), (0, &Some(AssetType::Image)));
        }
    }
    assert_eq!(scene.counts(), (5, [3, 0], [5, 0]));
    assert_eq!(scene.stand_in.count(ADD_TO_INDEX), 3, "no image is sent to the index");

    // Running the batch again only checks that the destinations exist, and every outcome is complete.
    let before = scene.stand_in.requests().len();
    let again = outcomes(scene.both());
    let requests = scene.stand_in.requests().split_off(before);
    let paths: Vec<&str> = requests.iter().map(|request| request.path()).collect();
    assert!(paths.len() == 2 && paths[0].starts_with("/indexes/") && paths[1].starts_with("/knowledge"), "{paths:?}");
    for (name, outcome) in &again {
        let first = &found[name];
        assert_eq!((&outcome.asset, &outcome.indexed_assets), (&first.asset, &first.indexed_assets));
        assert_eq!(outcome.items, first.items);
        assert_eq!((outcome.kind, &outcome.not_applicable), (Skipped, &first.not_applicable));
    }

    // A further index and a further store get the missing assets, and nothing else is done.
    let more = scene.both().index(&scene.indexes[1]).knowledge_store(&scene.stores[1]);
    let more = outcomes(more);
    assert!(more.values().all(|outcome| outcome.items.len() == 2), "{more:?}");
    assert_eq!(more["000.jpg"].not_applicable, [UploadStep::Index], "each step is listed once");
    assert_eq!(scene.counts(), (5, [3, 3], [5, 5]));
    assert_eq!(scene.stand_in.count("POST /assets"), 5);

    // Nothing follows the upload of a file that no destination accepts.
    let only_index = outcomes(scene.batch().index(&scene.indexes[0]));
    assert!(only_index.values().all(|outcome| outcome.kind == Skipped), "{only_index:?}");

    // A batch with fewer destinations keeps what is known of the others.
    assert!(outcomes(scene.batch()).values().all(|outcome| outcome.kind == Skipped));
    outcomes(scene.both());
    assert_eq!(scene.counts(), (5, [3, 3], [5, 5]));
}

#[test]
fn an_existing_asset_is_found() {
    let scene = Scene::new(2, 1);
    assert!(scene.batch().send().unwrap().finish().is_complete());
    for upload in scene.stand_in.uploads() {
        let asset = scene.client.assets().retrieve(&upload.asset_id).send().unwrap();
        scene.client.knowledge_store_items().create(&scene.stores[0], &asset).send().unwrap();
        if upload.filename.ends_with(".mp4") {
            scene.client.indexes().indexed_assets().create(&scene.indexes[0], &asset.id).send().unwrap();
        }
    }
    outcomes(scene.both());
    assert_eq!(scene.counts(), (3, [2, 0], [3, 0]));
    assert_eq!((scene.stand_in.count(ADD_TO_INDEX), scene.stand_in.count(ADD_TO_STORE)), (2, 3));
}

/// The requests of a batch with both destinations.
const REQUESTS: [&str; 6] = [
    "POST /assets",
    "GET /assets/{id}",
    ADD_TO_INDEX,
    ADD_TO_STORE,
    "GET /indexes/{index_id}/indexed-assets/{id}",
    "GET /knowledge-stores/{store_id}/items/{id}",
];

#[test]
fn no_step_is_lost_or_done_twice_whatever_breaks() {
    for request in REQUESTS {
        for fault in [Fault::reset_answer(), Fault::reset_request(0), Fault::status(500), Fault::status(503)] {
            for after in [0, 2] {
                let scene = Scene::new(3, 1);
                scene.stand_in.fault(request, fault.clone().after(after).times(2));
                // A file that fails while the others succeed is resumed by the next batch.
                let first = outcomes(scene.both().workers(2));
                let found = outcomes(scene.both().workers(2));
                let is_done = |(_, outcome): (&String, &UploadOutcome)| outcome.result.is_ok();
                assert!(request == "POST /assets" || first.iter().all(is_done), "{request} {fault:?}: {first:?}");
                assert!(found.iter().all(is_done), "{request} {fault:?}: {found:?}");
                assert_eq!(scene.counts(), (4, [3, 0], [4, 0]), "{request} {fault:?}");
            }
        }
    }
}

#[test]
fn a_batch_that_is_stopped_at_any_step_is_completed_by_the_next() {
    for request in REQUESTS {
        for has_effect in [false, true] {
            let scene = Scene::new(3, 1);
            let fault = if has_effect { Fault::slow(Duration::from_millis(50)) } else { Fault::silent(0) };
            scene.stand_in.fault(request, fault.after(1).always());
            let cancel = CancelHandle::new();
            let uploads = scene.both().cancel_handle(&cancel).workers(2).send().unwrap();
            assert!(scene.stand_in.wait_for(request, 2), "{request}");
            cancel.cancel();
            assert_eq!(uploads.count(), 4);
            scene.stand_in.forgive();
            let found = outcomes(scene.both());
            assert!(found.values().all(|outcome| outcome.items.len() == 1), "{request} {has_effect}: {found:?}");
            assert_eq!(scene.counts(), (4, [3, 0], [4, 0]), "{request} {has_effect}");
        }
    }
}

#[test]
fn a_permanent_failure_in_a_store_is_repeated_only_on_request() {
    let scene = Scene::new(1, 0);
    scene.stand_in.fault("GET /knowledge-stores/{store_id}/items/{id}", Fault::failed("video_file_broken"));
    let fails = |batch: UploadAll| {
        let outcome = outcomes(batch).remove("000.mp4").unwrap();
        assert_eq!(
            (outcome.kind, outcome.failed_at, outcome.items.len()),
            (Failed, Some(UploadStep::KnowledgeStore), 0)
        );
        assert_eq!(outcome.indexed_assets.len(), 1, "the file is added to the other destination");
        outcome.result.unwrap_err()
    };
    assert!(matches!(fails(scene.both()), Error::Failed(_)));
    assert!(matches!(fails(scene.both()), Error::PreviouslyFailed { .. }));
    assert_eq!(scene.stand_in.count(ADD_TO_STORE), 1);
    scene.stand_in.forgive();
    assert_eq!(outcomes(scene.both().retry_permanent(true))["000.mp4"].kind, Uploaded);
    assert_eq!((scene.stand_in.count(ADD_TO_STORE), scene.stand_in.count(ADD_TO_INDEX)), (2, 1));
    let manifest = std::fs::read_to_string(scene.folder.path("manifest.jsonl")).unwrap();
    let last = manifest.lines().last().unwrap();
    assert!(last.contains("\"done\"") && !last.contains("in_flight") && !last.contains("\"failed\""), "{last}");
    assert_eq!(outcomes(scene.both())["000.mp4"].kind, Skipped);
}

#[test]
fn a_destination_that_does_not_exist_ends_the_batch_before_a_file_is_sent() {
    let scene = Scene::new(2, 0);
    for (batch, request) in [
        (scene.both().index("none"), "GET /indexes/none"),
        (scene.both().knowledge_store("none"), "GET /knowledge-stores/none"),
    ] {
        let e = batch.send().unwrap_err();
        assert!(e.is_not_found() && e.to_string().contains(request), "{e}");
    }
    let e = scene.both().index("").send().unwrap_err();
    assert!(matches!(e, Error::InvalidArgument { .. }), "{e}");
    assert_eq!(scene.stand_in.count("POST /assets"), 0);
    // The check fails temporarily. The batch begins nevertheless.
    for fault in [Fault::status(503), Fault::status(429).retry_after(1000), Fault::reset_answer()] {
        scene.stand_in.fault("GET /indexes/{id}", fault.clone());
        scene.stand_in.fault("GET /knowledge-stores/{id}", fault);
        assert!(scene.both().send().unwrap().finish().is_complete());
    }
    assert_eq!(scene.counts(), (2, [2, 0], [2, 0]));
}

#[test]
fn a_quota_exhausted_at_a_destination_ends_the_batch() {
    for add in [ADD_TO_INDEX, ADD_TO_STORE] {
        let scene = Scene::new(6, 0);
        scene.stand_in.fault(add, Fault::status(402).after(1).always());
        let outcomes = outcomes(scene.both().workers(1));
        let step = if add == ADD_TO_INDEX { UploadStep::Index } else { UploadStep::KnowledgeStore };
        let of_kind = |kind| outcomes.values().filter(move |outcome| outcome.kind == kind).collect::<Vec<_>>();
        assert!(of_kind(Failed).iter().all(|outcome| outcome.result.as_ref().is_err_and(Error::is_quota)));
        assert!(of_kind(Failed).iter().any(|outcome| outcome.failed_at == Some(step)), "{outcomes:?}");
        assert!(
            scene.stand_in.count(add) <= 3,
            "the destination was not asked repeatedly: {}",
            scene.stand_in.count(add)
        );
        scene.stand_in.forgive();
        assert!(scene.both().send().unwrap().finish().is_complete());
        assert_eq!(scene.counts(), (6, [6, 0], [6, 0]), "{add}");
    }
}

#[test]
fn an_asset_that_was_deleted_meanwhile_is_uploaded_by_the_next_batch() {
    let scene = Scene::new(1, 0);
    assert!(scene.batch().send().unwrap().finish().is_complete());
    scene.client.assets().delete(&scene.stand_in.uploads()[0].asset_id).send().unwrap();
    assert_eq!(outcomes(scene.both())["000.mp4"].kind, Failed);
    assert_eq!(outcomes(scene.both())["000.mp4"].kind, Uploaded);
    assert_eq!(scene.counts(), (1, [1, 0], [1, 0]));
}

#[test]
fn a_copy_that_was_deleted_meanwhile_is_added_by_the_next_batch() {
    let scene = Scene::new(1, 0);
    assert!(scene.both().wait(false).send().unwrap().finish().is_complete());
    let indexed = scene.client.indexes().indexed_assets();
    let id = indexed.list(&scene.indexes[0]).send().unwrap().next().unwrap().unwrap().id;
    indexed.delete(&scene.indexes[0], &id).send().unwrap();
    assert_eq!(outcomes(scene.both())["000.mp4"].kind, Failed);
    assert!(scene.both().send().unwrap().finish().is_complete());
    assert_eq!(scene.counts(), (1, [1, 0], [1, 0]));
}

#[test]
fn a_404_of_a_destination_does_not_mean_that_the_asset_is_gone() {
    let scene = Scene::new(1, 0);
    scene.stand_in.fault(ADD_TO_INDEX, Fault::status(404));
    let outcome = outcomes(scene.both()).remove("000.mp4").unwrap();
    assert_eq!((outcome.kind, outcome.failed_at), (Failed, Some(UploadStep::Index)));
    assert!(scene.both().send().unwrap().finish().is_complete());
    assert_eq!(scene.counts(), (1, [1, 0], [1, 0]), "the file was not uploaded again");
}

#[test]
fn a_permanent_refusal_is_remembered() {
    let scene = Scene::new(1, 0);
    scene.stand_in.fault(ADD_TO_INDEX, Fault::status(400).code("video_file_broken"));
    let e = outcomes(scene.both()).remove("000.mp4").unwrap().result.unwrap_err();
    assert_eq!(e.code(), Some("video_file_broken"));
    let e = outcomes(scene.both()).remove("000.mp4").unwrap().result.unwrap_err();
    assert!(matches!(e, Error::PreviouslyFailed { .. }), "{e:?}");
    assert_eq!(scene.stand_in.count(ADD_TO_INDEX), 1);
}

#[test]
fn a_destination_that_keeps_failing_is_given_up_after_the_time_of_an_outage() {
    let minute = Duration::from_secs(60);
    for (fault, requests) in [(Fault::status(503), 6..9), (Fault::status(503).retry_after(1000), 2..3)] {
        let scene = Scene::new(1, 0);
        scene.stand_in.fault(ADD_TO_INDEX, fault.always());
        let outcome = outcomes(scene.both().max_outage(minute)).remove("000.mp4").unwrap();
        assert_eq!((outcome.kind, outcome.failed_at), (Failed, Some(UploadStep::Index)));
        let (count, passed) = (scene.stand_in.count(ADD_TO_INDEX), scene.stand_in.clock().passed());
        assert!(requests.contains(&count), "{count}");
        assert!((minute..minute * 2).contains(&passed), "{passed:?}");
    }
    // The time spent on the index does not count towards the limit of the store.
    let scene = Scene::new(1, 0);
    for (add, fault) in [
        (ADD_TO_INDEX, Fault::status(503).retry_after(1000)),
        (ADD_TO_STORE, Fault::status(503).retry_after(1000)),
        (ADD_TO_STORE, Fault::status(503)),
    ] {
        scene.stand_in.fault(add, fault);
    }
    assert!(scene.both().max_outage(Duration::from_secs(1500)).send().unwrap().finish().is_complete());
}

#[test]
fn an_addition_is_noted_before_it_is_requested() {
    let scene = Scene::new(1, 0);
    scene.stand_in.fault(ADD_TO_INDEX, Fault::silent(10));
    let cancel = CancelHandle::new();
    let uploads = scene.both().cancel_handle(&cancel).send().unwrap();
    assert!(scene.stand_in.wait_for(ADD_TO_INDEX, 1));
    let manifest = std::fs::read_to_string(scene.folder.path("manifest.jsonl")).unwrap();
    cancel.cancel();
    assert_eq!(uploads.count(), 1);
    let last = manifest.lines().last().unwrap();
    assert!(last.contains(&scene.indexes[0]) && last.contains("\"in_flight\":true"), "{last}");
}

#[test]
fn a_batch_that_does_not_wait_still_adds_assets() {
    let scene = Scene::new(2, 0);
    scene.stand_in.fault("GET /knowledge-stores/{store_id}/items/{id}", Fault::never_ready());
    let found = outcomes(scene.both().wait(false));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded && outcome.items.is_empty()), "{found:?}");
    scene.stand_in.forgive();
    assert!(outcomes(scene.both()).values().all(|outcome| outcome.items.len() == 1));
    assert_eq!(scene.counts(), (2, [2, 0], [2, 0]));
    // A store is listed once to find the assets of an earlier batch in it.
    let list = "GET /knowledge-stores/{store_id}/items";
    let listed = scene.stand_in.count(list);
    assert!(scene.batch().knowledge_store(&scene.stores[1]).wait(false).send().unwrap().finish().is_complete());
    assert_eq!(scene.stand_in.count(list), listed + 1);
    assert_eq!(scene.counts(), (2, [2, 0], [2, 2]));
}

#[test]
fn assets_that_exist_are_added_once() {
    let scene = Scene::new(3, 1);
    let found = scene.batch().send().unwrap();
    let ids: Vec<String> = found.map(|outcome| outcome.result.unwrap().id).collect();
    let (indexed_assets, items) = (scene.client.indexes().indexed_assets(), scene.client.knowledge_store_items());
    for _ in 0..2 {
        let twice = ids.iter().chain(&ids);
        let added: BTreeMap<_, _> = items.create_all(&scene.stores[0], twice).workers(2).send().unwrap().collect();
        let is_it = |(id, item): (&String, &Result<_, _>)| {
            item.as_ref().is_ok_and(|item: &KnowledgeStoreItem| item.asset_id.as_ref() == Some(id))
        };
        assert!(added.len() == 4 && added.iter().all(is_it), "{added:?}");
        let indexed: Vec<_> = indexed_assets.create_all(&scene.indexes[0], &ids).send().unwrap().collect();
        let refused = indexed.iter().filter_map(|(_, indexed)| indexed.as_ref().err());
        let texts: Vec<String> = refused.map(ToString::to_string).collect();
        assert!(texts.len() == 1 && texts[0].contains("an image cannot be indexed"), "{texts:?}");
        assert_eq!(scene.counts(), (4, [3, 0], [4, 0]));
    }
    // A destination that does not exist is an error before anything is done.
    let before = scene.stand_in.requests().len();
    let e = items.create_all("none", &ids).send().unwrap_err();
    assert!(e.is_not_found() && e.to_string().contains("GET /knowledge-stores/none"), "{e}");
    assert_eq!(scene.stand_in.requests().len(), before + 1);
    let unknown = indexed_assets.create_all(&scene.indexes[0], ["none"]).send().unwrap().next().unwrap();
    assert!(unknown.0 == "none" && unknown.1.is_err_and(|e| e.is_not_found()));
}

#[test]
fn a_wait_for_many_assets_polls_lists() {
    const FILES: usize = 40;
    let scene = Scene::new(FILES, 0);
    scene.stand_in.polls_until_ready(30);
    let before = scene.stand_in.requests().len();
    // One worker, because a second one would let the test clock jump to the next poll while the first one sends. Then the
    // first few assets are polled alone as often as the system is slow.
    assert!(scene.both().workers(1).send().unwrap().finish().is_complete());
    assert_eq!(scene.counts(), (FILES, [FILES, 0], [FILES, 0]));
    for request in ["GET /assets/{id}", REQUESTS[4], REQUESTS[5]] {
        // The list is read once at the end, and before that for the few assets that are awaited alone.
        assert!(scene.stand_in.count(request) < 3 * FILES, "{request}: {}", scene.stand_in.count(request));
    }
    // Polling one by one would take 30 requests for each of three steps of each file.
    let requests = scene.stand_in.requests().len() - before;
    assert!(requests < 20 * FILES, "{requests}");
}

#[test]
fn files_are_sent_at_the_rate_of_the_batch_and_polls_do_not_count() {
    let scene = Scene::new(7, 0);
    scene.stand_in.polls_until_ready(5);
    let clock = scene.stand_in.clock();
    let before = clock.utc_now();
    // One worker, because a second one would let the test clock jump while the first one sends.
    let batch = scene.both().workers(1).rate_limit(3, Duration::from_secs(60));
    assert!(batch.send().unwrap().finish().is_complete());
    let uploads = scene.client.assets().list().page_limit(50).send().unwrap();
    let mut minutes = BTreeMap::new();
    for asset in uploads {
        let after = asset.unwrap().created_at.unwrap() - before;
        *minutes.entry(after.whole_seconds() / 60).or_insert(0) += 1;
    }
    assert_eq!(minutes.into_iter().collect::<Vec<_>>(), [(0, 3), (1, 3), (2, 1)]);
    // Finished steps do not count towards the limit.
    let passed = clock.passed();
    scene.both().rate_limit(1, Duration::from_secs(3600)).send().unwrap().for_each(drop);
    assert!(clock.passed() < passed + Duration::from_secs(60));
}

#[test]
fn a_deadline_ends_a_batch_in_the_middle_of_its_chunks() {
    const CHUNKS: &str = "PUT /storage/{upload_id}/{chunk}";
    let scene = Scene::new(1, 0);
    scene.stand_in.chunks(100, 10);
    scene.stand_in.fault(CHUNKS, Fault::silent(10).after(3).always());
    let real_time = scene.stand_in.builder().clock(RealTime).build().unwrap();
    let path = || [scene.folder.path("000.mp4")];
    let batch = |client: &TwelveLabs| {
        client.assets().upload_all(path()).manifest(scene.folder.path("manifest.jsonl")).threshold(100).max_workers(1)
    };
    // The time is real, and has to suffice for three chunks on a slow system.
    let mut uploads = batch(&real_time).deadline(Duration::from_secs(2)).send().unwrap();
    let e = uploads.next().unwrap().result.unwrap_err();
    assert!(matches!(&e, Error::Upload(e) if e.resumable) && e.is_canceled(), "{e:?}");
    drop(uploads);
    scene.stand_in.forgive();
    assert!(batch(&scene.client).send().unwrap().finish().is_complete());
    let [upload_id] = &scene.stand_in.upload_ids()[..] else { panic!("the session was resumed") };
    let sent = scene.stand_in.sent_chunks(upload_id);
    assert_eq!(sent.iter().filter(|chunk| **chunk <= 3).count(), 3, "{sent:?}");
}

struct RealTime;

impl Clock for RealTime {}

#[test]
fn a_deadline_ends_a_batch_that_the_next_completes() {
    let mut scene = Scene::new(5, 0);
    // The second file is never completed.
    scene.stand_in.fault("POST /assets", Fault::silent(10).after(1).always());
    let real_time = scene.stand_in.builder().clock(RealTime).build().unwrap();
    let in_test_time = std::mem::replace(&mut scene.client, real_time);
    let uploads = scene.both().workers(1).deadline(Duration::from_millis(300)).send().unwrap();
    let outcomes: Vec<UploadOutcome> = uploads.collect();
    let not_started = outcomes.iter().filter(|outcome| outcome.kind == NotStarted);
    let texts: Vec<String> = not_started.map(|outcome| outcome.result.as_ref().unwrap_err().to_string()).collect();
    assert!(
        texts.len() >= 2 && texts.iter().all(|text| text.contains("the deadline of the batch (300 ms)")),
        "{outcomes:?}"
    );
    scene.stand_in.forgive();
    scene.client = in_test_time;
    assert!(scene.both().send().unwrap().finish().is_complete());
    assert_eq!(scene.counts(), (5, [5, 0], [5, 0]));
}

#[test]
fn an_unusable_id_of_a_placement_is_looked_up_again() {
    let scene = Scene::new(1, 0);
    let added = outcomes(scene.both().wait(false));
    assert!(added["000.mp4"].result.is_ok(), "{added:?}");
    let path = scene.folder.path("manifest.jsonl");
    let mut lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(Into::into).collect();
    let mut last: serde_json::Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    for placement in last["placements"].as_array_mut().unwrap() {
        placement["id"] = "..".into();
    }
    lines.push(last.to_string());
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let found = outcomes(scene.both());
    let outcome = &found["000.mp4"];
    assert!(outcome.result.is_ok() && outcome.indexed_assets.len() == 1 && outcome.items.len() == 1, "{outcome:?}");
    assert_eq!(scene.counts(), (1, [1, 0], [1, 0]));
}
