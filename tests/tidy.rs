//! The rules of the house: imports only go down, no circles below, no file too long, one place that names the HTTP library.
//!
//! See ARCHITECTURE.md. This reads the sources, so that nobody has to remember the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the bottom up. A file imports from its own floor and from those below it.
const FLOORS: [(&str, &[&str]); 6] = [
    (
        "vocabulary",
        &["clock", "error", "file", "generation", "hash", "limits", "response", "resumable", "sync", "text", "types"],
    ),
    ("http", &["http"]),
    ("call", &["call"]),
    ("resources", &["resources"]),
    ("upload", &["upload"]),
    ("client", &["client"]),
];
/// Small tools of their own: they import what they like, and only `lib.rs` knows them.
const TOOLS: [&str; 5] = ["fuzzing", "guide", "subtitles", "testing", "webhooks"];
/// The only files that name the HTTP library.
const UREQ: [&str; 8] = [
    "http/attempt.rs",
    "http/connection/dns_cache.rs",
    "http/connection/exchange.rs",
    "http/connection/head.rs",
    "http/connection/mod.rs",
    "http/connection/proxy.rs",
    "http/connection/transport.rs",
    "http/url.rs",
];
const MOST_LINES: usize = 600;
const MOST_LINES_OF_A_RESOURCE: usize = 800;

struct Source {
    /// As `http/engine.rs`.
    path: String,
    /// Without its tests.
    code: String,
}

impl Source {
    /// The first module of its path, as `http` or `error`.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// The paths that it imports from the crate, as `http::engine`.
    fn imports(&self) -> BTreeSet<String> {
        let code: String =
            self.code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let mut found = BTreeSet::new();
        for part in code.split("crate::").skip(1) {
            let end = part.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(part.len());
            let path = part[..end].trim_end_matches(':');
            if path.starts_with(|c: char| c.is_lowercase()) {
                found.insert(path.to_string());
            }
        }
        // What stands in a macro is written with `$crate`, or belongs to where it is used.
        found.remove("call::macros");
        found
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\nmod tests {").next().unwrap().to_string();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push(Source { path, code });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 40, "the sources were found");
    files
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
}

#[test]
fn imports_only_go_down() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.path == "lib.rs" || TOOLS.contains(&source.module()) {
            continue;
        }
        let own = floor(source.module()).unwrap_or_else(|| panic!("{} is on no floor", source.path));
        for import in source.imports() {
            let module = import.split("::").next().unwrap();
            match floor(module) {
                Some(other) if other <= own => {}
                Some(other) => {
                    wrong.push(format!("{} ({}) imports {import} ({})", source.path, FLOORS[own].0, FLOORS[other].0));
                }
                None => wrong.push(format!("{} imports {import}, which is on no floor below it", source.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_no_circle_among_the_files_of_a_floor() {
    let sources = sources();
    let name = |path: &str| path.trim_end_matches("/mod.rs").trim_end_matches(".rs").replace('/', "::");
    let names: BTreeSet<String> = sources.iter().map(|source| name(&source.path)).collect();
    // A file and those that it imports, by the longest path that is a file.
    let graph: BTreeMap<String, BTreeSet<String>> = sources
        .iter()
        .filter(|source| ["http", "call", "upload"].contains(&source.module()) && !source.path.ends_with("mod.rs"))
        .map(|source| {
            let own = name(&source.path);
            let targets = source.imports().into_iter().filter_map(|import| {
                let parts: Vec<&str> = import.split("::").collect();
                (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|path| names.contains(path))
            });
            let targets = targets.filter(|target| *target != own).collect();
            (own, targets)
        })
        .collect();
    for start in graph.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = graph[start].iter().collect();
        while let Some(at) = next.pop() {
            assert_ne!(at, start, "{start} imports itself, by way of {reached:?}");
            if reached.insert(at.clone()) {
                next.extend(graph.get(at).into_iter().flatten());
            }
        }
    }
}

#[test]
fn files_are_short_enough_to_be_read() {
    let long: Vec<String> = sources()
        .iter()
        .filter_map(|source| {
            let most = if source.module() == "resources" { MOST_LINES_OF_A_RESOURCE } else { MOST_LINES };
            let lines = source.code.lines().count();
            (lines > most).then(|| format!("{}: {lines} lines, {most} at the most", source.path))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_http_library_is_named_in_few_places() {
    let names = |source: &&Source| {
        source.code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("ureq::"))
    };
    let found: Vec<String> = sources().iter().filter(names).map(|source| source.path.clone()).collect();
    assert_eq!(found, UREQ);
}

/// `Instant + Duration` panics where the clock of the system ends: `clock::later` does not.
#[test]
fn nothing_is_added_to_a_point_in_time() {
    const POINTS: [&str; 8] = ["now", "utc_now", "since", "until", "due", "started", "deadline", "date"];
    // The name before the plus, of a variable, a field or a method.
    let is_point = |before: &str| {
        let before = before.strip_suffix("()").unwrap_or(before);
        let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next();
        name.is_some_and(|name| POINTS.contains(&name))
    };
    let mut found = Vec::new();
    // The stand-in's own times are near the present.
    for source in sources().iter().filter(|source| source.path != "clock.rs" && source.module() != "testing") {
        for line in source.code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let added = line.match_indices(" + ").chain(line.match_indices(" += "));
            for (place, _) in added {
                // A place in a text is a number: what is added to it is one, too.
                let number = line[place + 3..].trim_start_matches("= ").starts_with(|c: char| c.is_ascii_digit());
                if is_point(&line[..place]) && !number {
                    found.push(format!("{}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "use `clock::later`:\n{}", found.join("\n"));
}

#[test]
fn nothing_panics_on_purpose() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !["fuzzing", "testing"].contains(&source.module())) {
        for line in source.code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("]
                .iter()
                .any(|bad| line.contains(bad))
            {
                found.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
