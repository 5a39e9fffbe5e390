//! Reads Rust sources as text: the imports of a file, its functions and its literals.

use std::collections::BTreeSet;

/// A source file of the crate, without its unit tests.
pub struct Source {
    /// The path below `src`, such as `http/engine.rs`.
    pub path: String,
    /// The text of the file.
    pub code: String,
    /// The text with comments and the contents of literals blanked out. Line breaks remain.
    bare: String,
    literals: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        // Unit tests, and modules that only they use, are at the end of a file.
        let tests = ["\nmod tests {", "\n#[cfg(test)]\nmod ", "\n#[cfg(test)]\npub"];
        let begins = |(at, _): &(usize, &str)| {
            text[at + 1..].lines().take(2).any(|line| line.contains("mod ") && line.contains('{'))
        };
        let end = tests.iter().filter_map(|start| text.match_indices(start).find(begins)).map(|(at, _)| at).min();
        let end = end.unwrap_or(text.len());
        let code = text[..end].to_string();
        let (bare, literals) = blank(&code);
        Source { path: path.into(), code, bare, literals }
    }

    /// Returns the first module of the path, such as `http`.
    pub fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Returns the path of the module, such as `http::engine`.
    pub fn name(&self) -> String {
        self.path.trim_end_matches("/mod.rs").trim_end_matches(".rs").replace('/', "::")
    }

    /// Returns whether the code contains a text outside of comments and literals.
    pub fn mentions(&self, text: &str) -> bool {
        self.bare.contains(text)
    }

    /// Returns the contents of the string literals.
    pub fn literals(&self) -> Vec<String> {
        self.literals.clone()
    }

    /// Returns the paths from the root of the crate that occur in `use` or in code, such as `http::engine`.
    pub fn imports(&self) -> BTreeSet<String> {
        let name = self.name();
        let own: Vec<&str> = name.split("::").collect();
        let mut found = BTreeSet::new();
        for (at, _) in self.bare.match_indices("::") {
            let before = &self.bare[..at];
            let start = before.rfind(|c: char| !is_part(c)).map_or(0, |at| at + 1);
            // The first `super` starts a path such as `super::super::`.
            let is_first = !before[..start].ends_with("::");
            let base: &[&str] = match &before[start..] {
                "crate" => &[],
                "self" => &own,
                "super" => &own[..own.len() - 1],
                _ => continue,
            };
            if is_first {
                let prefix = base.iter().map(ToString::to_string).collect();
                tree(&self.bare[at + 2..], prefix, &mut found);
            }
        }
        found.remove("");
        found
    }

    /// Returns the functions with their lines, from `fn` to the closing brace.
    pub fn functions(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.bare.match_indices("fn ") {
            if self.bare[..at].ends_with(is_part) {
                continue;
            }
            let rest = &self.bare[at..];
            let name: String = rest[3..].chars().take_while(|c| is_part(*c)).collect();
            // A declaration in a trait and a type such as `fn (u8)` have no body.
            let end = rest.find(['{', ';']).filter(|end| rest[*end..].starts_with('{'));
            let Some(begin) = end.filter(|_| !name.is_empty()) else { continue };
            let mut depth = 0;
            for (offset, c) in rest[begin..].char_indices() {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if depth == 0 {
                    found.push((name, rest[..=begin + offset].lines().count()));
                    break;
                }
            }
        }
        found
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Parses what follows `crate::` in an import, which is a path or a tree in braces, and returns the rest of the text.
fn tree<'a>(text: &'a str, mut path: Vec<String>, found: &mut BTreeSet<String>) -> &'a str {
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = tree(inner, path.clone(), found).trim_start();
                match inner.strip_prefix(',') {
                    Some(next) if !next.trim_start().starts_with('}') => inner = next,
                    next => return next.unwrap_or(inner).trim_start().strip_prefix('}').unwrap_or(""),
                }
            }
        }
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        match &rest[..end] {
            "super" => drop(path.pop()),
            "self" | "" => {}
            part => path.push(part.into()),
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            // A turbofish is not part of the path.
            Some(next) if next.starts_with(|c: char| is_part(c) || c == '{') => rest = next,
            _ => break,
        }
    }
    found.insert(path.join("::"));
    // `as` renames the import.
    let end = rest.find([',', '}', ';', '\n']).unwrap_or(rest.len());
    &rest[end..]
}

/// Blanks out comments and the contents of literals, and returns the contents of the strings.
fn blank(code: &str) -> (String, Vec<String>) {
    let chars: Vec<char> = code.chars().collect();
    let mut bare = String::with_capacity(code.len());
    let mut literals = Vec::new();
    let mut at = 0;
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    while at < chars.len() {
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < chars.len() && !starts(at, "*/") {
                bare.extend((chars[at] == '\n').then_some('\n'));
                at += 1;
            }
            at += 2;
        } else if let Some(hashes) = raw_string(&chars[at..]).filter(|_| at == 0 || !is_part(chars[at - 1])) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = at + hashes + 2;
            at = start;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            keep(&chars[start..at.min(chars.len())], &mut bare, &mut literals);
            at += hashes + 1;
        } else if chars[at] == '"' {
            let start = at + 1;
            at = start;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            keep(&chars[start..at.min(chars.len())], &mut bare, &mut literals);
            at += 1;
        } else if chars[at] == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
            // This is a character and not a lifetime.
            at += if chars[at + 1] == '\\' { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            bare.push_str("''");
            at += 1;
        } else {
            bare.push(chars[at]);
            at += 1;
        }
    }
    (bare, literals)
}

/// Adds an empty string with the line breaks of the literal to the code, and the content of the literal to the others.
fn keep(text: &[char], bare: &mut String, literals: &mut Vec<String>) {
    bare.push('"');
    bare.extend(text.iter().filter(|c| **c == '\n'));
    bare.push('"');
    literals.push(text.iter().collect());
}

/// Returns the number of `#` of a raw string that begins here.
fn raw_string(chars: &[char]) -> Option<usize> {
    let hashes = chars.strip_prefix(&['r'])?.iter().take_while(|c| **c == '#').count();
    (chars.get(1 + hashes) == Some(&'"')).then_some(hashes)
}
