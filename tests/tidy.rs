//! The rules for the sources: imports go down, there are no cycles, files and functions are short, and each library is
//! named in one place.
//!
//! ARCHITECTURE.md explains the rules. These tests read the sources as text with the module `reading`, whose own tests
//! prove that it recognizes every way to break a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/reading.rs"]
mod reading;

use reading::Source;

/// The floors from the bottom up. A file imports only from its own floor and from lower ones.
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
/// Small tools that may import anything. Only `lib.rs` imports them.
const TOOLS: [&str; 5] = ["fuzzing", "guide", "subtitles", "testing", "webhooks"];
/// The floors in which no file may import itself indirectly.
const WITHOUT_CIRCLES: [&str; 3] = ["http", "call", "upload"];
/// The files that may name the HTTP library.
const UREQ: [&str; 4] = ["http/attempt.rs", "http/failure.rs", "http/url.rs", "http/connection/"];
/// The only file that may know texts of `serde_json`, which are not an interface and can change with any release.
const FAULT: &str = "call/json/fault.rs";
/// The beginnings of such texts.
const TEXTS_OF_SERDE: [&str; 9] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "missing field",
    "duplicate field",
    "trailing characters",
    "EOF while parsing",
    "number out of range",
    "recursion limit",
];
const MAX_LINES: usize = 600;
/// The maximum number of lines of a resource's file, which contains its methods, options and types.
const MAX_LINES_OF_A_RESOURCE: usize = 800;
const MAX_LINES_OF_A_FUNCTION: usize = 80;

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
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push(Source::new(&path, &text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 40, "too few sources were found");
    files
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
}

/// Returns the imports of a file that go up, and those that pass through the root of the crate, which is above all
/// floors.
fn imports_up(source: &Source) -> Vec<String> {
    let Some(own) = floor(source.module()) else {
        return vec![format!("{} is on no floor", source.path)];
    };
    let imports = source.imports();
    let wrong = imports.iter().filter_map(|import| {
        let module = import.split("::").next().unwrap();
        match floor(module) {
            Some(other) if other <= own => None,
            Some(other) => Some(format!("{} ({}) imports {import} ({})", source.path, FLOORS[own].0, FLOORS[other].0)),
            None => Some(format!("{} imports {import}, which is on no floor below it", source.path)),
        }
    });
    wrong.collect()
}

#[test]
fn imports_only_go_down() {
    let floors = sources().into_iter().filter(|source| source.path != "lib.rs" && !TOOLS.contains(&source.module()));
    let wrong: Vec<String> = floors.flat_map(|source| imports_up(&source)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the names of the files of a floor that form an import cycle, if there is one.
fn cycle(sources: &[Source], floor: &str) -> Option<Vec<String>> {
    let names: BTreeSet<String> = sources.iter().map(Source::name).collect();
    // Maps each file to the files it imports. An import belongs to the longest path that is a file.
    let graph: BTreeMap<String, BTreeSet<String>> = sources
        .iter()
        .filter(|source| source.module() == floor)
        .map(|source| {
            let own = source.name();
            let targets = source.imports().into_iter().filter_map(|import| {
                let parts: Vec<&str> = import.split("::").collect();
                (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|path| names.contains(path))
            });
            let targets = targets.filter(|target| *target != own).collect();
            (own, targets)
        })
        .collect();
    for start in graph.keys() {
        let mut from: BTreeMap<&String, &String> = BTreeMap::new();
        let mut next = vec![start];
        while let Some(at) = next.pop() {
            for target in graph.get(at).into_iter().flatten() {
                if target == start {
                    let back = std::iter::successors(Some(at), |at| from.get(*at).copied());
                    return Some(back.cloned().collect());
                }
                if !from.contains_key(target) {
                    from.insert(target, at);
                    next.push(target);
                }
            }
        }
    }
    None
}

#[test]
fn no_file_imports_itself_indirectly() {
    let sources = sources();
    for floor in WITHOUT_CIRCLES {
        assert_eq!(cycle(&sources, floor), None, "in {floor}");
    }
}

#[test]
fn files_are_short() {
    let sources = sources();
    let long = sources.iter().filter_map(|source| {
        let most = if source.module() == "resources" { MAX_LINES_OF_A_RESOURCE } else { MAX_LINES };
        let lines = source.code.lines().count();
        (lines > most).then(|| format!("{}: {lines} lines, {most} at the most", source.path))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn functions_are_short() {
    let sources = sources();
    let long = sources.iter().flat_map(|source| {
        let long = source.functions().into_iter().filter(|(_, lines)| *lines > MAX_LINES_OF_A_FUNCTION);
        long.map(|(name, lines)| format!("{}: {name} has {lines} lines", source.path))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_http_library_is_named_in_few_places() {
    let sources = sources();
    let elsewhere = sources.iter().filter(|source| !UREQ.iter().any(|place| source.path.starts_with(place)));
    let found: Vec<&str> =
        elsewhere.filter(|source| source.mentions("ureq::")).map(|source| source.path.as_str()).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn texts_of_the_json_library_are_known_in_one_file() {
    let sources = sources();
    let found: Vec<String> = sources
        .iter()
        .filter(|source| source.path != FAULT && !["fuzzing", "testing"].contains(&source.module()))
        .flat_map(|source| {
            let texts = source.literals();
            let known = TEXTS_OF_SERDE.into_iter().filter(move |known| texts.iter().any(|text| text.contains(known)));
            known.map(|text| format!("{}: {text}", source.path))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `Instant + Duration` panics if the result is out of range. `clock::later` does not.
#[test]
fn nothing_is_added_to_a_point_in_time() {
    const POINTS: [&str; 8] = ["now", "utc_now", "since", "until", "due", "started", "deadline", "date"];
    // The name before the plus, which is a variable, a field or a method.
    let is_point = |before: &str| {
        let before = before.strip_suffix("()").unwrap_or(before);
        let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next();
        name.is_some_and(|name| POINTS.contains(&name))
    };
    let mut found = Vec::new();
    // The stand-in's times are near the present, so they are exempt.
    for source in sources().iter().filter(|source| source.path != "clock.rs" && source.module() != "testing") {
        for line in source.code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let added = line.match_indices(" + ").chain(line.match_indices(" += "));
            for (place, _) in added {
                // A position in a text is a number, and so is the number that is added to it.
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
fn no_code_panics_deliberately() {
    let ways = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
    let sources = sources();
    let checked = sources.iter().filter(|source| !["fuzzing", "testing"].contains(&source.module()));
    let found: Vec<String> = checked
        .flat_map(|source| ways.iter().filter(|way| source.mentions(way)).map(|way| format!("{}: {way}", source.path)))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_form_of_an_import_that_goes_up_is_found() {
    for (line, import) in [
        ("use crate::client::TwelveLabs;", "client::TwelveLabs"),
        ("use crate::{client, upload};", "client"),
        ("use crate::{error::Error, upload::{batch::builder, journal}};", "upload::batch::builder"),
        ("use crate::TwelveLabs;", "TwelveLabs"),
        ("use crate::{Call, SyncPager as Pager};", "SyncPager"),
        ("use super::super::client::*;", "client"),
        ("use super::super::{call, error};", "call"),
        ("pub(crate) use crate::call::request::Request;", "call::request::Request"),
        ("fn f() { crate::call::texts([\"\"]) }", "call::texts"),
        ("macro_rules! m { () => { $crate::Call::new() } }", "Call"),
    ] {
        let source = Source::new("http/retry.rs", &format!("//! A file.\n{line}\n"));
        assert!(source.imports().iter().any(|path| path.starts_with(import)), "{line}: {:?}", source.imports());
        assert!(imports_up(&source).iter().any(|wrong| wrong.contains(import)), "{line}: {:?}", imports_up(&source));
    }
    for line in [
        "use crate::error::{Error, Result};",
        "use super::cancel::CancelHandle;",
        "// use crate::client::TwelveLabs;",
        "const TEXT: &str = \"use crate::client\";",
        "use std::{fmt, io};",
    ] {
        assert_eq!(imports_up(&Source::new("http/retry.rs", line)), [""; 0], "{line}");
    }
}

#[test]
fn a_cycle_is_found_in_every_floor() {
    for floor in WITHOUT_CIRCLES {
        let file = |name: &str, text: &str| Source::new(&format!("{floor}/{name}"), text);
        let (b, c) = (format!("use crate::{floor}::deep::{{c, d}};"), "use super::super::a::A;");
        let mut sources = vec![file("a.rs", "use super::b;"), file("b.rs", &b), file("deep/c.rs", c)];
        let found = cycle(&sources, floor).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        sources.pop();
        assert_eq!(cycle(&sources, floor), None);
    }
}

#[test]
fn long_functions_texts_and_libraries_are_found() {
    let body = "    let brace = '{'; // }\n".repeat(MAX_LINES_OF_A_FUNCTION);
    let source =
        Source::new("http/a.rs", &format!("impl A {{\n    fn short() {{}}\n    pub fn long() {{\n{body}    }}\n}}"));
    assert_eq!(source.functions(), [("short".into(), 1), ("long".into(), MAX_LINES_OF_A_FUNCTION + 2)]);

    let source = Source::new("http/a.rs", "// missing field\nfn f() { g(\"missing field `a`\", ureq::get()) }");
    assert_eq!((source.literals(), source.mentions("ureq::")), (vec!["missing field `a`".to_string()], true));
    let source = Source::new(
        "http/a.rs",
        "/// `ureq::get` and x.unwrap()\nfn f() { \"ureq::\"; }\n#[cfg(test)]\nmod tests { ureq:: }",
    );
    assert!(!source.mentions("ureq::") && !source.mentions(".unwrap()"));
}
