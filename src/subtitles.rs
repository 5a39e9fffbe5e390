//! Transcriptions and hits as people use them: SubRip, WebVTT and plain text. Nothing here is sent.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resources::assets::{AssetTranscription, TranscriptionStatus};
use crate::resources::search::SearchItem;
use crate::types::TranscriptionEntry;

/// How long a cue without a usable end is shown, in milliseconds.
const SHOWN: u64 = 2000;
/// The last moment that can be written, in milliseconds: a billion hours.
const LAST: f64 = 3.6e15;
/// Two lines of the usual length.
const MOST_CHARACTERS: usize = 84;
/// The longest time that words stay on the screen together, and the pause that parts them, in seconds.
const LONGEST: f64 = 7.0;
const PAUSE: f64 = 1.0;

/// Writes seconds as `hh:mm:ss.mmm`, rounded to the millisecond. There may be more than two digits of hours.
///
/// Negative, infinite and undefined times are zero.
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

/// A text and the time at which it is shown.
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
    /// The text, of one line or several.
    pub text: String,
    /// Who says it.
    pub speaker: Option<String>,
}

impl Cue {
    /// A cue without a speaker. The times are in seconds and may be unknown.
    pub fn new(start: impl Into<Option<f64>>, end: impl Into<Option<f64>>, text: impl Into<String>) -> Self {
        Cue { start: start.into(), end: end.into(), text: text.into(), speaker: None }
    }

    /// Says who speaks.
    pub fn speaker(mut self, speaker: impl Into<String>) -> Self {
        self.speaker = Some(speaker.into());
        self
    }

    when_some!();

    /// The lines that have text, without control characters and without space around them. An empty one would end
    /// the cue, so every character that some reader takes for a line end is one here.
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

    /// The lines with the speaker before them: `Ana: Good morning.`
    fn lines_with_name(&self) -> Vec<String> {
        let mut lines = self.lines();
        if let (Some(name), Some(first)) = (self.name(), lines.first_mut()) {
            *first = format!("{name}: {first}");
        }
        lines
    }
}

/// Cues to write as a subtitle file or as plain text.
///
/// They are collected from whatever has cues: a [`Cue`], a search hit, the
/// [subtitles of a transcription](AssetTranscription::subtitles).
///
/// Nothing is lost for want of times. A cue without a start starts where the one before it ends; one without an end,
/// or whose end is not after its start, lasts until the next one begins, at most 2 s; negative times are zero. In the
/// files, cues are in the order of their times. Those without text are left out.
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
    /// Writes SubRip (`.srt`). Speakers are named before the text; an arrow `-->` in a text becomes `→`, since the
    /// format cannot escape it.
    pub fn to_srt(&self) -> String {
        let mut file = String::new();
        for (index, (start, end, cue)) in self.timed().iter().enumerate() {
            let (start, end) = (timestamp(*start, ','), timestamp(*end, ','));
            let text = cue.lines_with_name().join("\n").replace("-->", "→");
            let _ = write!(file, "{}\n{start} --> {end}\n{text}\n\n", index + 1);
        }
        file
    }

    /// Writes WebVTT (`.vtt`). Speakers become voice tags, such as `<v Ana>`, and what would be markup is escaped.
    pub fn to_vtt(&self) -> String {
        let mut file = "WEBVTT\n".to_string();
        for (start, end, cue) in self.timed() {
            let (start, end) = (timestamp(start, '.'), timestamp(end, '.'));
            // A name that ends in `--` must not make an arrow of the end of its tag; the space is no part of it.
            let voice = cue.name().map(|name| format!("<v {}>", escape(&name)).replace("-->", "-- >"));
            let voice = voice.unwrap_or_default();
            let text = escape(&cue.lines().join("\n"));
            let _ = write!(file, "\n{start} --> {end}\n{voice}{text}\n");
        }
        file
    }

    /// Writes plain text: a line for each cue, in the order in which they are, with the speaker before the text.
    pub fn to_text(&self) -> String {
        let lines = self.cues.iter().map(|cue| cue.lines_with_name().join(" "));
        lines.filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
    }

    /// The cues that have text, in the order of their starts, with start and end in milliseconds. No end is before or
    /// at its start.
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

/// The clip, or the clips of the video. One in which nothing is said has its rank for a text, such as `#1`.
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
    /// The cues of what is said: sentence by sentence, with the speakers of the utterances if there are both; else
    /// utterance by utterance; else the words, put together into lines.
    ///
    /// Ask for sentences where you can: an utterance may be too long to read at once. With utterances as well, the
    /// speakers are named.
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
    /// [`Error::NotReady`] if the transcription is not ready, or failed: it has no text.
    pub fn subtitles(&self) -> Result<Subtitles> {
        self.check_ready()?;
        let turns = cues(&self.utterances);
        let mut sentences = cues(&self.sentences);
        for sentence in sentences.iter_mut().filter(|sentence| sentence.speaker.is_none()) {
            sentence.speaker = speaker_of(sentence, &turns);
        }
        Ok(Subtitles { cues: first_of([sentences, turns, lines_of_words(cues(&self.words))]) })
    }

    /// Writes what is said as SubRip (`.srt`), with the cues of [`subtitles`](Self::subtitles).
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
    /// As [`subtitles`](Self::subtitles).
    pub fn to_srt(&self) -> Result<String> {
        Ok(self.subtitles()?.to_srt())
    }

    /// Writes what is said as WebVTT (`.vtt`), with the cues of [`subtitles`](Self::subtitles).
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
    /// As [`subtitles`](Self::subtitles).
    pub fn to_vtt(&self) -> Result<String> {
        Ok(self.subtitles()?.to_vtt())
    }

    /// Writes what is said as plain text: a line for each utterance, else for each sentence, else of words that are
    /// put together.
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
    /// As [`subtitles`](Self::subtitles).
    pub fn to_text(&self) -> Result<String> {
        self.check_ready()?;
        let words = lines_of_words(cues(&self.words));
        Ok(Subtitles { cues: first_of([cues(&self.utterances), cues(&self.sentences), words]) }.to_text())
    }

    /// One that does not say its status is taken as it is.
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

/// Whose turn it is in the middle of a sentence.
fn speaker_of(sentence: &Cue, turns: &[Cue]) -> Option<String> {
    let (start, end) = (sentence.start?, sentence.end.or(sentence.start)?);
    let middle = start + (end - start) / 2.0;
    let turn =
        turns.iter().find(|turn| turn.start.is_some_and(|s| s <= middle) && turn.end.is_some_and(|e| middle <= e));
    turn?.speaker.clone()
}

/// Puts words together into cues of one or two lines: one ends with a sentence, at a pause, when another speaks, or
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
        && length <= MOST_CHARACTERS
        && apart(line.end, word.start) < PAUSE
        && apart(line.start, word.end) <= LONGEST
}

fn ends_sentence(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』']);
    text.ends_with(['.', '?', '!', '…', '。', '？', '！', '؟', '।'])
}

/// Whether there is a space between two words: not before punctuation, and not within Chinese and Japanese.
fn is_spaced(before: &str, after: &str) -> bool {
    let solid = |c: char| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}');
    let punctuation = after.chars().all(|c| matches!(c, ',' | '.' | '?' | '!' | ';' | ':' | '…' | '%' | ')'));
    let joined = before.ends_with(solid) && after.starts_with(solid);
    !punctuation && !joined
}
