//! `ask`: prints the clips that are most similar to a text.

use std::io::Write;

use twelvelabs::TwelveLabs;
use twelvelabs::embed::{EmbedInput, MultiInput};
use twelvelabs::subtitles::format_timestamp;

use crate::store::Store;
use crate::support::Result;

pub fn ask(client: &TwelveLabs, store: &Store, text: &str, most: u32, out: &mut dyn Write) -> Result {
    let input = match store.model() {
        "marengo3.0" => EmbedInput::text(text),
        _ => EmbedInput::multi_input(MultiInput::new().input_text(text)),
    };
    let vector = client.embed().v2().create(input, store.model()).send()?.into_embedding()?;
    for hit in store.nearest(&vector, most)? {
        let (start, end) = (format_timestamp(hit.start), format_timestamp(hit.end));
        writeln!(out, "{:6.3}  {start} to {end}  {}", hit.similarity, hit.path)?;
    }
    Ok(())
}
