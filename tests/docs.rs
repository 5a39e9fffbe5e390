//! The documentation: links have targets, the list of pages is complete, and code fits on a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The width of a code block in the rendered documentation, in columns, without a scroll bar.
const MAX_CODE_WIDTH: usize = 94;
const MAX_FRONT_PAGE: usize = 180;
const MAX_PAGE: usize = 250;

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn names(folder: &str, extension: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    names.sort();
    names
}

/// Returns the names of the guide's pages, which are also those of their modules.
fn pages() -> Vec<String> {
    let mut pages = names("src/guide", "md");
    pages.retain(|name| name != "links" && name != "README");
    pages
}

/// Returns the Markdown files that are part of the rendered documentation.
fn rendered() -> Vec<String> {
    let mut files = vec!["README.md".to_string(), "src/guide/README.md".to_string()];
    files.extend(pages().iter().map(|name| format!("src/guide/{name}.md")));
    files
}

/// Returns the lines of a text outside of its code blocks, and those inside.
fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut prose, mut code, mut inside) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            code.push(line);
        } else {
            prose.push(line);
        }
    }
    (prose, code)
}

/// Returns the link definitions of a Markdown text: `[label]: target`.
fn definitions(text: &str) -> BTreeMap<&str, &str> {
    let (prose, _) = split(text);
    prose.iter().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).collect()
}

#[test]
fn pages_are_short() {
    for file in rendered() {
        let limit = if file == "README.md" { MAX_FRONT_PAGE } else { MAX_PAGE };
        let lines = read(&file).lines().count();
        assert!(lines <= limit, "{file} has {lines} lines, but only {limit} are allowed");
    }
}

/// A code host shows the lines that rustdoc hides, so there must be none.
#[test]
fn examples_show_no_scaffolding() {
    let mut found = Vec::new();
    for file in rendered() {
        let text = read(&file);
        let lines = split(&text).1.into_iter().filter(|line| {
            let hidden = line.trim() == "#" || line.trim_start().starts_with("# ");
            hidden || line.contains("include!(") || line.contains("Ok::<(), ")
        });
        found.extend(lines.map(|line| format!("{file}: {line}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Only Rust blocks without `ignore` are compiled.
#[test]
fn examples_in_rust_are_tested() {
    for file in rendered() {
        for line in read(&file).lines().filter(|line| line.starts_with("```rust")) {
            assert!(["```rust", "```rust,no_run"].contains(&line), "{file}: {line}");
        }
    }
}

#[test]
fn code_fits_on_the_page() {
    let mut wide = Vec::new();
    for file in rendered() {
        let text = read(&file);
        let lines = split(&text).1.into_iter().filter(|line| !line.starts_with('{'));
        wide.extend(lines.filter(|line| line.chars().count() > MAX_CODE_WIDTH).map(|line| format!("{file}: {line}")));
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// A comment before a block names the file from which the block is copied.
#[test]
fn examples_quoted_from_a_file_match_it() {
    let mut found = 0;
    for page in pages() {
        let text = read(&format!("src/guide/{page}.md"));
        for part in text.split("<!-- ").skip(1) {
            let (path, rest) = part.split_once(" -->\n```rust\n").unwrap_or_else(|| panic!("{page}: {part}"));
            let block = rest.split("\n```").next().unwrap();
            assert!(read(path).contains(block), "src/guide/{page}.md: the block differs from {path}");
            found += 1;
        }
    }
    assert!(found > 0);
}

#[test]
fn links_to_files_lead_to_files() {
    let mut files = rendered();
    files.extend(names(".", "md").iter().map(|name| format!("{name}.md")));
    files.push("examples/README.md".into());
    let mut broken = Vec::new();
    for file in files {
        let text = read(&file);
        let folder = Path::new(&file).parent().unwrap();
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in definitions(&text).into_values().chain(inline) {
            let path = target.split('#').next().unwrap();
            if !target.contains("://") && !path.is_empty() && !root().join(folder).join(path).exists() {
                broken.push(format!("{file}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A label has two targets: the item in `links.md` for rustdoc, and the file that the text itself names for everything
/// else.
#[test]
fn links_lead_somewhere_in_rustdoc_and_elsewhere() {
    let (links, module) = (read("src/guide/links.md"), read("src/guide/mod.rs"));
    let mut items = definitions(&links);
    // Some labels have another target in a build without their feature.
    let conditional = module.split("doc = \"[").skip(1).filter_map(|rest| rest.split_once("]: "));
    items.extend(conditional.map(|(label, rest)| (label, rest.split('"').next().unwrap())));
    let mut used = BTreeSet::new();
    for file in rendered() {
        let text = read(&file);
        let own = definitions(&text);
        for label in own.keys() {
            assert!(items.contains_key(label), "{file}: [{label}] has no item in links.md");
            assert!(text.matches(&format!("[{label}]")).count() > 1, "{file}: [{label}] is not used");
        }
        for label in items.keys().filter(|label| text.contains(&format!("][{label}]"))) {
            assert!(own.contains_key(label), "{file}: [{label}] leads nowhere outside of rustdoc");
        }
        used.extend(own.keys().map(|label| label.to_string()));
    }
    let unused: Vec<_> = items.keys().filter(|label| !used.contains(**label)).collect();
    assert!(unused.is_empty(), "unused links in links.md: {unused:?}");
}

#[test]
fn paths_in_the_architecture_exist() {
    let text = read("ARCHITECTURE.md");
    let paths = text.split('`').skip(1).step_by(2).filter(|code| {
        code.contains('/') && !code.contains(['*', ' ', ':']) && (code.ends_with(".rs") || code.ends_with('/'))
    });
    let missing: Vec<&str> =
        paths.filter(|path| ["", "src"].iter().all(|folder| !root().join(folder).join(path).exists())).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md: {missing:?}");
}

#[test]
fn every_page_of_the_guide_is_in_its_index() {
    let (index, module) = (read("src/guide/README.md"), read("src/guide/mod.rs"));
    for page in pages() {
        assert!(index.contains(&format!("][{page}]: ")), "src/guide/README.md: {page} needs a line with its purpose");
        assert!(module.contains(&format!("\"{page}.md\"")), "src/guide/mod.rs: {page}");
    }
}

#[test]
fn every_method_of_the_python_sdk_is_in_the_guide() {
    let text = read("src/guide/from_python_methods.md");
    let mut sections: BTreeMap<&str, &str> = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (title, rows) = section.split_once('\n').unwrap();
        for name in title.split(" and ") {
            sections.insert(name.trim_matches('`'), rows);
        }
    }
    let methods = read("tests/fixtures/methods.txt");
    let missing: Vec<&str> = methods
        .lines()
        .filter(|method| !method.starts_with('#'))
        .filter(|method| {
            let (resource, name) = method.rsplit_once('.').unwrap_or((method, method));
            !sections.get(resource).is_some_and(|rows| rows.contains(&format!("`{name}(")))
        })
        .collect();
    assert!(missing.is_empty(), "src/guide/from_python_methods.md: {missing:?}");
}

/// Returns the first name of each text in backticks, such as `SearchFilter` for `SearchFilter::new()`.
fn names_in_code(text: &str) -> BTreeSet<&str> {
    let code = text.split('`').skip(1).step_by(2);
    let names = code.map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
    names.filter(|name| !name.starts_with(|c: char| c.is_ascii_digit())).collect()
}

#[test]
fn every_changed_type_name_is_in_the_guide() {
    let (text, api, types) =
        (read("src/guide/from_python_types.md"), read("tests/api.txt"), read("tests/fixtures/types.txt"));
    let ours: BTreeSet<&str> = api.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let rows = split(&text).0.into_iter().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let (mut python, mut rust) = (BTreeSet::new(), BTreeSet::new());
    for (left, right) in rows.filter_map(|row| row.split_once(" | ")) {
        python.extend(names_in_code(left));
        rust.extend(names_in_code(right));
    }
    let missing: Vec<&str> =
        types.lines().filter(|name| !name.starts_with('#') && !ours.contains(name) && !python.contains(name)).collect();
    assert!(missing.is_empty(), "src/guide/from_python_types.md: {missing:?}");
    let std = ["", "Map", "OffsetDateTime", "String", "Vec", "f64", "i64", "u32", "u64"];
    let unknown: Vec<&&str> = rust.iter().filter(|name| !ours.contains(*name) && !std.contains(name)).collect();
    assert!(unknown.is_empty(), "src/guide/from_python_types.md has names that are not in tests/api.txt: {unknown:?}");
}

#[test]
fn every_example_is_in_the_index() {
    let index = read("examples/README.md");
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir() && !path.ends_with("support"));
    let mut examples = names("examples", "rs");
    examples.extend(folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_string()));
    for example in examples {
        assert!(index.contains(&format!("`{example}`")), "examples/README.md: {example}");
    }
}
