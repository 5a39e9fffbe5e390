//! Waiting for many resources: the number of requests, the options, and that one resource does not affect the others.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use twelvelabs::testing::StandIn;
use twelvelabs::{CancelHandle, Error, RequestOptions, TwelveLabs, WaitAll, Waiting};

use crate::server::{API_KEY, Moving, Received, Server, Step, answer, answer_with, builder, in_time, read_body};

/// A platform with `count` resources under `/path`, each done after its own time on the clock.
struct Platform {
    path: &'static str,
    clock: Moving,
    /// The times at which the resources are done, in seconds.
    done: Vec<u64>,
    /// The times between which another resource is at the end of the list.
    other: Range<u64>,
}

impl Platform {
    fn status(&self, number: usize) -> &'static str {
        let is_indexed = ["/tasks", "/indexed-assets"].iter().any(|end| self.path.ends_with(end));
        match self.clock.passed() >= Duration::from_secs(self.done[number]) {
            true => "ready",
            false if is_indexed && !self.path.contains("embed") => "indexing",
            false => "processing",
        }
    }

    fn thing(&self, number: usize) -> Value {
        let (id, data) = (format!("i{number}"), json!([{"embedding": [0.5]}]));
        json!({"_id": id, "task_id": id, "status": self.status(number), "data": data})
    }

    /// Returns the platform's answer: a page of a filtered list, or a resource.
    fn answer(&self, request: &Received) -> Vec<u8> {
        let all = |name: &str| -> Vec<&str> {
            request.query.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_str()).collect()
        };
        if request.path != self.path {
            let number = request.path.trim_end_matches("/status").rsplit_once("/i").unwrap().1.parse().unwrap();
            return answer(200, &self.thing(number));
        }
        let (ids, states) = (all("asset_ids"), all("status"));
        let limit: usize = all("page_limit")[0].parse().unwrap();
        let page: usize = all("page").first().map_or(1, |page| page.parse().unwrap());
        assert!(limit <= 50 && ids.len() <= 50, "{:?}", request.query);
        let listed: Vec<Value> = (0..self.done.len())
            .filter(|number| ids.is_empty() || ids.contains(&format!("i{number}").as_str()))
            .filter(|number| states.is_empty() || states.contains(&self.status(*number)))
            .map(|number| self.thing(number))
            .chain(
                self.other
                    .contains(&self.clock.passed().as_secs())
                    .then(|| json!({"_id": "o", "status": "processing"})),
            )
            .collect();
        let pages = listed.len().div_ceil(limit).max(1);
        let data: Vec<&Value> = listed.iter().skip((page - 1) * limit).take(limit).collect();
        let info = json!({"page": page, "total_page": pages, "total_results": listed.len(), "limit_per_page": limit});
        answer(200, &json!({"data": data, "page_info": info}))
    }
}

/// Waits for this many resources, and returns the number of list requests and of single requests.
fn cost(path: &'static str, done: Vec<u64>, wait: impl Fn(&TwelveLabs, Vec<String>) -> Vec<String>) -> (usize, usize) {
    let received = requests(path, done, 0..0, wait);
    let lists = received.iter().filter(|request| request.path == path).count();
    (lists, received.len() - lists)
}

/// Waits for this many resources, and returns all requests.
fn requests(
    path: &'static str,
    done: Vec<u64>,
    other: Range<u64>,
    wait: impl Fn(&TwelveLabs, Vec<String>) -> Vec<String>,
) -> Vec<Received> {
    let clock = Moving::default();
    let ids: Vec<String> = (0..done.len()).map(|number| format!("i{number}")).collect();
    let platform = Arc::new(Platform { path, clock: clock.clone(), done, other });
    let step = |_| {
        let platform = platform.clone();
        Step::Talk(Box::new(move |stream, request| {
            read_body(stream, request)?;
            std::io::Write::write_all(stream, &platform.answer(request)).map(|()| true)
        }))
    };
    let server = Server::start((0..2000).map(step).collect::<Vec<_>>());
    let client = builder(&server).clock(clock).build().unwrap();
    let done = wait(&client, ids.clone());
    assert_eq!(done.iter().cloned().collect::<BTreeSet<_>>().len(), ids.len(), "each resource is returned once");
    assert_eq!(done.len(), ids.len());
    server.received()
}

fn ready<T>(waiting: Waiting<T>) -> Vec<String>
where
    Waiting<T>: Iterator<Item = (String, twelvelabs::Result<T>)>,
{
    waiting.map(|(id, result)| result.map(|_| id).unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn assets(client: &TwelveLabs, ids: Vec<String>) -> Vec<String> {
    ready(client.assets().wait_for_all(ids).send().unwrap())
}

fn items(client: &TwelveLabs, ids: Vec<String>) -> Vec<String> {
    ready(client.knowledge_store_items().wait_for_all("k1", ids).send().unwrap())
}

const ASSETS: &str = "/v1.3/assets";
const ITEMS: &str = "/v1.3/knowledge-stores/k1/items";

#[test]
fn waiting_for_50_assets_takes_one_request_per_round() {
    assert_eq!(cost(ASSETS, vec![600; 1], assets).0, 0, "a single asset is polled without a list");
    // There are rounds at 0, 0.5, 1.5, 3.5 and 8.5 s, then every 5 s: 124 until 10 minutes have passed.
    assert_eq!(cost(ASSETS, vec![600; 50], assets), (124, 50));
    assert_eq!(cost(ASSETS, vec![30; 240], assets), (10 * 5, 240));
    assert_eq!(cost(ASSETS, vec![0; 51], assets), (2, 51));
}

#[test]
fn waiting_for_240_items_for_10_minutes_takes_fewer_than_400_requests() {
    let (lists, retrieved) = cost(ITEMS, vec![600; 240], items);
    assert!(retrieved == 240 && lists + retrieved <= 400, "{lists} + {retrieved}");
    // The items are done one after the other: the first of the list first, the last first, or in any order.
    for order in [|number| number, |number| 239 - number, |number: u64| number * 101 % 240] {
        let (lists, retrieved) = cost(ITEMS, (0..240).map(|number| order(number) * 5 / 2).collect(), items);
        assert!(retrieved == 240 && lists + retrieved <= 400, "{lists} + {retrieved}");
    }
}

#[test]
fn every_kind_of_resource_is_polled_by_its_own_list_and_requests() {
    type Wait = fn(&TwelveLabs, Vec<String>) -> Vec<String>;
    let kinds: [(&str, &str, Wait); 7] = [
        (ASSETS, "/{}", assets),
        (ITEMS, "/{}", items),
        ("/v1.3/tasks", "/{}", |client, ids| ready(client.tasks().wait_for_all(ids).send().unwrap())),
        ("/v1.3/indexes/x1/indexed-assets", "/{}", |client, ids| {
            ready(client.indexes().indexed_assets().wait_for_all("x1", ids).send().unwrap())
        }),
        ("/v1.3/embed-v2/tasks", "/{}", |client, ids| {
            ready(client.embed().v2().tasks().wait_for_all(ids).send().unwrap())
        }),
        ("/v1.3/embed/tasks", "/{}/status", |client, ids| {
            ready(client.embed().tasks().wait_for_all(ids).send().unwrap())
        }),
        ("/v1.3/analyze/tasks", "/{}", |client, ids| {
            ready(client.analyze_async().tasks().wait_for_all(ids).send().unwrap())
        }),
    ];
    for (path, single, wait) in kinds {
        let received = requests(path, vec![0, 1, 9, 9, 9], 0..0, wait);
        let lists = received.iter().filter(|request| request.path == path).count();
        let each: Vec<_> =
            received.iter().filter(|request| request.path != path).map(|request| &request.path).collect();
        let each_once = [0, 1, 2, 3, 4].map(|n| format!("{path}{}", single.replace("{}", &format!("i{n}"))));
        if path.contains("analyze") {
            // This list cannot filter by several statuses.
            assert_eq!(lists, 0);
            assert!(each_once.iter().all(|path| each.contains(&path)), "{each:?}");
        } else {
            assert!(lists > 2, "{path}: {lists}");
            // Fewer than four are polled one by one.
            assert!(each.starts_with(&[&each_once[0], &each_once[1]]) && each.ends_with(&[&each_once[4]]), "{each:?}");
        }
    }
}

#[test]
fn a_resource_that_ends_while_another_starts_is_noticed() {
    // After 40 s, another resource begins and the last one waited for ends: the number of items stays the same.
    let mut done = vec![90; 120];
    done[119] = 40;
    let waited = |client: &TwelveLabs, ids: Vec<String>| {
        let mut done = ready(client.knowledge_store_items().wait_for_all("k1", &ids).send().unwrap());
        assert_eq!(done.remove(0), "i119");
        [vec!["i119".to_string()], done].concat()
    };
    let received = requests(ITEMS, done, 40..90, waited);
    let lists = received.iter().filter(|request| request.path == ITEMS).count();
    assert!(received.len() - lists == 120 && lists < 40, "{lists} + {}", received.len() - lists);
}

#[test]
fn a_list_with_many_other_resources_is_not_read() {
    let waited = |client: &TwelveLabs, ids: Vec<String>| {
        let some = ready(client.knowledge_store_items().wait_for_all("k1", &ids[..10]).send().unwrap());
        assert_eq!(some.len(), 10);
        ids
    };
    let (lists, retrieved) = cost(ITEMS, (0..600).map(|number| if number < 10 { 30 } else { 9000 }).collect(), waited);
    // There are rounds at 0, 0.5, 1.5, 3.5, 8.5, 18.5 … s. Each reads one page and then retrieves each item.
    assert_eq!((lists, retrieved), (8, 80));
}

/// Returns a client whose server gives these answers in turn, and its clock.
fn scripted(script: Vec<Step>) -> (Server, TwelveLabs, Moving) {
    let server = Server::start(script);
    let clock = Moving::default();
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    (server, client, clock)
}

fn status(id: &str, status: &str) -> Step {
    Step::Answer(answer(200, &json!({"_id": id, "status": status})))
}

fn failing(status: u16) -> Step {
    Step::Answer(answer(status, &json!({"message": "Not now."})))
}

fn paths(server: &Server) -> Vec<String> {
    server.received().iter().map(|request| request.path.trim_start_matches("/v1.3").to_string()).collect()
}

#[test]
fn a_resource_that_fails_temporarily_does_not_delay_the_others() {
    let busy = Step::Answer(answer_with(503, &[("retry-after", "30")], &Value::Null));
    let (server, client, clock) =
        scripted(vec![busy, status("a2", "processing"), status("a2", "ready"), status("a1", "ready")]);
    let mut waiting = client.assets().wait_for_all(["a1", "a2"]).send().unwrap();
    let (id, result) = waiting.next().unwrap();
    assert!(id == "a2" && result.is_ok(), "{id}: {result:?}");
    assert_eq!(clock.passed(), Duration::from_millis(500), "neither resource waited for the other");
    assert_eq!(waiting.next().unwrap().0, "a1");
    assert_eq!(clock.passed(), Duration::from_secs(30));
    assert!(waiting.next().is_none());
    assert_eq!(paths(&server), ["/assets/a1", "/assets/a2", "/assets/a2", "/assets/a1"]);
}

#[test]
fn a_temporarily_failing_list_is_retried_and_a_refused_list_is_not() {
    let page = |status: &str| {
        let data: Vec<Value> = (1..=4).map(|n| json!({"_id": format!("a{n}"), "status": status})).collect();
        Step::Answer(answer(200, &json!({"data": data, "page_info": {"page": 1, "total_page": 1}})))
    };
    let each = || (1..=4).map(|n| status(&format!("a{n}"), "ready"));
    // A round ends when its list fails after its retries, of which none is made here. The next round is due after 0.5
    // s.
    let script =
        [failing(500), failing(500), failing(500), page("processing"), page("ready")].into_iter().chain(each());
    let (server, client, _) = scripted(script.collect());
    let ids = ["a1", "a2", "a3", "a4"];
    assert_eq!(ready(client.assets().wait_for_all(ids).send().unwrap()), ids);
    assert_eq!(paths(&server)[..5], ["/assets"; 5]);
    let (server, client, clock) = scripted([failing(400)].into_iter().chain(each()).collect());
    assert_eq!(ready(client.assets().wait_for_all(ids).send().unwrap()), ids);
    assert_eq!((paths(&server).len(), clock.passed()), (5, Duration::ZERO));
}

#[test]
fn a_final_state_is_noticed_in_a_list() {
    let stand_in = StandIn::start();
    let ids: Vec<String> = (0..5).map(|number| format!("a{number}")).collect();
    let deleted: Vec<Value> = ids.iter().map(|id| json!({"_id": id, "status": "deleted"})).collect();
    let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": 5});
    stand_in.answer("GET /assets", json!({"data": deleted, "page_info": info}));
    stand_in.answer("GET /assets/{id}", json!({"_id": "a0", "status": "deleted"}));
    for (id, result) in stand_in.client().assets().wait_for_all(ids).send().unwrap() {
        let e = result.unwrap_err();
        assert!(matches!(&e, Error::Failed(e) if e.status == "deleted" && e.id == id), "{e:?}");
    }
    assert!(stand_in.clock().passed() < Duration::from_secs(60), "{:?}", stand_in.clock().passed());
}

#[test]
fn a_silent_server_does_not_prolong_a_wait() {
    for count in [3, 25] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let attempts = Arc::new(Mutex::new(0));
        let counter = attempts.clone();
        let client = TwelveLabs::builder().api_key(API_KEY).base_url(url);
        let client = client.observer(move |_| *counter.lock().unwrap() += 1).build().unwrap();
        let results: Vec<(String, Error)> = in_time(move || {
            let ids = (0..count).map(|number| format!("a{number}"));
            let wait = client.assets().wait_for_all(ids).max_wait_time(Duration::from_millis(200));
            wait.send().unwrap().map(|(id, result)| (id, result.unwrap_err())).collect()
        });
        assert_eq!(results.len(), count);
        assert!(results.iter().all(|(_, e)| matches!(e, Error::WaitTimeout { .. })), "{results:?}");
        // The first one hangs until the end, and all others share one last poll.
        assert!(*attempts.lock().unwrap() <= 2, "{attempts:?}");
        drop(listener);
    }
}

#[test]
fn every_option_of_a_wait_for_many() {
    let options = || RequestOptions::new().additional_header("x-test", "1").additional_query_parameter("q", 2);
    let (server, client, clock) = scripted((0..3).flat_map(|_| [status("a1", "busy"), status("a2", "busy")]).collect());
    let wait = client.assets().wait_for_all(["a1", "a2"]).sleep_interval(Duration::from_secs(4));
    let wait = wait.max_wait_time(Duration::from_secs(6)).request_options(options());
    let results: Vec<_> = wait.when_some(None::<Duration>, WaitAll::max_wait_time).send().unwrap().collect();
    for (id, result) in &results {
        let Err(Error::WaitTimeout { id: of, status, waited, .. }) = result else { panic!("{result:?}") };
        assert_eq!((of, status.as_str(), *waited), (id, "busy", Duration::from_secs(6)));
    }
    assert_eq!(
        clock.taken(),
        [Duration::from_secs(4), Duration::from_secs(2)],
        "the last poll takes place at the time limit"
    );
    let received = server.finish();
    assert!(received.iter().all(|request| request.header("x-test") == Some("1")));
    assert!(received.iter().all(|request| request.query == [("q".to_string(), "2".to_string())]));
    let zero = client.assets().wait_for_all(["a1"]).sleep_interval(Duration::ZERO).send().unwrap_err();
    assert!(matches!(&zero, Error::InvalidArgument { argument, .. } if argument == "sleep_interval"), "{zero}");
    // An error about one asset affects only that asset.
    let (_server, client, _) = scripted(vec![failing(404), status("a2", "ready")]);
    let results: Vec<_> = client.assets().wait_for_all(["a1", "a2"]).send().unwrap().collect();
    assert!(results[0].1.as_ref().is_err_and(Error::is_not_found) && results[1].1.is_ok(), "{results:?}");
    // Query parameters apply to the resources and not to their list.
    let page = json!({"data": [], "page_info": {"total_page": 1}});
    let script = [Step::Answer(answer(200, &page))].into_iter().chain((1..=4).map(|_| status("a", "ready")));
    let (server, client, _) = scripted(script.collect());
    let wait = client.assets().wait_for_all(["a1", "a2", "a3", "a4"]).request_options(options());
    assert_eq!(ready(wait.send().unwrap()).len(), 4);
    let received = server.finish();
    assert!(received[0].header("x-test") == Some("1") && !received[0].query.iter().any(|(name, _)| name == "q"));
}

#[test]
fn a_canceled_wait_for_many_ends_for_each() {
    let cancel = CancelHandle::new();
    let (server, client, _) = scripted(vec![status("a1", "busy"), status("a2", "ready")]);
    let options = RequestOptions::new().cancel_handle(&cancel);
    let mut waiting = client.assets().wait_for_all(["a1", "a2", "a3"]).request_options(options.clone()).send().unwrap();
    assert_eq!(waiting.next().unwrap().0, "a2");
    cancel.cancel();
    let mut rest: Vec<String> = waiting
        .map(|(id, result)| {
            assert!(result.unwrap_err().is_canceled());
            id
        })
        .collect();
    rest.sort();
    assert_eq!((rest, server.received().len()), (vec!["a1".to_string(), "a3".to_string()], 2));
    // With a list, the wait is canceled before anything was sent.
    let wait = client.assets().wait_for_all((0..9).map(|n| n.to_string())).request_options(options);
    let results: Vec<_> = wait.send().unwrap().collect();
    assert!(results.len() == 9 && results.iter().all(|(_, result)| result.as_ref().is_err_and(Error::is_canceled)));
    assert_eq!(server.received().len(), 2);
}

#[test]
fn a_list_that_keeps_failing_is_given_up_and_one_that_recovers_is_not() {
    let page = |status: &str| {
        let data: Vec<Value> = (1..=4).map(|n| json!({"_id": format!("a{n}"), "status": status})).collect();
        Step::Answer(answer(200, &json!({"data": data, "page_info": {"page": 1, "total_page": 1}})))
    };
    let failures = |count: usize| (0..count).map(|_| failing(500));
    let each = || (1..=4).map(|n| status(&format!("a{n}"), "ready"));
    let ids = ["a1", "a2", "a3", "a4"];
    let (server, client, _) = scripted(failures(6).chain(each()).collect());
    assert_eq!(ready(client.assets().wait_for_all(ids).send().unwrap()), ids);
    assert_eq!(paths(&server)[5..7], ["/assets", "/assets/a1"]);
    let script = failures(5).chain([page("processing")]).chain(failures(5)).chain([page("ready")]).chain(each());
    let (server, client, _) = scripted(script.collect());
    assert_eq!(ready(client.assets().wait_for_all(ids).send().unwrap()), ids);
    assert_eq!(paths(&server)[..12], ["/assets"; 12]);
    // The next round is not due before the server is ready for it.
    let busy = Step::Answer(answer_with(503, &[("retry-after", "30")], &Value::Null));
    let (server, client, clock) = scripted([busy, page("ready")].into_iter().chain(each()).collect());
    assert_eq!(ready(client.assets().wait_for_all(ids).send().unwrap()), ids);
    assert_eq!((paths(&server).len(), clock.taken()), (6, vec![Duration::from_secs(30)]));
    // If that is later than the wait lasts, there is a last round at its end.
    let busy = Step::Answer(answer_with(503, &[("retry-after", "30")], &Value::Null));
    let (_server, client, clock) = scripted([busy, page("ready")].into_iter().chain(each()).collect());
    let wait = client.assets().wait_for_all(ids).max_wait_time(Duration::from_secs(20));
    assert_eq!(ready(wait.send().unwrap()), ids);
    assert_eq!(clock.taken(), [Duration::from_secs(20)]);
}

#[test]
fn resources_that_are_due_a_little_later_join_the_round() {
    let clock = Moving::default();
    let lists = Arc::new(Mutex::new(0));
    let step = |_| {
        let (clock, lists) = (clock.clone(), lists.clone());
        Step::Talk(Box::new(move |stream, request| {
            read_body(stream, request)?;
            let body = if request.path == ASSETS {
                let mut lists = lists.lock().unwrap();
                *lists += 1;
                // The first list does not know the last four yet.
                let known = if *lists == 1 { 4 } else { 8 };
                let thing = |n: i32| json!({"_id": format!("i{n}"), "status": "processing"});
                json!({"data": (0..known).map(thing).collect::<Vec<_>>(), "page_info": {"page": 1, "total_page": 1}})
            } else {
                // Retrieving them takes time, so each is due a little later than the one before it.
                twelvelabs::Clock::sleep(&clock, Duration::from_millis(10));
                json!({"_id": request.path.rsplit('/').next(), "status": "processing"})
            };
            std::io::Write::write_all(stream, &answer(200, &body)).map(|()| true)
        }))
    };
    let server = Server::start((0..100).map(step).collect::<Vec<_>>());
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    let ids = (0..8).map(|n| format!("i{n}"));
    let wait = client.assets().wait_for_all(ids).max_wait_time(Duration::from_secs(9));
    let is_processing = |e| matches!(e, Error::WaitTimeout { status, .. } if status == "processing");
    assert!(wait.send().unwrap().all(|(_, result)| result.is_err_and(is_processing)));
    // There are rounds at 0, 0.5, 1.5, 3.5, 8.5 and 9 s. Only the first retrieves those that the list does not know.
    assert_eq!((server.received().len(), *lists.lock().unwrap()), (4 + 6, 6));
}

#[test]
fn a_list_that_claims_to_have_a_billion_pages_is_not_read() {
    let page = |total: u64, pages: u64| {
        let data: Vec<Value> = (0..8).map(|n| json!({"_id": format!("i{n}"), "status": "processing"})).collect();
        let info = json!({"page": 1, "total_page": pages, "total_results": total});
        Step::Answer(answer(200, &json!({"data": data, "page_info": info})))
    };
    let each = (0..8).map(|n| status(&format!("i{n}"), "ready"));
    let (server, client, _) = scripted([page(9, 1), page(7, 1_000_000_000)].into_iter().chain(each).collect());
    assert_eq!(items(&client, (0..8).map(|n| format!("i{n}")).collect()).len(), 8);
    assert_eq!(server.received().len(), 10);
}
