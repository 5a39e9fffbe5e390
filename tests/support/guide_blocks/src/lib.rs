//! Turns each Rust block of the guide into a test, for `tests/guide.rs`.
//!
//! Rustdoc could test the blocks only with set-up and an ending in them. It hides those lines, but a code host shows them
//! to every reader. So the blocks contain what a reader types, and the set-up is here.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro::TokenStream;

/// The code in a block and its replacement: a client of the stand-in, and ids that exist there.
const REPLACEMENTS: [(&str, &str); 6] = [
    ("TwelveLabs::from_env()", "crate::from_env()"),
    ("\"ASSET_ID\"", "crate::id(\"ASSET_ID\")"),
    ("\"IMAGE_ID\"", "crate::id(\"IMAGE_ID\")"),
    ("\"INDEX_ID\"", "crate::id(\"INDEX_ID\")"),
    ("\"STORE_ID\"", "crate::id(\"STORE_ID\")"),
    ("\"COLLECTION_ID\"", "crate::id(\"COLLECTION_ID\")"),
];

/// Expands to a module for each page of `src/guide`, with a test for each block.
#[proc_macro]
pub fn guide_blocks(_: TokenStream) -> TokenStream {
    match generate() {
        Ok(tokens) => tokens,
        Err(error) => panic!("{error}"),
    }
}

fn generate() -> Result<TokenStream, String> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    let target = env::var("CARGO_TARGET_TMPDIR").map_err(|e| format!("CARGO_TARGET_TMPDIR: {e}"))?;
    let folder = root.join("src/guide");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut pages: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();

    let mut code = String::new();
    for page in &pages {
        write_page(&mut code, page)?;
    }
    // The compiler can only point at lines of a file, so the code goes into one.
    let file = Path::new(&target).join("guide_blocks.rs");
    if fs::read_to_string(&file).ok().as_deref() != Some(&code) {
        fs::write(&file, &code).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let mut tokens = format!("include!({file:?});");
    // Without these, a change of a page would not rebuild the tests.
    for page in &pages {
        let _ = write!(tokens, "const _: &str = include_str!({page:?});");
    }
    tokens.parse().map_err(|e| format!("{tokens}: {e}"))
}

fn write_page(code: &mut String, page: &Path) -> Result<(), String> {
    let text = fs::read_to_string(page).map_err(|e| format!("{}: {e}", page.display()))?;
    let name = page.file_stem().and_then(|stem| stem.to_str()).ok_or("the name of a page is not UTF-8")?;
    let _ = writeln!(code, "mod {} {{", name.to_lowercase());
    let mut lines = text.lines().enumerate();
    let mut before = "";
    while let Some((number, line)) = lines.next() {
        let previous = std::mem::replace(&mut before, line);
        let Some(tags) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
        let mut tags = tags.split(',');
        // A block after a comment with a path is from that file, which tests/docs.rs checks.
        if tags.next() != Some("rust") || previous.starts_with("<!-- ") {
            continue;
        }
        let mut block = block.join("\n");
        for (shown, run) in REPLACEMENTS {
            block = block.replace(shown, run);
        }
        write_block(code, number + 1, &block, tags.next() == Some("no_run"));
    }
    code.push_str("}\n");
    Ok(())
}

/// Writes a block as a test named after its line. A block with a `main` is a program, and is compiled alone.
fn write_block(code: &mut String, line: usize, block: &str, no_run: bool) {
    let _ = if block.contains("fn main()") {
        writeln!(code, "mod line_{line} {{\n{block}\n}}")
    } else {
        let mut attribute = if no_run { "" } else { "#[test]" }.to_string();
        if block.contains("schemars") {
            attribute.push_str("#[cfg(feature = \"schemars\")]");
        }
        // Windows has no such program.
        if block.contains("Command::new(\"cat\")") {
            attribute.push_str("#[cfg(unix)]");
        }
        writeln!(
            code,
            "{attribute} fn line_{line}() {{\n\
             fn block() -> Result<(), Box<dyn std::error::Error>> {{\n{block}\n;Ok(()) }}\n\
             crate::run(block);\n}}"
        )
    };
}
