//! Transcriptions and hits as SubRip, WebVTT and plain text. This module sends no requests.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resources::assets::{AssetTranscription, TranscriptionStatus};
use crate::resources::search::SearchItem;
use crate::types::TranscriptionEntry;

/// The duration in milliseconds of a cue without a usable end.
const SHOWN: u64 = 2000;
/// The largest time that is written, in milliseconds: a billion hours.
const LAST: f64 = 3.6e15;
/// The most characters of a cue: two lines of the usual length.
const MAX_CHARACTERS: usize = 84;
/// The longest duration of a cue, and the pause between words that ends one, in seconds.
const MAX_LINE_SECONDS: f64 = 7.0;
const PAUSE: f64 = 1.0;

/// Formats seconds as `hh:mm:ss.mmm`, rounded to the millisecond. The hours can have more than two digits.
///
/// Negative times, infinity and NaN become zero.
///
/// ```
/// use twelvelabs::subtitles::format_timestamp;
///
/// assert_eq!(format_timestamp(3723.5), "01:02:03.500");
/// assert_eq!(format_timestamp(59.9996), "00:01:00.000");
/// ```
pub fn format_timestamp(seconds: f64) -> String {
    timestamp(milliseconds(Some(seconds)).unwrap_or_default(), '.')
}

fn timestamp(time: u64, point: char) -> String {
    let (seconds, milliseconds) = (time / 1000, time % 1000);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!("{hours:02}:{:02}:{:02}{point}{milliseconds:03}", minutes % 60, seconds % 60)
}

fn milliseconds(seconds: Option<f64>) -> Option<u64> {
    let time = seconds.filter(|seconds| seconds.is_finite())?;
    Some((time * 1000.0).round().clamp(0.0, LAST) as u64)
}

/// A text with the time at which it is shown.
///
/// ```
/// use twelvelabs::subtitles::Cue;
///
/// let cue = Cue::new(1.5, 4.0, "Good morning.").speaker("Ana");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cue {
    /// The start, in seconds.
    pub start: Option<f64>,
    /// The end, in seconds.
    pub end: Option<f64>,
    /// The text, on one or more lines.
    pub text: String,
    /// The speaker.
    pub speaker: Option<String>,
}

impl Cue {
    /// Creates a cue without a speaker. The times are in seconds and may be unknown.
    pub fn new(start: impl Into<Option<f64>>, end: impl Into<Option<f64>>, text: impl Into<String>) -> Self {
        Cue { start: start.into(), end: end.into(), text: text.into(), speaker: None }
    }

    /// Sets the speaker.
    pub fn speaker(mut self, speaker: impl Into<String>) -> Self {
        self.speaker = Some(speaker.into());
        self
    }

    when_some!();

    /// The lines of the text, trimmed and without control characters. An empty line would end the cue, so every
    /// character that some player treats as a line end is treated as one here.
    fn lines(&self) -> Vec<String> {
        self.text
            .split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'])
            .map(|line| line.replace(char::is_control, " ").trim().to_string())
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn name(&self) -> Option<String> {
        let name = self.speaker.as_deref()?.replace(char::is_control, " ");
        Some(name.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
    }

    /// The lines, preceded by the speaker, as in `Ana: Good morning.`
    fn lines_with_name(&self) -> Vec<String> {
        let mut lines = self.lines();
        if let (Some(name), Some(first)) = (self.name(), lines.first_mut()) {
            *first = format!("{name}: {first}");
        }
        lines
    }
}

/// Cues that can be written as a subtitle file or as plain text.
///
/// Collect them from an iterator of cues or search hits, or get the [subtitles of a
/// transcription](AssetTranscription::subtitles).
///
/// A cue with missing times is not lost. A cue without a start begins where the previous one ends. A cue without an
/// end, or whose end is not after its start, lasts until the next one begins, at most 2 s. Negative times become zero.
/// Files contain the cues in the order of their times, without those that have no text.
///
/// ```
/// use twelvelabs::subtitles::{Cue, Subtitles};
///
/// let cues = [Cue::new(0.0, 1.5, "Good morning."), Cue::new(2.0, 3.25, "And welcome!").speaker("Ana")];
/// let subtitles: Subtitles = cues.into_iter().collect();
/// assert_eq!(
///     subtitles.to_srt(),
///     "1\n00:00:00,000 --> 00:00:01,500\nGood morning.\n\n\
///      2\n00:00:02,000 --> 00:00:03,250\nAna: And welcome!\n\n"
/// );
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subtitles {
    /// The cues, in any order.
    pub cues: Vec<Cue>,
}

impl Subtitles {
    /// Formats the cues as SubRip (`.srt`). The speaker precedes the text. An arrow `-->` in a text becomes `→`,
    /// because the format cannot escape it.
    pub fn to_srt(&self) -> String {
        let mut file = String::new();
        for (index, (start, end, cue)) in self.timed().iter().enumerate() {
            let (start, end) = (timestamp(*start, ','), timestamp(*end, ','));
            let text = cue.lines_with_name().join("\n").replace("-->", "→");
            let _ = write!(file, "{}\n{start} --> {end}\n{text}\n\n", index + 1);
        }
        file
    }

    /// Formats the cues as WebVTT (`.vtt`). Speakers become voice tags, such as `<v Ana>`, and markup in a text is
    /// escaped.
    pub fn to_vtt(&self) -> String {
        let mut file = "WEBVTT\n".to_string();
        for (start, end, cue) in self.timed() {
            let (start, end) = (timestamp(start, '.'), timestamp(end, '.'));
            // A name that ends in `--` would form an arrow with the end of its tag. The space is not part of the name.
            let voice = cue.name().map(|name| format!("<v {}>", escape(&name)).replace("-->", "-- >"));
            let voice = voice.unwrap_or_default();
            let text = escape(&cue.lines().join("\n"));
            let _ = write!(file, "\n{start} --> {end}\n{voice}{text}\n");
        }
        file
    }

    /// Formats the cues as plain text: one line for each cue, in their order, with the speaker before the text.
    pub fn to_text(&self) -> String {
        let lines = self.cues.iter().map(|cue| cue.lines_with_name().join(" "));
        lines.filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
    }

    /// The cues with text, ordered by their starts, with start and end in milliseconds. Every end is after its start.
    fn timed(&self) -> Vec<(u64, u64, &Cue)> {
        let mut before = 0;
        let mut cues: Vec<(u64, Option<u64>, &Cue)> = Vec::new();
        for cue in self.cues.iter().filter(|cue| !cue.lines().is_empty()) {
            let start = milliseconds(cue.start).unwrap_or(before);
            let end = milliseconds(cue.end).filter(|end| *end > start);
            before = end.unwrap_or(start);
            cues.push((start, end, cue));
        }
        cues.sort_by_key(|(start, _, _)| *start);
        let next = cues.iter().skip(1).map(|(start, _, _)| Some(*start)).chain([None]);
        let timed = cues.iter().zip(next).map(|((start, end, cue), next)| {
            let shown = next.filter(|next| next > start).unwrap_or(u64::MAX).min(start + SHOWN);
            (*start, end.unwrap_or(shown), *cue)
        });
        timed.collect()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl<S: Into<Subtitles>> FromIterator<S> for Subtitles {
    fn from_iter<I: IntoIterator<Item = S>>(parts: I) -> Self {
        Subtitles { cues: parts.into_iter().flat_map(|part| part.into().cues).collect() }
    }
}

impl From<Cue> for Subtitles {
    fn from(cue: Cue) -> Self {
        Subtitles { cues: vec![cue] }
    }
}

/// Adds the clip, or the clips of the video. A clip without speech has its rank as its text, such as `#1`.
impl From<&SearchItem> for Subtitles {
    fn from(item: &SearchItem) -> Self {
        if let Some(clips @ [_, ..]) = item.clips.as_deref() {
            return clips.iter().collect();
        }
        let said = item.transcription.clone().filter(|text| !text.trim().is_empty());
        let text = said.unwrap_or_else(|| item.rank.map_or("#".into(), |rank| format!("#{rank}")));
        Cue::new(item.start, item.end, text).into()
    }
}

impl From<SearchItem> for Subtitles {
    fn from(item: SearchItem) -> Self {
        Self::from(&item)
    }
}

impl AssetTranscription {
    /// Returns cues for the transcription: its sentences, with the speakers of its utterances if it has both; otherwise
    /// its utterances; otherwise its words, joined into lines.
    ///
    /// Request sentences if you can, because an utterance can be too long to read in one piece. Request utterances,
    /// too, to get the speakers.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let include = ["sentences", "utterances"];
    /// let transcription = client.assets().wait_for_transcription("65f…").include(include).send()?;
    /// println!("{} cues", transcription.subtitles()?.cues.len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotReady`] if the transcription is not ready or has failed, and so has no text.
    pub fn subtitles(&self) -> Result<Subtitles> {
        self.check_ready()?;
        let turns = cues(&self.utterances);
        let mut sentences = cues(&self.sentences);
        for sentence in sentences.iter_mut().filter(|sentence| sentence.speaker.is_none()) {
            sentence.speaker = speaker_of(sentence, &turns);
        }
        Ok(Subtitles { cues: first_of([sentences, turns, lines_of_words(cues(&self.words))]) })
    }

    /// Formats the transcription as SubRip (`.srt`), with the cues of [`subtitles`](Self::subtitles).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let transcription = client.assets().wait_for_transcription("65f…").include(["sentences"]).send()?;
    /// std::fs::write("holiday.srt", transcription.to_srt()?).unwrap();
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`subtitles`](Self::subtitles).
    pub fn to_srt(&self) -> Result<String> {
        Ok(self.subtitles()?.to_srt())
    }

    /// Formats the transcription as WebVTT (`.vtt`), with the cues of [`subtitles`](Self::subtitles).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let transcription = client.assets().wait_for_transcription("65f…").include(["sentences"]).send()?;
    /// std::fs::write("holiday.vtt", transcription.to_vtt()?).unwrap();
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`subtitles`](Self::subtitles).
    pub fn to_vtt(&self) -> Result<String> {
        Ok(self.subtitles()?.to_vtt())
    }

    /// Formats the transcription as plain text: one line for each utterance, otherwise for each sentence, otherwise for
    /// each group of words.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let transcription = client.assets().wait_for_transcription("65f…").include(["utterances"]).send()?;
    /// print!("{}", transcription.to_text()?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`subtitles`](Self::subtitles).
    pub fn to_text(&self) -> Result<String> {
        self.check_ready()?;
        let words = lines_of_words(cues(&self.words));
        Ok(Subtitles { cues: first_of([cues(&self.utterances), cues(&self.sentences), words]) }.to_text())
    }

    /// Refuses a transcription that is not ready. One without a status is accepted.
    fn check_ready(&self) -> Result<()> {
        let message = match &self.status {
            None | Some(TranscriptionStatus::Ready) => return Ok(()),
            Some(TranscriptionStatus::Failed) => {
                let reason = self.error.as_ref().and_then(|e| e.message.clone());
                reason.unwrap_or_else(|| "the platform gave no reason".into())
            }
            Some(_) => "wait for it with `assets().wait_for_transcription(…)`".into(),
        };
        let status = self.status.as_ref().map(ToString::to_string).unwrap_or_default();
        Err(Error::NotReady { resource: "transcription".into(), status, message })
    }
}

fn cues(entries: &Option<Vec<TranscriptionEntry>>) -> Vec<Cue> {
    let cues = entries.iter().flatten().map(|entry| Cue {
        start: entry.start,
        end: entry.end,
        text: entry.value.clone().unwrap_or_default(),
        speaker: entry.speaker.clone(),
    });
    cues.filter(|cue| !cue.lines().is_empty()).collect()
}

fn first_of(levels: [Vec<Cue>; 3]) -> Vec<Cue> {
    levels.into_iter().find(|level| !level.is_empty()).unwrap_or_default()
}

/// The speaker of the utterance in which the middle of a sentence lies.
fn speaker_of(sentence: &Cue, turns: &[Cue]) -> Option<String> {
    let (start, end) = (sentence.start?, sentence.end.or(sentence.start)?);
    let middle = start + (end - start) / 2.0;
    let turn =
        turns.iter().find(|turn| turn.start.is_some_and(|s| s <= middle) && turn.end.is_some_and(|e| middle <= e));
    turn?.speaker.clone()
}

/// Joins words into cues of one or two lines. A cue ends with a sentence, at a pause, when the speaker changes, or
/// before it is too long to read.
fn lines_of_words(words: Vec<Cue>) -> Vec<Cue> {
    let mut lines: Vec<Cue> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if belongs(line, &word) => {
                let text = word.text.trim();
                if is_spaced(&line.text, text) {
                    line.text.push(' ');
                }
                line.text.push_str(text);
                line.end = word.end.or(word.start).or(line.end);
            }
            _ => lines.push(Cue { text: word.text.trim().into(), ..word }),
        }
    }
    lines
}

fn belongs(line: &Cue, word: &Cue) -> bool {
    let apart = |from: Option<f64>, to: Option<f64>| from.zip(to).map_or(0.0, |(from, to)| to - from);
    let length = line.text.chars().count() + 1 + word.text.chars().count();
    line.speaker == word.speaker
        && !ends_sentence(&line.text)
        && length <= MAX_CHARACTERS
        && apart(line.end, word.start) < PAUSE
        && apart(line.start, word.end) <= MAX_LINE_SECONDS
}

fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』']);
    text.ends_with(['.', '?', '!', '…', '。', '？', '！', '؟', '।'])
}

/// Whether there is a space between two words. There is none before punctuation, nor within Chinese and Japanese.
fn is_spaced(before: &str, after: &str) -> bool {
    let solid = |c: char| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}');
    let punctuation = after.chars().all(|c| matches!(c, ',' | '.' | '?' | '!' | ';' | ':' | '…' | '%' | ')'));
    let joined = before.ends_with(solid) && after.starts_with(solid);
    !punctuation && !joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text and the end of each cue that these words form.
    fn lines(words: &[(Option<f64>, Option<f64>, &str)]) -> Vec<(String, Option<f64>)> {
        let words = words.iter().map(|(start, end, text)| Cue::new(*start, *end, *text)).collect();
        lines_of_words(words).into_iter().map(|line| (line.text, line.end)).collect()
    }

    #[test]
    fn words_form_cues_up_to_each_limit() {
        let long = "x".repeat(41);
        for (words, expected) in [
            (["one", "two"].map(|word| (None, None, word)), 1),
            ([(Some(0.0), Some(1.0), "one"), (Some(1.9), Some(2.0), "two")], 1),
            ([(Some(0.0), Some(1.0), "one"), (Some(2.0), Some(2.1), "two")], 2),
            ([(Some(0.0), Some(6.5), "one"), (Some(6.6), Some(7.0), "two")], 1),
            ([(Some(0.0), Some(6.5), "one"), (Some(6.6), Some(7.1), "two")], 2),
            ([(None, None, &*long), (None, None, &*("y".repeat(42)))], 1),
            ([(None, None, &*long), (None, None, &*("y".repeat(43)))], 2),
            (["“Yes.”", "two"].map(|word| (None, None, word)), 2),
        ] {
            assert_eq!(lines(&words).len(), expected, "{words:?}");
        }
        let change = vec![Cue::new(0.0, 1.0, "one").speaker("Ana"), Cue::new(1.0, 2.0, "two").speaker("Ben")];
        assert_eq!(lines_of_words(change.clone()), change);
    }

    #[test]
    fn a_cue_ends_at_the_last_time_that_its_words_have() {
        let first = (Some(0.0), Some(1.0), "one");
        for (second, end) in [((Some(1.2), Some(1.5)), 1.5), ((Some(1.2), None), 1.2), ((None, None), 1.0)] {
            assert_eq!(lines(&[first, (second.0, second.1, "two")]), [("one two".to_string(), Some(end))]);
        }
    }

    #[test]
    fn a_sentence_has_the_speaker_of_its_middle() {
        let turns = [Cue::new(0.0, 1.5, "a").speaker("Ana"), Cue::new(1.5, 5.0, "b").speaker("Ben")];
        for (start, end, speaker) in [
            (Some(0.0), Some(4.0), Some("Ben")),
            (Some(0.5), Some(2.0), Some("Ana")),
            (Some(2.0), None, Some("Ben")),
            (None, Some(2.0), None),
            (Some(6.0), Some(7.0), None),
        ] {
            assert_eq!(speaker_of(&Cue::new(start, end, "s"), &turns).as_deref(), speaker, "{start:?} {end:?}");
        }
    }
}
