//! Compares the public interface with `tests/api.txt`, so that every change of it is visible. `UPDATE_API=1` writes the
//! file.
//!
//! The interface is read from the sources as formatted by rustfmt: the exports of each public module of `lib.rs`, with
//! their fields, variants, methods and traits. Types are not resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The declarations of a file that are public or may belong to a public item, each with the name of that item.
type Declarations = Vec<(String, String)>;

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Returns the lines of a file without comments, tests, and attributes other than derives.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let (mut kept, mut in_attribute) = (Vec::new(), false);
    for line in code.lines() {
        let text = line.trim();
        let attribute = text.starts_with("#[") || text.starts_with("#![");
        if in_attribute || attribute && !text.starts_with("#[derive") && !text.starts_with("#[non_exhaustive") {
            in_attribute = !text.ends_with(']');
        } else if !text.is_empty() && !text.starts_with("//") {
            kept.push(line.to_string());
        }
    }
    kept
}

/// Returns the first name in a text.
fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Returns the name of the type in the header of an `impl`.
fn subject(header: &str) -> String {
    let mut text = header.trim_start_matches("impl");
    if text.starts_with('<') {
        let mut depth = 0;
        let end = text.find(|c: char| {
            depth += match c {
                '<' => 1,
                '>' => -1,
                _ => 0,
            };
            depth == 0
        });
        text = &text[end.unwrap() + 1..];
    }
    let text = text.rsplit_once(" for ").map_or(text, |(_, subject)| subject);
    name(text.rsplit("::").next().unwrap().trim_start_matches('&'))
}

/// Returns the signature that begins at a line, as one line.
fn signature(lines: &[String], at: usize) -> String {
    let end = (at..lines.len()).find(|&i| lines[i].ends_with(['{', ';', '}'])).unwrap_or(at);
    let joined: Vec<&str> = lines[at..=end].iter().map(|line| line.trim()).collect();
    joined.join(" ").trim_end_matches(['{', ';', ' ']).replace("( ", "(").replace(", )", ")")
}

/// Returns the signature of the method that a line of `setters!` declares, such as `name: some into String =>
/// options.name,`.
fn setter(line: &str) -> String {
    let (name, rest) = line.split_once(": ").unwrap_or_else(|| panic!("not a setter: {line}"));
    let value = rest.split(" => ").next().unwrap();
    let value = value.strip_prefix("some ").unwrap_or(value);
    let function = value.strip_prefix("boxed(").or(value.strip_prefix("shared(")).and_then(|f| f.strip_suffix(')'));
    let argument = match (value.strip_prefix("into "), function) {
        _ if value == "metadata" => "impl Serialize".to_string(),
        (Some(into), _) => format!("impl Into<{into}>"),
        (_, Some(function)) => format!("impl {function} + 'static"),
        _ => value.to_string(),
    };
    format!("pub fn {name}(mut self, {name}: {argument}) -> Self")
}

fn declarations(path: &Path) -> Declarations {
    let lines = lines(path);
    let mut found = Declarations::new();
    let (mut i, mut attributes) = (0, Vec::new());
    while i < lines.len() {
        let line = &lines[i];
        let end = (i..lines.len()).find(|&i| lines[i].starts_with(['}', ')'])).unwrap_or(lines.len() - 1);
        let item = line.strip_prefix("pub ").unwrap_or_default();
        let kind = item.split(' ').next().unwrap_or_default();
        let opens = line.ends_with('{');
        if line.starts_with("#[") {
            attributes.push(line.trim().to_string());
            i += 1;
            continue;
        } else if ["struct", "enum", "trait"].contains(&kind) {
            let name = name(&item[kind.len()..]);
            let head = line.split("(pub(").next().unwrap().trim_end_matches(['{', ';', ' ']);
            found.push((name.clone(), format!("{} {head}", attributes.join(" ")).trim().to_string()));
            let body = if opens { &lines[i + 1..end] } else { &[] };
            for (j, inner) in body.iter().enumerate() {
                let public = kind == "enum" || inner.starts_with("    pub ") && !inner.starts_with("    pub(");
                if kind == "trait" && inner.starts_with("    fn ") {
                    found.push((name.clone(), format!("    {}", signature(&lines, i + 1 + j))));
                } else if kind != "trait" && public {
                    found.push((name.clone(), inner.clone()));
                }
            }
        } else if ["fn", "const", "type", "static"].contains(&kind) {
            let text = signature(&lines, i).split(" = ").next().unwrap().to_string();
            found.push((name(&item[kind.len()..]), text));
        } else if line.starts_with("impl") {
            let (header, name) = (signature(&lines, i), subject(line));
            if header.contains(" for ") {
                found.push((name.clone(), header.trim_end_matches(" {}").to_string()));
            }
            for j in if opens { i + 1..end } else { 0..0 } {
                let inner = &lines[j];
                if inner.starts_with("    pub fn") || inner.starts_with("    pub const") {
                    found.push((name.clone(), format!("    {}", signature(&lines, j))));
                } else if inner.starts_with("    ") && !inner.starts_with("     ") && inner.contains("!(") {
                    found.push((name.clone(), inner.clone()));
                } else if inner == "    setters! {" {
                    let declared = lines[j + 1..].iter().take_while(|line| *line != "    }");
                    found.extend(declared.map(|line| (name.clone(), format!("    {}", setter(line.trim())))));
                }
            }
        } else if line.contains("! {") || line.starts_with("macro_rules") {
            let block = if opens { &lines[i..end] } else { &lines[i..=i] };
            let declared = block.iter().skip(1).find(|line| line.trim().starts_with(|c: char| c.is_uppercase()));
            let name = match line.strip_prefix("macro_rules! ") {
                Some(text) => name(text),
                None => declared.map(|line| name(line)).unwrap_or_default(),
            };
            found.extend(block.iter().map(|line| (name.clone(), line.clone())));
        }
        attributes.clear();
        // The whole block is skipped.
        i = if opens && lines.get(end).is_some() { end + 1 } else { i + 1 };
    }
    found
}

/// Returns the file of a module, given by its path below `src`.
fn file(module: &[String]) -> Option<PathBuf> {
    let path = module.iter().fold(root().join("src"), |path, part| path.join(part));
    [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|path| path.is_file())
}

/// Parses a `pub use`. Returns the module it exports from, and the exported names, or `None` for all of them.
fn parse_use(text: &str, module: &[String]) -> Option<(Vec<String>, Option<Vec<String>>)> {
    let path = text.trim().strip_prefix("pub use ")?.trim_end_matches(';');
    let (path, names) = path.rsplit_once("::")?;
    let mut from: Vec<String> = path.split("::").map(str::to_string).collect();
    if from[0] == "crate" {
        from.remove(0);
    } else if !module.is_empty() {
        from.splice(0..0, module.iter().cloned());
    }
    let names = names.trim_matches(['{', '}']);
    Some((from, (names != "*").then(|| names.split(", ").map(str::to_string).collect())))
}

/// Collects the names that a module makes public, both its own and re-exported ones.
fn exports(module: &[String], all: &mut BTreeSet<String>) {
    let Some(path) = file(module) else { return };
    for line in lines(&path) {
        match parse_use(&line, module) {
            Some((_, Some(names))) => all.extend(names),
            Some((from, None)) => exports(&from, all),
            None => {}
        }
    }
    let own = declarations(&path).into_iter().filter(|(_, text)| !text.starts_with("impl"));
    all.extend(own.map(|(name, _)| name));
}

#[test]
fn the_public_interface_matches_the_snapshot() {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut folders = vec![root().join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.ends_with("src/fuzzing") {
                continue;
            } else if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("src/lib.rs") {
                files.push(entry);
            }
        }
    }
    files.sort();
    for file in files {
        for (name, text) in declarations(&file) {
            by_name.entry(name).or_default().push(text);
        }
    }

    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in lines(&root().join("src/lib.rs")) {
        if line == "pub mod fuzzing;" {
            continue;
        } else if let Some(module) = line.strip_prefix("pub mod ") {
            current = name(module);
            if line.ends_with(';') {
                exports(&[std::mem::take(&mut current)], modules.entry(name(module)).or_default());
            }
        } else if line == "}" {
            current.clear();
        } else if let Some((from, names)) = parse_use(&line, &[]) {
            match names {
                Some(names) => modules.entry(current.clone()).or_default().extend(names),
                None => exports(&from, modules.entry(current.clone()).or_default()),
            }
        }
    }

    let mut text = String::new();
    for (module, names) in &modules {
        text += &format!("mod {}\n", if module.is_empty() { "crate" } else { module });
        for name in names {
            let declared = by_name.get(name).cloned().unwrap_or_default();
            text.extend(declared.iter().map(|line| format!("  {line}\n")));
        }
        text.push('\n');
    }
    let path = root().join("tests/api.txt");
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let agreed = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let (now, then): (BTreeSet<&str>, BTreeSet<&str>) = (text.lines().collect(), agreed.lines().collect());
    let gone: Vec<&&str> = then.difference(&now).collect();
    let new: Vec<&&str> = now.difference(&then).collect();
    assert!(
        text == agreed,
        "the public interface has changed; `UPDATE_API=1 cargo test --test api` if that is intended\nmissing: {gone:#?}\nnew: {new:#?}"
    );
}
