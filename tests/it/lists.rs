//! Lists that change, fail or are inconsistent while they are read, that are resumed later, and whose pages are
//! prefetched.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};
use twelvelabs::assets::Asset;
use twelvelabs::search::SearchItem;
use twelvelabs::{Error, RequestOptions, SyncPager, TwelveLabs};

/// An answer: its status and its body.
type Answer = (u16, Value);
type Handler = dyn Fn(&str, &HashMap<String, String>) -> Answer + Send + Sync;

/// A server that answers any number of requests in parallel, and records them.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(handler: impl Fn(&str, &HashMap<String, String>) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, handler): (_, Arc<Handler>) = (requests.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, handler) = (noted.clone(), handler.clone());
                thread::spawn(move || serve(stream, &noted, &*handler));
            }
        });
        Server { url, requests }
    }

    /// Creates a server with one body for each page, and another for all pages after them.
    fn of_pages(pages: impl Fn(u64) -> Value + Send + Sync + 'static) -> Self {
        Server::start(move |_, query| (200, pages(query["page"].parse().unwrap())))
    }

    fn client(&self) -> TwelveLabs {
        TwelveLabs::builder().api_key("tlk_test_key").base_url(&self.url).max_retries(0).build().unwrap()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, noted: &Mutex<Vec<String>>, handler: &Handler) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        std::io::copy(&mut std::io::Read::take(&mut reader, length), &mut std::io::sink()).ok()?;
        let target = head.rsplit_once(' ')?.0.to_string();
        noted.lock().unwrap().push(target.clone());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect();
        let (status, body) = handler(path, &query);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = format!("HTTP/1.1 {status} S\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        (&stream).write_all(answer.as_bytes()).ok()?;
    }
}

/// Assets that can be deleted and added, oldest first.
#[derive(Clone)]
struct Assets(Arc<Mutex<Vec<String>>>);

impl Assets {
    fn of(count: usize) -> Self {
        Assets(Arc::new(Mutex::new((0..count).map(|n| format!("a{n}")).collect())))
    }

    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap().retain(|have| have != id);
    }

    fn add_first(&self, id: String) {
        self.0.lock().unwrap().insert(0, id);
    }

    fn page(&self, query: &HashMap<String, String>) -> Value {
        let number = |name: &str, otherwise| query.get(name).map_or(otherwise, |text| text.parse().unwrap());
        let (page, limit) = (number("page", 1), number("page_limit", 10));
        let all = self.ids();
        let data: Vec<Value> = all.iter().skip((page - 1) * limit).take(limit).map(|id| json!({"_id": id})).collect();
        let total = all.len().div_ceil(limit);
        json!({
            "data": data,
            "page_info": {"page": page, "limit_per_page": limit, "total_page": total, "total_results": all.len()},
        })
    }

    fn server(&self) -> Server {
        let assets = self.clone();
        Server::start(move |path, query| match path.strip_prefix("DELETE /assets/") {
            Some(id) => {
                assets.remove(id);
                (204, Value::Null)
            }
            None => (200, assets.page(query)),
        })
    }
}

fn id(asset: Result<Asset, Error>) -> String {
    asset.map_or_else(|e| format!("error: {e}"), |asset| asset.id)
}

fn page_requests(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.starts_with("GET")).count()
}

#[test]
fn deleting_while_reading_loses_nothing() {
    for limit in [1, 7, 10, 50, 200] {
        for every in [1, 2, 3, 10, 40] {
            let assets = Assets::of(169);
            let server = assets.server();
            let client = server.client();
            let mut given = Vec::new();
            for asset in client.assets().list().page_limit(limit).send().unwrap() {
                let asset = asset.unwrap();
                given.push(asset.id.clone());
                if given.len() % every == 0 {
                    client.assets().delete(&asset.id).send().unwrap();
                }
            }
            let expected: Vec<String> = (0..169).map(|n| format!("a{n}")).collect();
            assert_eq!(given, expected, "with {limit} items on a page and every {every}th deleted");
            assert_eq!(assets.ids().len(), 169 - 169 / every);
            assert!(page_requests(&server) <= 2 * 169_usize.div_ceil(limit as usize) + 2, "{}", page_requests(&server));
        }
    }
}

#[test]
fn deleting_page_by_page_loses_nothing() {
    let assets = Assets::of(169);
    let server = assets.server();
    let client = server.client();
    let mut given = 0;
    for page in client.assets().list().page_limit(50).send().unwrap().iter_pages() {
        for asset in page.unwrap().into_items() {
            given += 1;
            client.assets().delete(&asset.unwrap().id).send().unwrap();
        }
    }
    assert_eq!((given, assets.ids().len()), (169, 0));
}

#[test]
fn an_unchanged_list_takes_one_request_per_page() {
    for (count, limit) in [(0, 10), (1, 10), (10, 10), (169, 10), (169, 50)] {
        for ahead in [0, 1, 4, 1000] {
            let server = Assets::of(count).server();
            let list = server.client().assets().list().page_limit(limit).send().unwrap().prefetch(ahead);
            let expected: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
            assert_eq!(list.map(id).collect::<Vec<_>>(), expected, "{ahead} ahead");
            let pages: HashSet<String> = server.requests().into_iter().collect();
            let expected = count.div_ceil(limit as usize).max(1);
            assert_eq!((server.count(), pages.len()), (expected, expected), "{ahead} ahead");
        }
    }
}

#[test]
fn items_added_during_reading_are_not_returned_twice() {
    let assets = Assets::of(35);
    let server = assets.server();
    let mut given = Vec::new();
    for asset in server.client().assets().list().send().unwrap() {
        given.push(id(asset));
        if given.len() % 5 == 0 && given.len() <= 15 {
            // More items than a page has are added, so that whole pages repeat.
            (0..8).for_each(|n| assets.add_first(format!("new{}-{n}", given.len())));
        }
    }
    let all = given.len();
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), all, "{given:?}");
    given.retain(|id| id.starts_with('a'));
    assert_eq!(given, (0..35).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn items_that_remain_are_returned_once_whatever_is_deleted_and_added(
        limit in 1u32..8,
        changes in proptest::collection::vec((0usize..60, 0usize..50, 0usize..12, 0usize..4), 0..12),
        ahead in 0usize..3,
    ) {
        let assets = Assets::of(40);
        let server = assets.server();
        let mut given = Vec::new();
        let mut deleted = HashSet::new();
        let list = server.client().assets().list().page_limit(limit).send().unwrap().prefetch(ahead);
        for asset in list.take(500) {
            given.push(id(asset));
            for (_, from, gone, new) in changes.iter().filter(|(at, ..)| *at == given.len()) {
                let going: Vec<String> = assets.ids().into_iter().skip(from % 3 * from).take(*gone).collect();
                // Fewer items are added than removed, so that the list gets shorter and the change can be noticed.
                let new = *new.min(&going.len().saturating_sub(1));
                for id in going {
                    assets.remove(&id);
                    deleted.insert(id);
                }
                (0..new).for_each(|n| assets.add_first(format!("new{}-{n}", given.len())));
            }
        }
        let once: HashSet<&String> = given.iter().collect();
        prop_assert_eq!(once.len(), given.len(), "nothing is given twice");
        for n in 0..40 {
            let id = format!("a{n}");
            prop_assert!(deleted.contains(&id) || once.contains(&id), "{} is lost: {:?}", id, given);
        }
    }
}

#[test]
fn a_shrinking_list_without_ids_is_an_error_that_says_what_to_do() {
    let server = Server::of_pages(|page| {
        let items: Vec<Value> = (0..10).map(|n| json!({"filename": page * 10 + n})).collect();
        let info = json!({"page": page, "limit_per_page": 10, "total_page": 4, "total_results": 40 - page * 5});
        json!({"data": items, "page_info": info})
    });
    let items: Vec<_> = server.client().assets().list().send().unwrap().collect();
    let Some(Err(e @ Error::Paging { .. })) = items.last() else { panic!("{items:?}") };
    assert!(e.to_string().contains("shrank while it was read") && e.to_string().contains("`collect`"), "{e}");
    assert_eq!((items.len(), server.count()), (11, 2));
}

#[test]
fn items_that_moved_before_the_first_requested_page_are_an_error() {
    let assets = Assets::of(60);
    let server = assets.server();
    let mut list = server.client().assets().list().page(3).send().unwrap();
    let first: Vec<_> = list.by_ref().take(10).map(id).collect();
    (20..60).take(20).for_each(|n| assets.remove(&format!("a{n}")));
    (0..10).for_each(|n| assets.remove(&format!("a{n}")));
    assert_eq!(first, (20..30).map(|n| format!("a{n}")).collect::<Vec<_>>());
    let rest: Vec<_> = list.map(id).collect();
    assert!(rest.len() == 1 && rest[0].contains("to pages before its first page"), "{rest:?}");
}

/// Returns the error at the end of a list that never ends, and the number of requests until then.
fn end(server: &Server, ahead: usize) -> (String, usize) {
    let list = server.client().assets().list().send().unwrap().prefetch(ahead);
    let last = list.take(100_000).map(id).last().unwrap_or_default();
    (last, server.count())
}

#[test]
fn an_endless_list_is_an_error_after_few_requests() {
    let info = |page: u64, results: u64| json!({"page": page, "limit_per_page": 2, "total_page": 1_000_000_000_u64, "total_results": results});
    let items = |ids: [u64; 2], page: u64| json!([{"_id": ids[0].to_string(), "n": page}, {"_id": ids[1].to_string(), "n": page}]);
    type Pages = Box<dyn Fn(u64) -> Value + Send + Sync>;
    let lists: [(&str, Pages); 7] = [
        ("empty", Box::new(move |page| json!({"data": [], "page_info": info(page, 1 << 40)}))),
        ("empty", Box::new(move |page| json!({"data": null, "page_info": info(page, 1 << 40)}))),
        ("again", Box::new(move |page| json!({"data": items([1, 2], page), "page_info": info(page, 1 << 40)}))),
        ("again", Box::new(move |page| json!({"data": items([page % 3, 7], page), "page_info": info(page, 1 << 40)}))),
        (
            "again",
            Box::new(move |page| json!({"data": items([page % 3, 7], 0), "page_info": info(page, (1 << 40) + page)})),
        ),
        (
            "again",
            Box::new(
                move |page| json!({"data": items([page % 3, 7], page), "page_info": info(page, (1 << 40) - page)}),
            ),
        ),
        (
            "again",
            Box::new(
                move |page| json!({"data": [{"n": 1}, {"n": page % 2}], "page_info": {"page": page, "total_page": 1_u64 << 40}}),
            ),
        ),
    ];
    for (n, (why, pages)) in lists.into_iter().enumerate() {
        let pages = Arc::new(pages);
        for ahead in [0, 3] {
            let pages = pages.clone();
            let server = Server::of_pages(move |page| pages(page));
            let (last, requests) = end(&server, ahead);
            assert!(last.starts_with("error: ") && last.contains(why), "list {n}: {last}");
            assert!(requests <= 25, "list {n}: {requests} requests");
        }
    }
    // The server's page count is trusted no more than its items.
    let server = Server::of_pages(
        |page| json!({"data": [{"_id": page.to_string()}], "page_info": {"page": page, "total_page": u64::MAX, "total_results": 40, "limit_per_page": 1}}),
    );
    let (last, requests) = end(&server, 0);
    assert!(last.starts_with("error: ") && last.contains("the list does not end: 1080 pages were read"), "{last}");
    assert_eq!(requests, 1081);
    // A list that claims more pages with each page is read for a while.
    let server = Server::of_pages(
        |page| json!({"data": [{"_id": page.to_string()}], "page_info": {"page": page, "total_page": (page + 1).min(3000)}}),
    );
    let (last, requests) = end(&server, 0);
    assert!(last.starts_with("error: ") && last.contains("the list does not end"), "{last}");
    assert!((1000..1100).contains(&requests), "{requests} requests");
    let server = Server::of_pages(|page| {
        let chunks: Vec<Value> =
            (1..=10).map(|n| json!({"index": n, "status": "completed", "updated_at": page})).collect();
        json!({"uploaded_chunks": chunks, "page_info": {"page": page, "total_page": 1_000_000_000}})
    });
    let chunks = server.client().multipart_upload().get_status("u").send().unwrap();
    assert!(chunks.last().is_some_and(|last| matches!(last, Err(Error::Paging { .. }))) && server.count() == 2);
}

#[test]
fn a_shrinking_list_with_ever_new_items_is_an_error() {
    let counter = Mutex::new(0);
    let server = Server::of_pages(move |page| {
        let mut counter = counter.lock().unwrap();
        *counter += 10;
        let items: Vec<Value> = (0..10).map(|n| json!({"_id": format!("{}", *counter + n)})).collect();
        let info = json!({"page": page, "limit_per_page": 10, "total_page": 400 - page, "total_results": 4000 - page});
        json!({"data": items, "page_info": info})
    });
    let (last, requests) = end(&server, 0);
    assert!(last.contains("the earlier pages contain only new items") && last.contains("`collect`"), "{last}");
    assert!(requests <= 110, "{requests} requests");
    // A page of items was deleted at the beginning, and nearly as many were added at the end. Nothing must be lost.
    let assets = Assets::of(60);
    let server = assets.server();
    let mut list = server.client().assets().list().send().unwrap();
    let first: Vec<_> = list.by_ref().take(30).map(id).collect();
    (0..25).for_each(|n| assets.remove(&format!("a{n}")));
    (60..84).for_each(|n| assets.0.lock().unwrap().push(format!("a{n}")));
    let rest: Vec<_> = list.map(id).collect();
    assert_eq!([first, rest].concat(), (0..84).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[test]
fn a_page_that_failed_temporarily_can_be_requested_again() {
    let assets = Assets::of(30);
    let failures = Arc::new(Mutex::new(HashMap::from([("2".to_string(), 2), ("3".to_string(), 1)])));
    let (served, faults) = (assets.clone(), failures.clone());
    let server = Server::start(move |_, query| {
        let mut faults = faults.lock().unwrap();
        match faults.get_mut(&query["page"]).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                (503, json!({"message": "later"}))
            }
            None => (200, served.page(query)),
        }
    });
    for ahead in [0, 2] {
        *failures.lock().unwrap() = HashMap::from([("2".to_string(), 2), ("3".to_string(), 1)]);
        let mut list = server.client().assets().list().send().unwrap().prefetch(ahead);
        let given: Vec<_> = list.by_ref().map(id).collect();
        let errors: Vec<_> = (0..given.len()).filter(|n| given[*n].starts_with("error: later")).collect();
        assert_eq!(errors, [10, 11, 22], "{given:?}");
        let rest: Vec<_> = given.into_iter().filter(|id| !id.starts_with("error")).collect();
        assert_eq!(rest, (0..30).map(|n| format!("a{n}")).collect::<Vec<_>>());
        assert!(list.next().is_none() && list.next().is_none(), "a list that has ended yields nothing more");
    }
    // Reading by pages survives the failure as well.
    *failures.lock().unwrap() = HashMap::from([("2".to_string(), 1)]);
    let pages = server.client().assets().list().send().unwrap().iter_pages();
    let sizes: Vec<_> = pages.map(|page| page.map_or(0, |page| page.items().len())).collect();
    assert_eq!(sizes, [10, 0, 10, 10]);
    *failures.lock().unwrap() = HashMap::from([("2".to_string(), 1)]);
    let first = server.client().assets().list().send().unwrap();
    assert!(first.next_page().is_err());
    assert_eq!(first.next_page().unwrap().unwrap().items().len(), 10);
    // The retries are limited for each page, not for the whole list.
    *failures.lock().unwrap() = HashMap::from([("2".to_string(), 9), ("3".to_string(), 9)]);
    let given: Vec<_> = server.client().assets().list().send().unwrap().map(id).collect();
    assert_eq!((given.len(), given.iter().filter(|id| id.starts_with("error")).count()), (30 + 18, 18));
    *failures.lock().unwrap() = HashMap::from([("2".to_string(), usize::MAX)]);
    let before = server.count();
    let list = server.client().assets().list().send().unwrap();
    assert_eq!(list.map(id).filter(|id| id.starts_with("error")).count(), 10);
    assert_eq!(server.count() - before, 11);
}

#[test]
fn a_list_survives_an_exhausted_quota_and_a_cancellation() {
    let assets = Assets::of(20);
    let (served, refusals) = (assets.clone(), Arc::new(Mutex::new(2)));
    let server = Server::start(move |_, query| {
        let mut refusals = refusals.lock().unwrap();
        if query["page"] == "2" && *refusals > 0 {
            *refusals -= 1;
            return (402, json!({"message": "later"}));
        }
        (200, served.page(query))
    });
    let given: Vec<_> = server.client().assets().list().send().unwrap().map(id).collect();
    let errors: Vec<_> = (0..given.len()).filter(|n| given[*n].starts_with("error: later")).collect();
    assert_eq!((given.len(), errors), (22, vec![10, 11]));
    let cancel = twelvelabs::CancelHandle::new();
    let options = RequestOptions::new().cancel_handle(&cancel);
    let mut list = server.client().assets().list().request_options(options).send().unwrap();
    assert_eq!(list.by_ref().take(10).count(), 10);
    cancel.cancel();
    for _ in 0..2 {
        assert!(list.next().unwrap().is_err_and(|e| e.is_canceled()));
    }
    // The list can be continued later.
    let token = list.token().unwrap();
    let rest: Vec<_> = server.client().assets().list().from_token(token).send().unwrap().map(id).collect();
    assert_eq!(rest, (10..20).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[test]
fn a_list_is_continued_from_a_token() {
    let assets = Assets::of(25);
    let server = assets.server();
    let client = server.client();
    let all: Vec<String> = (0..25).map(|n| format!("a{n}")).collect();
    for taken in 1..25 {
        let mut list = client.assets().list().send().unwrap();
        let given: Vec<_> = list.by_ref().take(taken).map(id).collect();
        let token = list.token().unwrap();
        let before = server.count();
        let rest: Vec<_> = client.assets().list().from_token(&token).send().unwrap().map(id).collect();
        assert_eq!([given, rest].concat(), all, "after {taken}: {token}");
        assert_eq!(server.count() - before, 3 - taken / 10, "no page is read twice");
    }
    let mut list = client.assets().list().send().unwrap();
    assert_eq!(list.by_ref().count(), 25);
    assert_eq!(list.token(), None);
    // When reading by pages, the token is that of the next page.
    let pages: Vec<_> = client.assets().list().send().unwrap().iter_pages().map(|page| page.unwrap().token()).collect();
    assert!(pages[0].is_some() && pages[1].is_some() && pages[2].is_none());
    let rest: Vec<_> = client.assets().list().from_token(pages[0].as_ref().unwrap()).send().unwrap().map(id).collect();
    assert_eq!(rest, all[10..]);
    let e = client.assets().list().from_token("7").send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "from_token"), "{e}");
    let e = client.indexes().list().from_token(pages[0].as_ref().unwrap()).send().unwrap_err();
    assert!(e.to_string().contains("not a token of this list"), "{e}");
}

#[test]
fn a_changed_list_is_continued_at_the_right_place() {
    for taken in [1, 9, 10, 11, 20, 29] {
        for change in [-25, -3, 0, 3, 10, 25] {
            let assets = Assets::of(60);
            let server = assets.server();
            let client = server.client();
            let mut list = client.assets().list().send().unwrap();
            let given: Vec<_> = list.by_ref().take(taken).map(id).collect();
            let token = list.token().unwrap();
            (0..change).for_each(|n| assets.add_first(format!("new{n}")));
            // All items that were given are removed, except the last.
            (0..-change).take(taken - 1).for_each(|n| assets.remove(&format!("a{n}")));
            let rest: Vec<_> = client.assets().list().from_token(token).send().unwrap().map(id).collect();
            let all: Vec<_> = (0..60).map(|n| format!("a{n}")).collect();
            assert_eq!([given, rest].concat(), all, "after {taken}, {change} more");
        }
    }
    // The last item that was given is removed, and another one is added. No later item must be lost.
    let assets = Assets::of(30);
    let server = assets.server();
    let mut list = server.client().assets().list().send().unwrap();
    assert_eq!(list.by_ref().take(11).count(), 11);
    let token = list.token().unwrap();
    assets.remove("a10");
    assets.0.lock().unwrap().push("a30".into());
    let rest: Vec<_> = server.client().assets().list().from_token(token).send().unwrap().map(id).collect();
    assert_eq!(rest, (11..31).map(|n| format!("a{n}")).collect::<Vec<_>>());

    let assets = Assets::of(60);
    let server = assets.server();
    let mut list = server.client().assets().list().send().unwrap();
    assert_eq!(list.by_ref().take(20).count(), 20);
    let token = list.token().unwrap();
    (0..20).for_each(|n| assets.remove(&format!("a{n}")));
    let e = server.client().assets().list().from_token(token).send().unwrap_err();
    assert!(matches!(e, Error::Paging { .. }) && e.to_string().contains("to continue after is no longer there"), "{e}");
}

/// A server with a search whose pages have two hits.
fn search_server() -> Server {
    Server::start(|path, _| {
        let page: u32 = path.rsplit_once("/search/t").map_or(1, |(_, page)| page.parse().unwrap());
        let hits = [0, 1].map(|n| json!({"video_id": "v", "rank": (page - 1) * 2 + n, "start": 0, "end": 1}));
        let next = (page < 4).then(|| format!("t{}", page + 1));
        (200, json!({"data": hits, "page_info": {"limit_per_page": 2, "total_results": 8, "next_page_token": next}}))
    })
}

fn rank(hit: Result<SearchItem, Error>) -> i64 {
    hit.unwrap().rank.unwrap()
}

#[test]
fn a_search_is_continued_from_a_token_and_prefetched_by_one_page() {
    let server = search_server();
    let client = server.client();
    let query = || client.search().query("i", ["visual"]).query_text("dogs");
    for taken in 1..8 {
        let mut hits = query().send().unwrap();
        let given: Vec<_> = hits.by_ref().take(taken).map(rank).collect();
        let rest: Vec<_> = query().from_token(hits.token().unwrap()).send().unwrap().map(rank).collect();
        assert_eq!([given, rest].concat(), (0..8).collect::<Vec<_>>(), "after {taken}");
    }
    for ahead in [0, 1, 8] {
        let before = server.count();
        let hits = query().send().unwrap().prefetch(ahead);
        assert_eq!(hits.map(rank).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
        assert_eq!(server.count() - before, 4);
    }
}

/// A server whose pages each wait for a permission, in any order.
fn gated(pages: u64) -> (Server, Vec<std::sync::mpsc::Sender<()>>) {
    let (senders, gates): (Vec<_>, Vec<Receiver<()>>) = (0..=pages).map(|_| channel()).unzip();
    let gates: Vec<Mutex<Receiver<()>>> = gates.into_iter().map(Mutex::new).collect();
    let server = Server::of_pages(move |page| {
        if page > 1 {
            let _ = gates[page as usize].lock().unwrap().recv();
        }
        json!({"data": [{"_id": page.to_string()}], "page_info": {"page": page, "total_page": pages}})
    });
    (server, senders)
}

fn until(server: &Server, requests: usize) {
    while server.count() < requests {
        thread::yield_now();
    }
}

#[test]
fn pages_are_prefetched_in_parallel_and_returned_in_order() {
    let (server, gates) = gated(6);
    let mut list = server.client().assets().list().send().unwrap().prefetch(3);
    // These pages are requested before any item was taken, and no more than these.
    until(&server, 4);
    for page in [4, 3, 2] {
        gates[page].send(()).unwrap();
    }
    assert_eq!(list.by_ref().take(4).map(id).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    until(&server, 6);
    gates[6].send(()).unwrap();
    gates[5].send(()).unwrap();
    assert_eq!(list.map(id).collect::<Vec<_>>(), ["5", "6"]);
    assert_eq!(server.count(), 6);
}

#[test]
fn dropping_a_list_does_not_wait_for_prefetched_pages() {
    let (server, gates) = gated(6);
    let list = server.client().assets().list().send().unwrap().prefetch(2);
    until(&server, 3);
    // These pages are never released, so waiting for them would block forever.
    drop(list);
    drop(gates);
    assert!(server.count() <= 3);
}

#[test]
fn a_failed_prefetch_is_an_error_in_its_place() {
    let server = Server::start(|_, query| match query["page"].as_str() {
        "3" => (400, json!({"message": "not this one"})),
        page => (200, json!({"data": [{"_id": page}], "page_info": {"total_page": 5}})),
    });
    let list = server.client().assets().list().send().unwrap().prefetch(8);
    let given: Vec<_> = list.map(id).collect();
    assert!(given.len() == 3 && given[..2] == ["1", "2"] && given[2].starts_with("error: not this one"), "{given:?}");
}

#[test]
fn a_list_without_a_known_end_is_prefetched_by_one_page() {
    let server =
        Server::of_pages(
            |page| {
                if page <= 3 { json!({"data": [{"_id": page.to_string()}]}) } else { json!({"data": []}) }
            },
        );
    let list = server.client().assets().list().send().unwrap().prefetch(8);
    assert_eq!(list.map(id).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(server.count(), 4);
}

#[test]
fn pages_are_fetched_on_demand() {
    let server = Assets::of(35).server();
    let mut pages = server.client().assets().list().send().unwrap().iter_pages();
    for number in 1..=4 {
        let page = pages.next().unwrap().unwrap();
        assert_eq!(server.count(), number);
        let ids: Vec<_> = page.items().iter().map(|asset| asset.as_ref().unwrap().id.clone()).collect();
        assert_eq!(page.into_items().into_iter().map(id).collect::<Vec<_>>(), ids);
    }
    assert!(pages.next().is_none() && pages.next().is_none());
    // Iterating over a page continues into the following pages.
    let page = server.client().assets().list().send().unwrap().iter_pages().nth(1).unwrap().unwrap();
    assert_eq!(page.map(id).collect::<Vec<_>>(), (10..35).map(|n| format!("a{n}")).collect::<Vec<_>>());
    // Looking at items does not consume them.
    let mut list = server.client().assets().list().send().unwrap();
    assert_eq!(list.next().map(id).as_deref(), Some("a0"));
    assert_eq!(list.items().len(), 9);
    assert_eq!(list.next().map(id).as_deref(), Some("a1"));
    assert_eq!(list.into_items().len(), 8);
}

#[test]
fn looking_at_items_does_not_take_items_of_the_next_page() {
    let server = Assets::of(25).server();
    let client = server.client();
    let all: Vec<String> = (0..25).map(|n| format!("a{n}")).collect();
    for taken in [0, 3, 9, 10, 11, 20, 24] {
        let mut list = client.assets().list().send().unwrap();
        let first: Vec<_> = list.by_ref().take(taken).map(id).collect();
        // The rest of the page is decoded here, and yielded by the iteration that continues to other pages.
        let looked_at: Vec<_> = list.items().iter().map(|asset| asset.as_ref().unwrap().id.clone()).collect();
        let end = if taken == 0 { 10 } else { taken.div_ceil(10) * 10 };
        assert_eq!(looked_at, all[taken..end.min(25)], "after {taken}");
        assert_eq!([first, list.by_ref().map(id).collect()].concat(), all, "after {taken}");
        assert!(list.items().is_empty() && list.into_items().is_empty());
    }
}

#[test]
fn a_token_between_two_pages_is_that_of_the_second() {
    let assets = Assets::of(25);
    let server = assets.server();
    let client = server.client();
    for (taken, page) in [(10, 2), (20, 3)] {
        let mut list = client.assets().list().send().unwrap();
        assert_eq!(list.by_ref().take(taken).count(), taken);
        assert!(list.items().is_empty() && list.has_next());
        let token = list.token().unwrap();
        let before = server.count();
        let mut rest = client.assets().list().from_token(&token).send().unwrap();
        assert_eq!(rest.page_info().unwrap().page, Some(page));
        assert_eq!(rest.next().map(id), Some(format!("a{taken}")));
        assert_eq!(server.count() - before, 1, "the previous page is not read again");
        // The deletion moves the page boundary, but no item is lost.
        assets.remove(&format!("a{}", taken - 2));
        let rest: Vec<_> = client.assets().list().from_token(&token).send().unwrap().map(id).collect();
        assert_eq!(rest, (taken..25).map(|n| format!("a{n}")).collect::<Vec<_>>());
        assets.0.lock().unwrap().insert(taken - 2, format!("a{}", taken - 2));
    }
    let mut list = client.assets().list().send().unwrap();
    assert_eq!(list.by_ref().take(25).count(), 25);
    assert!(!list.has_next() && list.token().is_none());
}

#[test]
fn a_canceled_list_yields_no_more_repaired_items() {
    let cancel = twelvelabs::CancelHandle::new();
    let server = Server::of_pages(
        |page| json!({"data": [{"_id": 1}, {"_id": "2"}, {"_id": 3}], "page_info": {"page": page, "total_page": 1}}),
    );
    let options = RequestOptions::new().cancel_handle(&cancel);
    let mut list = server.client().assets().list().request_options(options).send().unwrap();
    assert_eq!(list.next().map(id).as_deref(), Some("1"));
    cancel.cancel();
    assert_eq!(list.next().map(id).as_deref(), Some("2"), "an item that needs no repair is still returned");
    assert!(list.next().unwrap().is_err_and(|e| e.is_canceled()));
}

#[test]
fn pagers_can_be_sent_and_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<SyncPager<Asset>>();
    shared::<twelvelabs::Pages<Asset>>();
}

#[test]
fn the_error_of_an_undecodable_item_contains_only_the_item() {
    let server = Server::of_pages(|page| {
        let filler = "x".repeat(300_000);
        json!({"data": [{"name": 1}, {"_id": "1", "filename": filler}, {"filename": filler}], "page_info": {"page": page, "total_page": 1}})
    });
    let list: Vec<_> = server.client().assets().list().send().unwrap().collect();
    let sizes = list.iter().map(|asset| match asset {
        Err(Error::Decode { response, .. }) => response.body.len(),
        other => other.as_ref().map_or(0, |asset| asset.filename.as_ref().map_or(0, String::len)),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [10, 300_000, 64 << 10]);
}

#[test]
fn the_key_is_in_no_item_and_no_error() {
    let server = Server::of_pages(
        |page| json!({"data": [{"name": "tlk_test_key"}, {"_id": "1", "filename": "tlk_test_key.mp4"}], "page_info": {"page": page}}),
    );
    let list = server.client().assets().list().send_raw().unwrap();
    assert!(
        !format!("{list:?}").contains("tlk_test_key") && !String::from_utf8_lossy(&list.body).contains("tlk_test_key")
    );
    let items = list.data.into_items();
    assert!(items[0].is_err() && !format!("{items:?}").contains("tlk_test_key"), "{items:?}");
    let server = Server::start(|_, _| (200, json!({"_id": "1", "filename": "tlk_test_key", "size": "tlk_test_key"})));
    let options = RequestOptions::new();
    let raw = server.client().assets().retrieve("1").request_options(options).send_raw().unwrap();
    assert!(!format!("{raw:?}").contains("tlk_test_key"));
    let e = server.client().indexes().retrieve("1").send().map(drop);
    let e2 = server.client().call("GET", &["x"]).send_as::<Vec<u8>>().unwrap_err();
    assert!(e.is_ok() && !format!("{e2} {e2:?}").contains("tlk_test_key"), "{e2:?}");
    // A key of a few characters is a test key, and answers may contain such a word.
    let client = TwelveLabs::builder().api_key("tlk").base_url(&server.url).build().unwrap();
    assert_eq!(client.assets().retrieve("1").send().unwrap().filename.as_deref(), Some("tlk_test_key"));
}

#[test]
fn ten_empty_pages_in_a_row_are_not_the_end() {
    for (empty, given) in [(10, Some(2)), (11, None)] {
        let server = Server::of_pages(move |page| {
            let full = page == 1 || page == 2 + empty;
            let data = if full { json!([{"_id": page.to_string()}]) } else { json!([]) };
            json!({"data": data, "page_info": {"page": page, "total_page": 2 + empty}})
        });
        let items: Result<Vec<Asset>, Error> = server.client().assets().list().send().unwrap().collect();
        match given {
            Some(given) => assert_eq!(items.unwrap().len(), given),
            None => assert!(items.unwrap_err().to_string().contains("pages in a row are empty")),
        }
    }
}

/// A list that changes while it is read: its states one after the other, with ten items on a page. The n-th request for
/// a page is answered from the state that `plan` names.
fn changing(states: Vec<Vec<u32>>, plan: &'static [(u64, &'static [usize])]) -> Server {
    let asked: Mutex<HashMap<u64, usize>> = Mutex::default();
    Server::of_pages(move |page| {
        let count = |page: u64| *asked.lock().unwrap().get(&page).unwrap_or(&0);
        let nth = count(page);
        *asked.lock().unwrap().entry(page).or_default() += 1;
        // A second request is answered once every prefetched page has been requested.
        while nth > 0 && plan.iter().any(|(page, _)| count(*page) == 0) {
            thread::yield_now();
        }
        let state = plan.iter().find(|(of, _)| *of == page).map_or(states.len() - 1, |(_, plan)| plan[nth]);
        let items = &states[state];
        let data: Vec<Value> =
            items.iter().skip(page as usize * 10 - 10).take(10).map(|n| json!({"_id": n.to_string()})).collect();
        let total = items.len().div_ceil(10);
        let info = json!({"page": page, "limit_per_page": 10, "total_page": total, "total_results": items.len()});
        json!({"data": data, "page_info": info})
    })
}

fn all_of(server: &Server, ahead: usize) -> Vec<String> {
    server.client().assets().list().send().unwrap().prefetch(ahead).map(id).collect()
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|n| n.to_string()).collect()
}

#[test]
fn a_prefetched_page_from_before_a_change_is_fetched_again() {
    // Five items arrive at the start after the third page was fetched and before the second.
    let before: Vec<u32> = (1..=30).collect();
    let after: Vec<u32> = (101..=105).chain(1..=30).collect();
    let server = changing(vec![before, after], &[(1, &[0]), (2, &[1, 1]), (3, &[0, 1])]);
    assert_eq!(all_of(&server, 2), numbers(1, 30));
    // Two changes cancel each other out in the size, so only the order of the requests says that the third page is old.
    let states = vec![(1..=30).collect(), (1..=31).collect(), std::iter::once(101).chain(1..=30).collect()];
    let server = changing(states, &[(1, &[0]), (2, &[1, 2]), (3, &[1, 2])]);
    assert_eq!(all_of(&server, 2), numbers(1, 30));
}

#[test]
fn the_search_for_the_place_to_continue_is_limited_by_the_change_in_size() {
    let leave = |count: usize, taken: usize| {
        let assets = Assets::of(count);
        let server = assets.server();
        let mut list = server.client().assets().list().send().unwrap();
        assert_eq!(list.by_ref().take(taken).count(), taken);
        (list.token().unwrap(), assets, server)
    };
    // The item to continue after is gone, and the list has grown by nine items, so it may have moved on by one page.
    let (token, assets, server) = leave(200, 11);
    assets.remove("a10");
    (0..10).for_each(|n| assets.add_first(format!("new{n}")));
    let before = server.count();
    let list = server.client().assets().list().from_token(token).send().unwrap();
    assert_eq!(server.count() - before, 2);
    assert!(list.count() > 180);
    // The item is gone, and the list has shrunk by twenty items, so it may have moved back by two pages.
    let (token, assets, server) = leave(200, 100);
    (80..100).for_each(|n| assets.remove(&format!("a{n}")));
    let before = server.count();
    let e = server.client().assets().list().from_token(token).send().unwrap_err();
    assert!(e.to_string().contains("to continue after is no longer there"), "{e}");
    assert_eq!(server.count() - before, 4);
}

#[test]
fn a_list_that_shrank_yields_no_empty_pages_in_between() {
    let assets = Assets::of(60);
    let server = assets.server();
    let mut pages = server.client().assets().list().send().unwrap().iter_pages();
    assert_eq!(pages.by_ref().take(3).map(|page| page.unwrap().items().len()).sum::<usize>(), 30);
    // Pages 3 and 4 are empty now, and the unread items have moved to pages 1 and 2.
    (0..45).for_each(|n| assets.remove(&format!("a{n}")));
    let rest: Vec<_> = pages.map(|page| page.unwrap().into_items().into_iter().map(id).collect::<Vec<_>>()).collect();
    assert_eq!(rest.iter().map(Vec::len).collect::<Vec<_>>(), [10, 5, 0]);
    assert_eq!(rest.concat(), (45..60).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[test]
fn empty_pages_count_only_in_a_row() {
    let server = Server::of_pages(|page| {
        let data = if page % 7 == 1 { json!([{"_id": page.to_string()}]) } else { json!([]) };
        json!({"data": data, "page_info": {"page": page, "total_page": 22}})
    });
    assert_eq!(all_of(&server, 0), ["1", "8", "15", "22"]);
}

#[test]
fn items_may_be_repeated_by_each_of_several_changes() {
    let assets = Assets::of(40);
    let server = assets.server();
    let mut list = server.client().assets().list().send().unwrap();
    let mut given: Vec<_> = list.by_ref().take(10).map(id).collect();
    // The second page repeats the first, and the third one contains new items.
    (0..10).for_each(|n| assets.add_first(format!("new{n}")));
    given.extend(list.by_ref().take(10).map(id));
    // The fourth page repeats the first once more.
    (10..30).for_each(|n| assets.add_first(format!("new{n}")));
    given.extend(list.map(id));
    assert_eq!(given, (0..40).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[test]
fn a_list_is_continued_on_a_page_that_contains_only_the_last_item() {
    let assets = Assets::of(5);
    let server = assets.server();
    let list = || server.client().assets().list().page_limit(1);
    let mut first = list().send().unwrap();
    assert_eq!(first.by_ref().take(3).count(), 3);
    let token = first.token().unwrap();
    assets.add_first("new".into());
    assert_eq!(list().from_token(token).send().unwrap().map(id).collect::<Vec<_>>(), ["a3", "a4"]);
}

#[test]
fn a_list_is_continued_after_an_empty_page() {
    // An item is added between the two readings.
    let is_changed = Arc::new(Mutex::new(false));
    let changed = is_changed.clone();
    let server = Server::of_pages(move |page| {
        let pages = match *changed.lock().unwrap() {
            false => [&["1", "2"][..], &[], &["3", "4"], &[]],
            true => [&["new", "1"][..], &[], &["2", "3"], &["4"]],
        };
        let data: Vec<Value> = pages[page as usize - 1].iter().map(|id| json!({"_id": id})).collect();
        let (total, results) = if pages[3].is_empty() { (3, 4) } else { (4, 5) };
        let info = json!({"page": page, "limit_per_page": 2, "total_page": total, "total_results": results});
        json!({"data": data, "page_info": info})
    });
    let empty = server.client().assets().list().send().unwrap().iter_pages().nth(1).unwrap().unwrap();
    assert!(empty.items().is_empty());
    let token = empty.token().unwrap();
    *is_changed.lock().unwrap() = true;
    let rest = server.client().assets().list().from_token(token).send().unwrap();
    assert_eq!(rest.map(id).collect::<Vec<_>>(), ["3", "4"]);
}

#[test]
fn a_search_finds_its_next_page_wherever_the_token_is() {
    for (within, beside, expected) in [
        (json!("t2"), Value::Null, 2),
        (Value::Null, json!("t2"), 2),
        (json!("t2"), json!("other"), 2),
        (json!(2), Value::Null, 2),
        (Value::Null, json!(2), 2),
        (json!(""), Value::Null, 1),
        (Value::Null, json!(""), 1),
        (Value::Null, Value::Null, 1),
    ] {
        let (given, other) = (within.clone(), beside.clone());
        let server = Server::start(move |path, _| {
            let hit = |rank: u32| json!([{"video_id": "v", "rank": rank, "start": 0, "end": 1}]);
            match path.ends_with("/search/t2") || path.ends_with("/search/2") {
                true => (200, json!({"data": hit(2), "page_info": {}})),
                false => {
                    (200, json!({"data": hit(1), "next_page_token": other, "page_info": {"next_page_token": given}}))
                }
            }
        });
        let hits = server.client().search().query("i", ["visual"]).query_text("dogs").send().unwrap();
        if beside != Value::Null {
            let expected = beside.as_str().map_or_else(|| beside.to_string(), String::from);
            assert_eq!(hits.page_info().unwrap().next_page_token, Some(expected));
        }
        assert_eq!((hits.count(), server.count()), (expected, expected), "{within} {beside}");
    }
}
