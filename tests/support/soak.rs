//! Kills the tool at random moments until a batch is done, while connections break, answers are lost and requests fail.
//! Nothing may be lost, sent twice or left over.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::testing::{Fault, StandIn};

use super::files::{Folder, content, sha256};
use super::{signal, tool};

/// The endpoints whose requests trigger a kill: a run is killed shortly after a few more requests to one of them. A
/// request takes effect after the given number of milliseconds.
const MOMENTS: [(&str, u64); 7] = [
    ("POST /assets", 40),
    ("POST /assets/multipart-uploads", 20),
    ("PUT /storage/{upload_id}/{chunk}", 10),
    ("POST /assets/multipart-uploads/{upload_id}", 10),
    ("GET /assets/{id}", 5),
    ("POST /indexes/{index_id}/indexed-assets", 20),
    ("POST /knowledge-stores/{store_id}/items", 20),
];

/// Further endpoints whose requests fail occasionally.
const LOOKS: [&str; 5] = [
    "GET /assets",
    "GET /assets/multipart-uploads/{upload_id}",
    "GET /indexed-assets",
    "GET /knowledge-stores/{store_id}/items",
    "GET /knowledge-stores/{store_id}/items/{id}",
];

/// Names that some server, shell or file system treats specially.
const ODD_NAMES: [&str; 7] =
    ["a \"b\".mp4", "\t.mp4", "100%22.mp4", "-r.mp4", "U\u{308}.mp4", "\u{dc}.mp4", "a&b=c;d.mp4"];

/// A random number generator (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn is_image(path: &str) -> bool {
    path.ends_with(".jpg")
}

fn any_fault(chance: &mut Chance) -> Fault {
    let fault = match chance.below(6) {
        0 => Fault::reset_request(0),
        1 => Fault::reset_request(100),
        2 => Fault::reset_answer(),
        3 => Fault::status(500),
        4 => Fault::status(503),
        _ => Fault::status(503).retry_after(0),
    };
    fault.after(chance.below(20) as usize).times(1 + chance.below(3) as usize)
}

#[derive(Default)]
struct Totals {
    kills: u64,
    refused: u64,
    empty_sessions: usize,
    chunks_again: usize,
}

#[test]
#[ignore = "it takes minutes, see CONTRIBUTING.md"]
fn soak() {
    let (kills, seed, files) = (number("SOAK_KILLS", 20), number("SOAK_SEED", 1), number("SOAK_FILES", 40));
    let (mut chance, mut totals) = (Chance(seed), Totals::default());
    for round in 0.. {
        if totals.kills >= kills {
            break;
        }
        Round::new(round, files as usize).run(&mut chance, &mut totals, kills);
    }
    println!(
        "{} kills (seed {seed}), {} second runs refused, {} sessions left without a chunk, {} chunks sent again",
        totals.kills, totals.refused, totals.empty_sessions, totals.chunks_again
    );
}

/// A run of the tool. Its output is read while it runs, because a full pipe would stop it.
struct Run {
    child: Child,
    output: [JoinHandle<String>; 2],
}

impl Run {
    fn new(mut child: Child) -> Self {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Run { child, output: [read_in_background(out), read_in_background(err)] }
    }

    /// Waits for the end of the run, and returns its exit code, its output and its errors.
    fn end(mut self) -> (Option<i32>, String, String) {
        let code = self.child.wait().unwrap().code();
        let [out, err] = self.output.map(|reading| reading.join().unwrap());
        (code, out, err)
    }
}

fn read_in_background(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A stand-in, and the files that are uploaded to it.
struct Round {
    stand_in: StandIn,
    folder: Folder,
    /// The SHA-256 of each file, by path.
    files: BTreeMap<String, String>,
    is_sharded: bool,
    /// The index and the knowledge store to which every file is added.
    index: String,
    store: String,
}

impl Round {
    fn new(round: u64, count: usize) -> Self {
        let stand_in = StandIn::start();
        stand_in.chunks(20_000, 2);
        stand_in.polls_until_ready(1);
        let (folder, is_sharded) = (Folder::new("soak"), round % 2 == 1);
        let mut files = BTreeMap::new();
        for number in 0..count {
            // Every fourth file is sent in chunks. Several files share a name and a size, except in shards, which could
            // not distinguish them.
            let length = if number % 4 == 0 { 25_000 + 3000 * number } else { 900 + number };
            let (name, length) = if number % 8 == 7 && !is_sharded {
                // Some of them are sent in chunks.
                (format!("{number}/same.mp4"), if number % 16 == 7 { 500 } else { 50_000 })
            } else if let Some(odd) = ODD_NAMES.get(number / 3).filter(|_| number % 3 == 2 && cfg!(unix)) {
                (odd.to_string(), length)
            } else {
                // Images are added only to the store.
                (format!("{number}.{}", if number % 5 == 1 { "jpg" } else { "mp4" }), length)
            };
            let mut bytes = content(length);
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            if let Some((below, _)) = name.split_once('/') {
                std::fs::create_dir(folder.path(below)).unwrap();
            }
            let path = folder.write(&name, &bytes);
            files.insert(path.to_str().unwrap().into(), sha256(&bytes));
        }
        let client = stand_in.client();
        let models = [IndexModelInput::new("marengo3.0", ["visual"])];
        let index = client.indexes().create("soak", models).send().unwrap().id;
        let store = client.knowledge_stores().create("soak").send().unwrap().id;
        Round { stand_in, folder, files, is_sharded, index, store }
    }

    fn start(&self, shard: Option<u32>, more: &[&str]) -> Run {
        let (manifest, shard) = (self.folder.path("uploads.jsonl"), shard.map(|shard| format!("{shard}/2")));
        let mut arguments = vec!["--threshold", "10000", "--recursive", "--json", "--quiet"];
        arguments.extend(["--index", &self.index, "--knowledge-store", &self.store]);
        arguments.extend(["--manifest", manifest.to_str().unwrap()]);
        arguments.extend(shard.iter().flat_map(|shard| ["--shard", shard]));
        arguments.extend(more);
        arguments.push(self.folder.root().to_str().unwrap());
        Run::new(tool(&self.stand_in, &arguments).spawn().unwrap())
    }

    /// Replaces the faults of the last run with others.
    fn break_things(&self, chance: &mut Chance) {
        self.stand_in.forgive();
        if !chance.once_in(3) {
            for _ in 0..1 + chance.below(6) {
                let place = chance.below((MOMENTS.len() + LOOKS.len()) as u64) as usize;
                let endpoint = MOMENTS.get(place).map_or_else(|| LOOKS[place - MOMENTS.len()], |(moment, _)| moment);
                self.stand_in.fault(endpoint, any_fault(chance));
            }
        }
        // A request takes effect some time after it arrives, whether or not its client still waits for the response.
        for (moment, delay) in MOMENTS {
            self.stand_in.fault(moment, Fault::slow(Duration::from_millis(delay)).always());
        }
    }

    fn run(&self, chance: &mut Chance, totals: &mut Totals, kills: u64) {
        let shards = if self.is_sharded { vec![Some(0), Some(1)] } else { vec![None] };
        for _ in 0..25.max(self.files.len()) {
            self.break_things(chance);
            let more = if chance.once_in(3) { &["--no-wait"][..] } else { &[] };
            let mut runs: Vec<Run> = shards.iter().map(|shard| self.start(*shard, more)).collect();
            if !self.is_sharded && chance.once_in(4) {
                runs.push(self.start(None, more));
            }
            let (moment, _) = MOMENTS[chance.below(MOMENTS.len() as u64) as usize];
            let target = self.stand_in.count(moment) + 1 + chance.below(8) as usize;
            let is_over = |runs: &mut [Run]| runs.iter_mut().all(|run| run.child.try_wait().unwrap().is_some());
            while self.stand_in.count(moment) < target && !is_over(&mut runs) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(chance.below(50)));
            // Sometimes only one of two runs is killed, and the other one finishes.
            let spared = if runs.len() > 1 && chance.once_in(3) { chance.below(2) as usize } else { usize::MAX };
            for (place, run) in runs.iter_mut().enumerate().filter(|(place, _)| *place != spared) {
                let ended = run.child.try_wait().unwrap();
                totals.refused += u64::from(place > 0 && ended.and_then(|status| status.code()) == Some(2));
                if ended.is_none() {
                    signal(&run.child, "-KILL");
                    totals.kills += 1;
                }
            }
            let codes: Vec<Option<i32>> = runs.into_iter().map(|run| run.end().0).collect();
            if codes.iter().all(|code| matches!(code, Some(0 | 1))) || totals.kills >= kills {
                break;
            }
        }
        self.stand_in.forgive();
        self.finish(&shards, totals);
    }

    /// Checks that each video is in the index once, and each file in the store once.
    fn is_everything_in_place(&self) {
        let client = self.stand_in.client();
        let indexed = client.indexes().indexed_assets().list(&self.index).page_limit(50).send().unwrap();
        let mut indexed: Vec<String> = indexed.map(|indexed| indexed.unwrap().asset_id.unwrap()).collect();
        let items = client.knowledge_store_items().list(&self.store).page_limit(50).send().unwrap();
        let mut items: Vec<String> = items.map(|item| item.unwrap().asset_id.unwrap()).collect();
        let uploads = self.stand_in.uploads();
        let mut all: Vec<String> = uploads.iter().map(|upload| upload.asset_id.clone()).collect();
        let videos = uploads.iter().filter(|upload| !is_image(&upload.filename));
        let mut videos: Vec<String> = videos.map(|upload| upload.asset_id.clone()).collect();
        [&mut indexed, &mut items, &mut all, &mut videos].into_iter().for_each(|ids| ids.sort());
        println!("{} assets, {} of {} videos indexed, {} items", all.len(), indexed.len(), videos.len(), items.len());
        assert_eq!((indexed, items), (videos, all));
    }

    /// Runs the tool to its end, and compares what the platform has with what the tool reports.
    fn finish(&self, shards: &[Option<u32>], totals: &mut Totals) {
        let rows = |last: bool| -> Vec<Value> {
            let runs: Vec<Run> = shards.iter().map(|shard| self.start(*shard, &[])).collect();
            let mut rows = Vec::new();
            for (code, out, err) in runs.into_iter().map(Run::end) {
                assert_eq!(code, Some(0), "{out}\n{err}");
                rows.extend(out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
            }
            rows.retain(|row| row["path"].is_string());
            let is_done = |row: &Value| {
                let indexed = usize::from(!is_image(row["path"].as_str().unwrap()));
                let ids = |name: &str| row[name].as_array().unwrap().len();
                row["kind"] == "skipped" && (ids("indexed_asset_ids"), ids("item_ids")) == (indexed, 1)
            };
            assert!(!last || rows.iter().all(is_done), "{rows:?}");
            rows
        };
        rows(false);
        let rows = rows(true);

        let uploads = self.stand_in.uploads();
        let mut arrived: Vec<&str> = uploads.iter().map(|upload| upload.sha256.as_deref().unwrap()).collect();
        let mut wanted: Vec<&str> = self.files.values().map(String::as_str).collect();
        arrived.sort();
        wanted.sort();
        let names: Vec<_> = uploads.iter().map(|upload| (&upload.filename, &upload.asset_id)).collect();
        assert_eq!(arrived, wanted, "each file is on the platform once: {names:?}");
        assert_eq!(self.stand_in.asset_count(), self.files.len());
        let assets: HashMap<&str, &str> = uploads
            .iter()
            .map(|upload| &*upload.asset_id)
            .zip(uploads.iter().map(|upload| upload.sha256.as_deref().unwrap()))
            .collect();
        for row in &rows {
            let (path, asset_id) = (row["path"].as_str().unwrap(), row["asset_id"].as_str().unwrap());
            assert_eq!(assets[asset_id], self.files[path], "the asset of {path} has different content");
        }
        assert_eq!(rows.len(), self.files.len());

        self.is_everything_in_place();
        for session in self.stand_in.client().multipart_upload().list_incomplete_uploads().send().unwrap() {
            let upload_id = session.unwrap().upload_id;
            assert_eq!(self.stand_in.sent_chunks(&upload_id), [0u32; 0], "a session that has chunks was abandoned");
            totals.empty_sessions += 1;
        }
        for upload in uploads.iter().filter_map(|upload| upload.upload_id.as_deref()) {
            let mut sent = self.stand_in.sent_chunks(upload);
            let all = sent.len();
            sent.sort();
            sent.dedup();
            totals.chunks_again += all - sent.len();
        }
        let left = self.folder.names().into_iter().filter(|name| name.starts_with("uploads"));
        assert!(left.clone().all(|name| name.ends_with(".jsonl")), "{:?}", left.collect::<Vec<_>>());
    }
}
