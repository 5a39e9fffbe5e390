//! Subtitle files, checked by strict readers of both formats that share no code with the writers.

use proptest::prelude::*;
use twelvelabs::Error;
use twelvelabs::assets::AssetTranscription;
use twelvelabs::search::SearchItem;
use twelvelabs::subtitles::{Cue, Subtitles, format_timestamp};

/// A cue as a reader parses it: times in milliseconds, the name of the speaker, and lines of text.
#[derive(Debug, PartialEq)]
struct Read {
    start: u64,
    end: u64,
    voice: Option<String>,
    lines: Vec<String>,
}

fn number(text: &str, digits: impl FnOnce(usize) -> bool) -> u64 {
    assert!(
        text.bytes().all(|b| b.is_ascii_digit()) && digits(text.len()),
        "{text:?} does not have the expected digits"
    );
    text.parse().unwrap()
}

/// Parses `hh:mm:ss.mmm`, with the decimal separator of the format.
fn time(text: &str, point: char) -> u64 {
    let (clock, milliseconds) = text.split_once(point).unwrap_or_else(|| panic!("{text:?} has no {point:?}"));
    let [hours, minutes, seconds] = clock.split(':').collect::<Vec<_>>()[..] else { panic!("{text:?} is not a time") };
    let (minutes, seconds) = (number(minutes, |n| n == 2), number(seconds, |n| n == 2));
    assert!(minutes < 60 && seconds < 60, "{text:?}");
    let seconds = number(hours, |n| n >= 2) * 3600 + minutes * 60 + seconds;
    seconds * 1000 + number(milliseconds, |n| n == 3)
}

fn times(line: &str, point: char) -> (u64, u64) {
    let (start, end) = line.split_once(" --> ").unwrap_or_else(|| panic!("{line:?} has no times"));
    let (start, end) = (time(start, point), time(end, point));
    assert!(start < end, "{line:?}: the cue ends before it begins");
    (start, end)
}

/// Returns the blocks of lines, separated by lines that even the most lenient reader considers empty.
fn blocks(file: &str) -> Vec<Vec<&str>> {
    assert!(file.is_empty() || file.ends_with('\n'), "the last line has no line end");
    let other = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!file.contains(other), "{file:?} has other line ends, or control characters");
    let lines: Vec<&str> = file.lines().collect();
    let blocks = lines.split(|line| line.trim().is_empty()).map(<[_]>::to_vec);
    blocks.filter(|block: &Vec<&str>| !block.is_empty()).collect()
}

fn read_srt(file: &str) -> Vec<Read> {
    let read = |(index, block): (usize, Vec<&str>)| {
        assert_eq!(number(block[0], |n| n > 0), index as u64 + 1, "the cues are numbered from 1");
        let (start, end) = times(block[1], ',');
        let lines: Vec<String> = block[2..].iter().map(ToString::to_string).collect();
        assert!(!lines.is_empty(), "the cue has no text");
        assert!(lines.iter().all(|line| !line.contains("-->")), "{lines:?} could be taken for times");
        Read { start, end, voice: None, lines }
    };
    in_order(blocks(file).into_iter().enumerate().map(read).collect())
}

fn read_vtt(file: &str) -> Vec<Read> {
    assert!(file.starts_with("WEBVTT\n"));
    let mut blocks = blocks(file).into_iter();
    assert_eq!(blocks.next().unwrap(), ["WEBVTT"], "the header contains only `WEBVTT`");
    let read = |block: Vec<&str>| {
        let (start, end) = times(block[0], '.');
        let text = block[1..].join("\n");
        assert!(!text.contains("-->"), "{text:?} would end the cue");
        let (voice, text) = match text.strip_prefix("<v ") {
            Some(rest) => {
                let (voice, text) = rest.split_once('>').expect("a tag ends");
                assert!(!voice.contains('\n'), "the name of a speaker has a line break");
                (Some(unescape(voice)), text.to_string())
            }
            None => (None, text),
        };
        let lines: Vec<String> = text.lines().map(unescape).collect();
        assert!(!lines.is_empty(), "the cue has no text");
        Read { start, end, voice, lines }
    };
    in_order(blocks.map(read).collect())
}

fn in_order(cues: Vec<Read>) -> Vec<Read> {
    assert!(cues.windows(2).all(|pair| pair[0].start <= pair[1].start), "the cues are not sorted by their start");
    cues
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>']) {
        out.push_str(&rest[..at]);
        let references = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')];
        let found = references.iter().find(|(reference, _)| rest[at..].starts_with(reference));
        let (reference, character) = found.unwrap_or_else(|| panic!("{text:?} has markup"));
        out.push(*character);
        rest = &rest[at + reference.len()..];
    }
    out + rest
}

/// Returns the visible part of a text. The rest may be rearranged by the writer.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// A strategy for texts with everything that could break a file.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "(?s).{0,8}",
        3 => "[a-z ]{1,12}",
        1 => prop::sample::select(vec![
            "-->", "\n\n", "\r\n \r\n", "&amp;", "&", "<v Bob>", "</v>", "<i>", "NOTE", "WEBVTT", "1\n",
            "00:00:01,000 --> 00:00:02,000", "\u{2028}\u{2028}", "\u{b}\u{c}", "\u{feff}", "\0", "\u{85}\u{85}",
            "\t\n\t", "--", ">", "\u{1c}",
        ]).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn seconds() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (0.0..20.0_f64).prop_map(Some),
        1 => (0.0..1e7_f64).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
        1 => Just(None),
    ]
}

fn cue() -> impl Strategy<Value = Cue> {
    (seconds(), seconds(), text(), prop::option::of(text())).prop_map(|(start, end, text, speaker)| {
        let cue = Cue::new(start, end, text);
        match speaker {
            Some(speaker) => cue.speaker(speaker),
            None => cue,
        }
    })
}

fn speaker(cue: &Cue) -> Option<String> {
    cue.speaker.as_deref().map(visible).filter(|name| !name.is_empty())
}

proptest! {
    /// Cues in order with valid times must be in the files exactly.
    #[test]
    fn subtitles_are_read_back_unchanged(
        cues in prop::collection::vec((0..5000_u64, 1..5000_u64, text(), prop::option::of(text())), 0..12)
    ) {
        let mut at = 0;
        let mut expected = Vec::new();
        let mut given = Vec::new();
        for (gap, length, text, speaker) in cues {
            at += gap;
            let mut cue = Cue::new(at as f64 / 1000.0, (at + length) as f64 / 1000.0, text);
            cue.speaker = speaker;
            if !visible(&cue.text).is_empty() {
                expected.push((at, at + length, cue.clone()));
            }
            given.push(cue);
        }
        let subtitles: Subtitles = given.into_iter().collect();
        let (vtt, srt) = (read_vtt(&subtitles.to_vtt()), read_srt(&subtitles.to_srt()));
        prop_assert_eq!((vtt.len(), srt.len()), (expected.len(), expected.len()));
        for ((start, end, cue), (vtt, srt)) in expected.iter().zip(vtt.iter().zip(&srt)) {
            prop_assert_eq!((vtt.start, vtt.end, srt.start, srt.end), (*start, *end, *start, *end));
            prop_assert_eq!(vtt.voice.as_deref().map(visible), speaker(cue));
            prop_assert_eq!(visible(&vtt.lines.concat()), visible(&cue.text));
            let named = speaker(cue).map_or_else(String::new, |name| name + ":") + &visible(&cue.text.replace("-->", "→"));
            prop_assert_eq!(visible(&srt.lines.concat()).replace("-->", "→"), named.replace("-->", "→"));
        }
        let text = subtitles.to_text();
        prop_assert_eq!(text.lines().count(), expected.len());
    }

    /// For any cues, the files must be valid and contain every text once.
    #[test]
    fn any_cues_form_a_valid_file_with_every_text(cues in prop::collection::vec(cue(), 0..12)) {
        let mut texts: Vec<_> =
            cues.iter().map(|cue| (speaker(cue), visible(&cue.text))).filter(|(_, text)| !text.is_empty()).collect();
        let subtitles: Subtitles = cues.into_iter().collect();
        let vtt = read_vtt(&subtitles.to_vtt());
        prop_assert_eq!(read_srt(&subtitles.to_srt()).len(), texts.len());
        let mut found: Vec<_> =
            vtt.iter().map(|cue| (cue.voice.as_deref().map(visible), visible(&cue.lines.concat()))).collect();
        texts.sort();
        found.sort();
        prop_assert_eq!(found, texts);
    }

    #[test]
    fn times_are_right_to_the_millisecond(seconds in prop_oneof![-10.0..1e6_f64, any::<f64>()]) {
        let written = time(&format_timestamp(seconds), '.');
        if seconds.is_finite() && seconds < 1e9 {
            prop_assert!((written as f64 / 1000.0 - seconds.max(0.0)).abs() <= 0.000_501, "{seconds} is {written} ms");
        }
    }

    /// Words are joined into lines: none is lost or out of order, and no line is too long to read.
    #[test]
    fn words_become_lines(
        words in prop::collection::vec(("[a-zé]{1,9}[.?,]?", 0.0..2.0_f64, 0.05..0.6_f64), 1..80)
    ) {
        let mut at = 0.0;
        let words: Vec<_> = words.into_iter().map(|(word, gap, length)| {
            let start = at + if gap < 1.6 { 0.0 } else { gap };
            at = start + length;
            serde_json::json!({"start": start, "end": at, "value": word})
        }).collect();
        let spoken: Vec<&str> = words.iter().filter_map(|word| word["value"].as_str()).collect();
        let transcription = transcription(serde_json::json!({"status": "ready", "words": words}));
        let cues = transcription.subtitles().unwrap().cues;
        let lines: Vec<&str> = cues.iter().map(|cue| cue.text.as_str()).collect();
        prop_assert_eq!(lines.join(" "), spoken.join(" "));
        for cue in &cues {
            prop_assert!(cue.text.chars().count() <= 84 && cue.end.unwrap() - cue.start.unwrap() <= 7.0, "{cue:?}");
            prop_assert!(!cue.text.trim_end_matches(['.', '?']).contains(['.', '?']), "{cue:?} is one sentence");
        }
        prop_assert_eq!(read_vtt(&transcription.to_vtt().unwrap()).len(), cues.len());
    }
}

fn transcription(json: serde_json::Value) -> AssetTranscription {
    serde_json::from_value(json).unwrap()
}

fn subtitles<const N: usize>(cues: [Cue; N]) -> Subtitles {
    cues.into_iter().collect()
}

#[test]
fn timestamps() {
    for (seconds, written) in [
        (0.0, "00:00:00.000"),
        (1.0015, "00:00:01.002"),
        (59.9994, "00:00:59.999"),
        (59.9996, "00:01:00.000"),
        (3599.9999, "01:00:00.000"),
        (359_999.999, "99:59:59.999"),
        (360_000.0, "100:00:00.000"),
        (-0.0, "00:00:00.000"),
        (-5.0, "00:00:00.000"),
        (f64::NAN, "00:00:00.000"),
        (f64::INFINITY, "00:00:00.000"),
        (f64::MAX, "1000000000:00:00.000"),
    ] {
        assert_eq!(format_timestamp(seconds), written, "{seconds}");
    }
}

#[test]
fn subtitle_files_look_as_expected() {
    let subtitles = subtitles([
        Cue::new(1.0, 2.5, "Is 1 < 2 & 3 > 2?\n\n  --> yes").speaker("Ana\n& Co"),
        Cue::new(3.0, 4.0, " \n "),
        Cue::new(4.0, 5.0, "<i>No</i>"),
    ]);
    assert_eq!(
        subtitles.to_vtt(),
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Ana &amp; Co>Is 1 &lt; 2 &amp; 3 &gt; 2?\n--&gt; yes\n\n\
         00:00:04.000 --> 00:00:05.000\n&lt;i&gt;No&lt;/i&gt;\n"
    );
    assert_eq!(
        subtitles.to_srt(),
        "1\n00:00:01,000 --> 00:00:02,500\nAna & Co: Is 1 < 2 & 3 > 2?\n→ yes\n\n\
         2\n00:00:04,000 --> 00:00:05,000\n<i>No</i>\n\n"
    );
    assert_eq!(subtitles.to_text(), "Ana & Co: Is 1 < 2 & 3 > 2? --> yes\n<i>No</i>\n");
    let empty = Subtitles::default();
    assert_eq!((empty.to_vtt(), empty.to_srt(), empty.to_text()), ("WEBVTT\n".into(), "".into(), "".into()));
}

#[test]
fn missing_and_invalid_times_are_replaced() {
    let timed = |cues: Vec<Cue>| -> Vec<(u64, u64, String)> {
        let subtitles: Subtitles = cues.into_iter().collect();
        read_vtt(&subtitles.to_vtt()).into_iter().map(|cue| (cue.start, cue.end, cue.lines.concat())).collect()
    };
    let cue = |start, end, text: &str| Cue::new(start, end, text);
    let unknown = None::<f64>;
    // Without any times, the cues follow one another from the start.
    assert_eq!(timed(vec![cue(unknown, unknown, "a")]), [(0, 2000, "a".into())]);
    // A cue without a start begins where the previous one ends. A cue without an end lasts until the next one begins,
    // at most two seconds.
    let cues = vec![cue(Some(1.0), Some(3.0), "a"), cue(unknown, Some(4.0), "b"), cue(Some(5.0), unknown, "c")];
    assert_eq!(timed(cues), [(1000, 3000, "a".into()), (3000, 4000, "b".into()), (5000, 7000, "c".into())]);
    let cues = vec![cue(Some(1.0), unknown, "a"), cue(Some(1.5), Some(1.2), "b"), cue(Some(9.0), Some(9.0), "c")];
    assert_eq!(timed(cues), [(1000, 1500, "a".into()), (1500, 3500, "b".into()), (9000, 11000, "c".into())]);
    // The times are negative or undefined, and the cues are out of order.
    let cues = vec![cue(Some(8.0), Some(9.0), "b"), cue(Some(-4.0), Some(1.0), "a"), cue(Some(f64::NAN), None, "c")];
    assert_eq!(timed(cues), [(0, 1000, "a".into()), (1000, 3000, "c".into()), (8000, 9000, "b".into())]);
}

#[test]
fn a_transcription_uses_its_best_segmentation() {
    let words = serde_json::json!([
        {"start": 0.5, "end": 0.9, "value": "Hello"},
        {"start": 0.9, "end": 1.2, "value": "there"},
        {"start": 1.2, "end": 1.3, "value": "."},
        {"start": 1.4, "end": 2.0, "value": "Bye"},
    ]);
    let sentences = serde_json::json!([
        {"start": 0.5, "end": 1.3, "value": "Hello there."},
        {"start": 1.4, "end": 2.0, "value": "Bye"},
    ]);
    let utterances = serde_json::json!([
        {"start": 0.5, "end": 1.3, "value": "Hello there.", "speaker": "Ana"},
        {"start": 1.4, "end": 2.0, "value": "Bye", "speaker": "Rita"},
    ]);
    let json = serde_json::json!({"status": "ready", "words": words, "sentences": null, "utterances": []});
    let mut transcription = transcription(json);
    assert_eq!(transcription.to_text().unwrap(), "Hello there.\nBye\n");
    assert_eq!(read_srt(&transcription.to_srt().unwrap()).len(), 2);
    transcription.sentences = serde_json::from_value(sentences).unwrap();
    assert!(transcription.to_vtt().unwrap().ends_with("\n00:00:01.400 --> 00:00:02.000\nBye\n"));
    transcription.utterances = serde_json::from_value(utterances).unwrap();
    assert_eq!(transcription.to_text().unwrap(), "Ana: Hello there.\nRita: Bye\n");
    assert!(transcription.to_vtt().unwrap().ends_with("\n00:00:01.400 --> 00:00:02.000\n<v Rita>Bye\n"));
    transcription.sentences.as_mut().unwrap()[0].speaker = Some("Narrator".into());
    let vtt = transcription.to_vtt().unwrap();
    assert!(vtt.contains("\n<v Narrator>Hello there.\n"), "a sentence keeps its own speaker: {vtt}");
    transcription.sentences = None;
    assert!(transcription.to_srt().unwrap().contains("\nAna: Hello there.\n"));
}

#[test]
fn a_transcription_that_is_not_ready_is_an_error() {
    let words = serde_json::json!([{"start": 0, "end": 1, "value": "Hello"}]);
    for (status, why) in [
        ("pending", "the transcription is `pending`: wait for it with `assets().wait_for_transcription(…)`"),
        ("processing", "the transcription is `processing`: wait for it with `assets().wait_for_transcription(…)`"),
        ("failed", "the transcription is `failed`: too much noise"),
    ] {
        let error = serde_json::json!({"message": "too much noise"});
        let transcription = transcription(serde_json::json!({"status": status, "words": words, "error": error}));
        for result in [
            transcription.to_srt(),
            transcription.to_vtt(),
            transcription.to_text(),
            transcription.subtitles().map(|subtitles| subtitles.to_srt()),
        ] {
            let e = result.unwrap_err();
            assert!(matches!(&e, Error::NotReady { status: is, .. } if is == status), "{e:?}");
            assert_eq!(e.to_string(), why);
        }
    }
    let silent = transcription(serde_json::json!({"status": "ready", "words": []}));
    assert_eq!(silent.to_srt().unwrap(), "", "a transcription without speech has no subtitles");
    assert!(transcription(serde_json::json!({"words": words})).to_srt().unwrap().contains("Hello"));
}

#[test]
fn words_without_spaces_between_them() {
    let words = ["今日", "は", "晴れ", "です", "。", "Rust", "も", "楽しい", "！"];
    let words: Vec<_> = words.iter().map(|word| serde_json::json!({"value": word})).collect();
    let transcription = transcription(serde_json::json!({"status": "ready", "words": words}));
    assert_eq!(transcription.to_text().unwrap(), "今日は晴れです。\nRust も楽しい！\n");
}

#[test]
fn parts_of_many_kinds_are_collected() {
    let transcription = transcription(serde_json::json!({
        "status": "ready", "sentences": [{"start": 0, "end": 1, "value": "a"}, {"start": 1, "end": 2, "value": "b"}]
    }));
    let both: Subtitles = [&transcription, &transcription].map(|part| part.subtitles().unwrap()).into_iter().collect();
    assert_eq!(both.cues.len(), 4);
    let of_results: Result<Subtitles, String> = [Ok(Cue::new(0.0, 1.0, "a")), Err("no".into())].into_iter().collect();
    assert_eq!(of_results, Err("no".into()));
}

#[test]
fn hits_become_cues() {
    let hits = serde_json::json!([
        {"start": 8.0, "end": 9.5, "rank": 1, "transcription": "a dog"},
        {"start": 1.0, "end": 2.0, "rank": 2},
        {"id": "v", "clips": [{"start": 20, "end": 21, "rank": 3, "transcription": " "}, {"start": 30, "rank": 4}]},
    ]);
    let hits: Vec<SearchItem> = serde_json::from_value(hits).unwrap();
    let subtitles: Subtitles = hits.iter().collect();
    assert_eq!(
        subtitles.to_vtt(),
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n#2\n\n00:00:08.000 --> 00:00:09.500\na dog\n\n\
         00:00:20.000 --> 00:00:21.000\n#3\n\n00:00:30.000 --> 00:00:32.000\n#4\n"
    );
    assert_eq!(subtitles, hits.into_iter().collect());
}
