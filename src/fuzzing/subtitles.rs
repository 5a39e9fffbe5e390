//! The fuzz target for subtitles, which are read back by small parsers of each format.

use super::Input;
use crate::call::json::decode::from_json;
use crate::resources::assets::AssetTranscription;
use crate::subtitles::{Cue, Subtitles};

/// Writes subtitles from cues or from a JSON transcription. Every cue with a text must be in every file once and in
/// order, and no text may break out of its cue.
pub fn subtitles(data: &[u8]) {
    let subtitles = match from_json::<AssetTranscription>(data).map(|transcription| transcription.subtitles()) {
        Ok(Ok(subtitles)) => subtitles,
        _ => Subtitles { cues: cues(data) },
    };
    let said = |cue: &&Cue| !shown(&cue.text).is_empty();
    let mut texts: Vec<Vec<String>> = subtitles.cues.iter().filter(said).map(|cue| shown(&cue.text)).collect();
    let lines = subtitles.to_text();
    assert_eq!(lines.lines().count(), texts.len(), "{lines:?}");

    let srt = subtitles.to_srt();
    let blocks: Vec<Vec<&str>> = blocks(&srt);
    assert_eq!(blocks.len(), texts.len(), "{srt:?}");
    for (index, block) in blocks.iter().enumerate() {
        assert_eq!(block[0], (index + 1).to_string(), "{srt:?}");
        assert!(block.len() > 2 && block[2..].iter().all(|line| !line.contains("-->")), "{block:?}");
    }
    in_order(blocks.iter().map(|block| block[1].replace(',', ".")));

    let vtt = subtitles.to_vtt();
    let body = vtt.strip_prefix("WEBVTT\n").expect("it begins as it has to");
    let blocks: Vec<Vec<&str>> = self::blocks(body);
    in_order(blocks.iter().map(|block| block[0].to_string()));
    let mut found: Vec<Vec<String>> = Vec::new();
    for block in &blocks {
        assert!(block.len() > 1 && block[1..].iter().all(|line| !line.contains("-->")), "{block:?}");
        let text = block[1..].join("\n");
        let text = match text.strip_prefix("<v ") {
            Some(rest) => rest.split_once('>').expect("the end of the voice").1,
            None => &text,
        };
        assert!(!text.contains(['<', '>']), "{text:?}");
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        found.push(text.split('\n').map(Into::into).collect());
    }
    found.sort();
    texts.sort();
    assert_eq!(found, texts);
}

/// Parses cues, each with a start, an end, a speaker and a text.
fn cues(data: &[u8]) -> Vec<Cue> {
    let (mut input, mut cues) = (Input(data), Vec::new());
    while !input.0.is_empty() {
        let mut seconds = || input.text().parse::<f64>().ok();
        let (start, end) = (seconds(), seconds());
        cues.push(Cue { start, end, speaker: Some(input.text()), text: input.text() });
    }
    cues
}

/// Returns the lines of a text that contain something visible.
fn shown(text: &str) -> Vec<String> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.split(ends).map(|line| line.replace(char::is_control, " ").trim().to_string());
    lines.filter(|line| !line.is_empty()).collect()
}

fn blocks(file: &str) -> Vec<Vec<&str>> {
    let blocks = file.split("\n\n").map(|block| block.trim_start_matches('\n').trim_end_matches('\n'));
    blocks.filter(|block| !block.is_empty()).map(|block| block.split('\n').collect()).collect()
}

/// Checks that every cue ends after its start, and that the starts are in order.
fn in_order(times: impl Iterator<Item = String>) {
    let mut before = 0;
    for time in times {
        let (start, end) = time.split_once(" --> ").expect("an arrow");
        let (start, end) = (milliseconds(start), milliseconds(end));
        assert!(before <= start && start < end, "{time}");
        before = start;
    }
}

fn milliseconds(time: &str) -> u64 {
    let (time, milliseconds) = time.split_once('.').expect("milliseconds");
    assert_eq!(milliseconds.len(), 3);
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().expect("a number")).collect();
    let [hours, minutes, seconds] = parts[..] else { panic!("{time}") };
    assert!(minutes < 60 && seconds < 60);
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds.parse::<u64>().expect("a number")
}
