//! Answers that are read as they arrive, and answers in a type of the caller's.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::server::{API_KEY, Server, Step, answer, answer_of_type, answer_with, client};
use serde_json::{Value, json};
use twelvelabs::analyze::{AnalyzeEvent, AnalyzeStream, FinishReason};
use twelvelabs::analyze_async::BatchResultItem;
use twelvelabs::{Error, Events, JsonLines, RequestOptions, TwelveLabs};

const START: &str = r#"{"event_type":"stream_start","metadata":{"generation_id":"g1"}}"#;
const ONE: &str = r#"{"event_type":"text_generation","text":"one "}"#;
const TWO: &str = r#"{"event_type":"text_generation","text":"two"}"#;
const END: &str = r#"{"event_type":"stream_end","finish_reason":"stop","metadata":{"generation_id":"g1","usage":{"output_tokens":2}}}"#;

/// Nothing in these tests takes this long.
const LONG: Duration = Duration::from_secs(10);

fn lines(lines: &[&str]) -> Vec<u8> {
    answer_of_type(200, "application/x-ndjson", &lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// The beginning of an answer in chunks.
fn begin(stream: &mut TcpStream, kind: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n")
}

fn chunk(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    write!(stream, "{:x}\r\n{text}\r\n", text.len())
}

/// Plays one answer to `analyze_stream`.
fn analyze(step: Step) -> AnalyzeStream {
    let server = Server::start([step]);
    let (client, _) = client(&server);
    client.analyze_stream().send().unwrap()
}

/// Writes the pieces, each but the first only when the reader says that it has the one before.
fn one_by_one(kind: &'static str, pieces: [String; 3], seen: Receiver<()>, chunked: bool) -> Step {
    Step::Live(Box::new(move |stream| {
        match chunked {
            true => begin(stream, kind)?,
            false => write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n")?,
        }
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 && seen.recv_timeout(LONG).is_err() {
                // The reader waits for more than it was given: it gets an answer that is cut off.
                return Ok(());
            }
            match chunked {
                true => chunk(stream, piece)?,
                false => stream.write_all(piece.as_bytes())?,
            }
        }
        if chunked {
            chunk(stream, "")?;
        }
        Ok(())
    }))
}

/// Calls `read` on what the server writes one by one, and checks that it gives three things.
fn arrives_one_by_one<T>(
    kind: &'static str,
    pieces: [&str; 3],
    end: &str,
    read: impl Fn(&TwelveLabs) -> twelvelabs::Result<T>,
) where
    T: Iterator<Item: std::fmt::Debug>,
{
    for chunked in [true, false] {
        let (seen, waits): (Sender<()>, Receiver<()>) = channel();
        let pieces = pieces.map(|piece| format!("{piece}{end}"));
        let server = Server::start([one_by_one(kind, pieces, waits, chunked)]);
        let (client, _) = client(&server);
        let mut count = 0;
        for item in read(&client).unwrap() {
            count += 1;
            assert!(!format!("{item:?}").contains("Err("), "{item:?}");
            let _ = seen.send(());
        }
        assert_eq!(count, 3, "{kind}, chunked: {chunked}");
    }
}

#[test]
fn an_event_reaches_the_caller_before_the_next_is_sent() {
    arrives_one_by_one("application/x-ndjson", [START, ONE, END], "\n", |client| client.analyze_stream().send());
    let results = [r#"{"task_id":"1"}"#, r#"{"task_id":"2"}"#, r#"{"task_id":"3"}"#];
    arrives_one_by_one("application/jsonl", results, "\n", |client| {
        client.analyze_async().batches().results("b").send()
    });
    let events = ["data: 1", ": comment\nevent: x\ndata: 2", "data: 3"];
    arrives_one_by_one("text/event-stream", events, "\n\n", |client| {
        client.call("POST", &["responses"]).json("stream", true).send_events()
    });
}

#[test]
fn a_stream_of_text() {
    let news = r#"{"event_type":"news","of":["the future"]}"#;
    let events: Vec<AnalyzeEvent> =
        analyze(Step::Answer(lines(&[START, "", ONE, news, TWO, END, ONE]))).collect::<Result<_, _>>().unwrap();
    assert_eq!(events.len(), 5, "nothing comes after the end");
    assert!(matches!(&events[2], AnalyzeEvent::Other(event) if event["of"][0] == "the future"), "{events:?}");
    assert_eq!(events.iter().map(AnalyzeEvent::text).collect::<String>(), "one two");
    assert!(matches!(&events[4], AnalyzeEvent::StreamEnd(end) if end.finish_reason == Some(FinishReason::Stop)));
    assert_eq!(serde_json::to_value(&events[2]).unwrap(), serde_json::from_str::<Value>(news).unwrap());

    let text = analyze(Step::Answer(lines(&[START, ONE, news, TWO, END]))).text().unwrap();
    assert_eq!((text.text.as_str(), text.generation_id.as_deref()), ("one two", Some("g1")));
    assert_eq!((text.finish_reason, text.usage.unwrap().output_tokens), (Some(FinishReason::Stop), Some(2)));
}

/// Reads a stream that goes wrong, and gives its last item after a check that it is the last and all that went wrong.
fn fault(mut stream: AnalyzeStream) -> Error {
    let mut items: Vec<_> = stream.by_ref().collect();
    assert!(stream.next().is_none() && stream.next().is_none(), "it has ended");
    let last = items.pop().unwrap().unwrap_err();
    assert!(items.iter().all(Result::is_ok), "{items:?}");
    last
}

#[test]
fn a_stream_that_breaks_off_is_an_error_that_has_the_text_so_far() {
    let cut = |bytes: Vec<u8>, by: usize| Step::Close(bytes[..bytes.len() - by].to_vec());
    for (step, what) in [
        (Step::Answer(lines(&[START, ONE])), "no end"),
        (Step::Answer(lines(&[START, ONE, r#"{"event_type":"text_gen"#])), "in a line"),
        (cut(lines(&[START, ONE, TWO]), 5), "in a line, with a length"),
        (cut(lines(&[START, ONE, TWO]), TWO.len() + 1), "after a line, with a length"),
        (
            Step::Live(Box::new(|stream| {
                begin(stream, "application/x-ndjson")?;
                chunk(stream, &format!("{START}\n{ONE}\n"))
            })),
            "after a line, in chunks",
        ),
    ] {
        let e = fault(analyze(step));
        let Error::Stream { text, source: Some(source), code: None, .. } = &e else { panic!("{what}: {e:?}") };
        assert_eq!(text, "one ", "{what}");
        if what == "in a line" {
            // It has an end, so it is complete and malformed.
            assert!(matches!(**source, Error::Decode { .. }) && !e.is_retryable(), "{e:?}");
            assert_eq!(e.to_string(), "the stream has a line that is no event (POST /analyze)");
        } else {
            assert!(matches!(**source, Error::Transport { .. }) && e.is_retryable(), "{what}: {e:?}");
            assert_eq!(e.to_string(), "the stream broke off before its end (POST /analyze)");
        }
        assert!(e.is_outcome_unknown() && !e.is_timeout());
    }
    let e = analyze(Step::Answer(lines(&[START, ONE]))).text().unwrap_err();
    assert!(matches!(e, Error::Stream { text, .. } if text == "one "));
}

#[test]
fn errors_that_the_platform_reports_in_a_stream() {
    for error in [
        r#"{"event_type":"error","error":{"code":"overloaded","message":"Too much."}}"#,
        r#"{"event_type":"error","code":"overloaded","message":"Too much."}"#,
        r#"{"code":"overloaded","message":"Too much."}"#,
        r#"{"event_type":"stream_end","error":{"code":"overloaded","message":"Too much."}}"#,
        r#"{"event_type":"stream_end","finish_reason":"error","error":{"code":"overloaded","message":"Too much."}}"#,
    ] {
        let e = fault(analyze(Step::Answer(lines(&[START, ONE, error, TWO, END]))));
        assert_eq!(e.to_string(), "Too much. (POST /analyze)", "{error}");
        assert_eq!(e.code(), Some("overloaded"));
        assert!(matches!(&e, Error::Stream { text, source: None, .. } if text == "one "), "{e:?}");
    }
    let e = fault(analyze(Step::Answer(lines(&[START, r#"{"event_type":"error","code":"overloaded"}"#]))));
    assert_eq!(e.to_string(), "overloaded (POST /analyze)", "what it says is better than nothing");
    let secret = format!(r#"{{"event_type":"error","message":"the key {API_KEY} is used up"}}"#);
    let e = fault(analyze(Step::Answer(lines(&[START, &secret]))));
    assert_eq!(e.to_string(), "the key *** is used up (POST /analyze)");
    // A text that was cut off comes with a warning, which is no error.
    let cut = r#"{"event_type":"stream_end","finish_reason":"length","error":{"message":"output truncated"}}"#;
    let text = analyze(Step::Answer(lines(&[START, ONE, cut]))).text().unwrap();
    assert_eq!((text.text.as_str(), &text.finish_reason), ("one ", &Some(FinishReason::Length)));
    assert_eq!(text.error.as_ref().unwrap().message.as_deref(), Some("output truncated"));
    assert!(matches!(text.json::<Value>(), Err(Error::Truncated { text }) if text == "one "));
}

#[test]
fn answers_that_are_no_stream() {
    let page = "<html><title>Sign in</title></html>";
    let batches = |client: &TwelveLabs| client.analyze_async().batches().results("b").send();
    let server = Server::start([(); 3].map(|()| Step::Answer(answer_of_type(200, "text/html", page))));
    let (a_client, _) = client(&server);
    for e in [
        a_client.analyze_stream().send().unwrap_err(),
        batches(&a_client).unwrap_err(),
        a_client.call("GET", &["x"]).send_events().unwrap_err(),
    ] {
        assert!(e.to_string().starts_with("127.0.0.1 answered with status 200 and an HTML page: Sign in"), "{e}");
    }
    // A page of another name.
    let page = "<html>\n<title>Sign in</title>\n</html>\n";
    let server = Server::start([(); 2].map(|()| Step::Answer(answer_of_type(200, "application/json", page))));
    let (a_client, _) = client(&server);
    assert!(matches!(fault(a_client.analyze_stream().send().unwrap()), Error::Stream { text, .. } if text.is_empty()));
    let results: Vec<_> = batches(&a_client).unwrap().collect();
    assert!(matches!(&results[..], [Err(Error::Decode { .. })]), "one error and not one for each line: {results:?}");
    // The whole answer at once, because nobody asked for events.
    let server = Server::start([Step::Answer(answer(200, &json!({"id": "r1"})))]);
    let (client, _) = client(&server);
    let e = client.call("POST", &["responses"]).send_events().unwrap_err().to_string();
    assert!(e.starts_with(r#"the answer is not a stream but application/json: {"id":"r1"}"#), "{e}");
}

#[test]
fn a_malformed_result_is_an_error_in_its_place() {
    let body = "{\"task_id\":\"1\",\"status\":5}\r\n\r\nno json\n{\"status\":\"ready\"}\n{\"task_id\":\"é\"}\n{\"task_id\":\"4\"}";
    let mut answer = answer_of_type(200, "application/jsonl", body);
    // One byte that is not UTF-8.
    let at = answer.windows(2).position(|pair| pair == "é".as_bytes()).unwrap();
    answer[at] = b'x';
    let server = Server::start([Step::Answer(answer)]);
    let (client, _) = client(&server);
    let results: Vec<Result<String, String>> = client
        .analyze_async()
        .batches()
        .results("b")
        .send()
        .unwrap()
        .map(|result| result.map(|result| result.task_id).map_err(|e| e.to_string()))
        .collect();
    assert_eq!(
        results.iter().map(|id| id.as_deref().unwrap_or("error")).collect::<Vec<_>>(),
        ["1", "error", "error", "error", "4"]
    );
    let e = |n: usize| results[n].as_ref().unwrap_err();
    assert!(
        e(1).starts_with("line 3 of the stream: the answer is not JSON") && e(1).contains("no json"),
        "{results:?}"
    );
    assert!(e(2).contains("task_id"), "{results:?}");
    assert!(e(3).contains("UTF-8"), "{results:?}");
}

#[test]
fn results_that_are_cut_off_end_with_an_error() {
    for (body, left) in [("{\"task_id\":\"1\"}\n{\"task_id\":\"2\"}\n", 5), ("{\"task_id\":\"1\"}\n{\"task_", 0)] {
        let bytes = answer_of_type(200, "application/jsonl", body);
        let server = Server::start([Step::Close(bytes[..bytes.len() - left].to_vec())]);
        let (client, _) = client(&server);
        let mut results = client.analyze_async().batches().results("b").send().unwrap();
        assert_eq!(results.next().unwrap().unwrap().task_id, "1");
        let e = results.next().unwrap().unwrap_err();
        assert!(matches!(e, Error::Transport { sent: true, .. }) && e.is_retryable(), "{e:?}");
        assert!(!e.to_string().contains("unknown"), "to read results changes nothing: {e}");
        assert!(results.next().is_none() && results.next().is_none());
    }
}

#[test]
fn events_of_any_endpoint() {
    let body =
        ": hello\r\nevent: delta\r\nid: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata: [DONE]\r\n\r\ndata: late\r\n\r\n";
    let server = Server::start([Step::Answer(answer_of_type(200, "text/event-stream; charset=utf-8", body))]);
    let (client, _) = client(&server);
    let call = client.call("POST", &["responses"]).json("stream", true);
    let events: Vec<_> = call.send_events().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].event.as_str(), events[0].id.as_deref()), ("delta", Some("1")));
    assert_eq!(events[0].json::<Value>().unwrap(), json!({"a": 1}));
    assert!(matches!(events[0].json::<Vec<u8>>(), Err(Error::InvalidOutput { text, .. }) if text == "{\"a\":\n1}"));
    let received = server.finish();
    assert_eq!(received[0].header("accept"), Some("text/event-stream"));
    assert_eq!(received[0].json(), json!({"stream": true}));
}

#[test]
fn a_stream_is_tried_again_until_it_begins_and_not_after() {
    let again = answer_with(429, &[("retry-after", "1")], &json!({"message": "Slow down."}));
    let server = Server::start([Step::Answer(again), Step::Answer(lines(&[START, ONE, END]))]);
    let (a_client, pauses) = client(&server);
    assert_eq!(a_client.analyze_stream().send().unwrap().text().unwrap().text, "one ");
    assert_eq!(pauses.taken(), [Duration::from_secs(1)]);
    let received = server.finish();
    assert_eq!(received[0].body, received[1].body);

    let refusal = json!({"code": "parameter_invalid", "message": "No video."});
    let server = Server::start([Step::Answer(answer(400, &refusal)), Step::Answer(answer(500, &Value::Null))]);
    let (client, pauses) = client(&server);
    let e = client.analyze_stream().send().unwrap_err();
    assert_eq!(e.to_string(), "No video. [parameter_invalid, 400] (POST /analyze at 127.0.0.1)");
    assert_eq!(client.analyze_stream().send().unwrap_err().status(), Some(500));
    assert!(pauses.taken().is_empty());
    server.finish();
}

/// Writes a piece every 200 ms, and then waits for the reader to go.
fn slowly(pieces: &'static [&'static str]) -> Step {
    Step::Live(Box::new(move |stream| {
        begin(stream, "application/x-ndjson")?;
        for piece in pieces {
            chunk(stream, &format!("{piece}\n"))?;
            thread::sleep(Duration::from_millis(200));
        }
        let mut byte = [0];
        io::Read::read(stream, &mut byte).map(drop)
    }))
}

#[test]
fn a_stream_may_take_long_but_not_be_silent() {
    let server = Server::start([slowly(&[START, ONE, ONE, ONE, ONE, ONE, TWO])]);
    let (client, _) = client(&server);
    let patient = RequestOptions::new().timeout(Duration::from_millis(700));
    let e = fault(client.analyze_stream().request_options(patient).send().unwrap());
    assert!(e.is_timeout() && e.is_retryable(), "{e:?}");
    assert_eq!(e.to_string(), "the stream fell silent before its end (POST /analyze)");
    assert!(matches!(e, Error::Stream { text, .. } if text == "one one one one one two"));
}

#[test]
fn the_deadline_of_the_call_holds_for_the_stream() {
    let server = Server::start([slowly(&[START, ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE])]);
    let (client, _) = client(&server);
    let hasty = RequestOptions::new().deadline(Duration::from_millis(500));
    let e = fault(client.analyze_stream().request_options(hasty).send().unwrap());
    assert!(e.is_timeout(), "{e:?}");
    assert!(matches!(e, Error::Stream { text, .. } if text.starts_with("one ") && text.len() < 20));
}

#[test]
fn dropping_a_stream_closes_the_connection() {
    let (closed, wait) = channel();
    let mut stream = analyze(Step::Live(Box::new(move |stream| {
        begin(stream, "application/x-ndjson")?;
        while chunk(stream, &format!("{ONE}\n")).is_ok() {}
        closed.send(()).map_err(io::Error::other)
    })));
    assert!(stream.next().unwrap().is_ok());
    drop(stream);
    wait.recv_timeout(LONG).expect("the server sees that nobody reads");
}

#[test]
fn streams_are_bounded() {
    let limited = |server: &Server| {
        TwelveLabs::builder().api_key(API_KEY).base_url(server.url()).max_response_size(10_000).build().unwrap()
    };
    let endless = |piece: &'static str| {
        Step::Live(Box::new(move |stream| {
            begin(stream, "application/x-ndjson")?;
            while chunk(stream, piece).is_ok() {}
            Ok(())
        }))
    };
    let line = "{\"event_type\":\"text_generation\",\"text\":\"0123456789\"}\n";
    let server = Server::start([endless(line), endless("          "), endless("x")]);
    let client = limited(&server);
    let e = fault(client.analyze_stream().send().unwrap());
    assert_eq!(e.to_string(), "the stream is larger than allowed (POST /analyze)");
    assert!(matches!(fault(client.analyze_stream().send().unwrap()), Error::Stream { .. }));
    let results: Vec<_> = client.analyze_async().batches().results("b").send().unwrap().collect();
    assert!(matches!(&results[..], [Err(Error::ResponseTooLarge { limit: 10_000, .. })]), "{results:?}");
}

#[test]
fn streams_can_be_read_in_another_thread() {
    fn send<T: Send>() {}
    send::<AnalyzeStream>();
    send::<Events>();
    send::<JsonLines<BatchResultItem>>();
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Summary {
    title: String,
    times: Vec<f64>,
}

/// What `json` makes of a text.
fn typed(text: &str, finish_reason: &str) -> (Result<Summary, Error>, Value) {
    let server = Server::start([Step::Answer(answer(200, &json!({"data": text, "finish_reason": finish_reason})))]);
    let (client, _) = client(&server);
    let summary = client.analyze().prompt("Summarise.").json(json!({"type": "object"}));
    (summary, server.finish().remove(0).json())
}

#[test]
fn answers_in_a_type_of_the_callers() {
    for text in [
        r#"{"title":"`a` ```b","times":[1,2.5]}"#,
        "  {\"title\":\"`a` ```b\",\"times\":[1,2.5]}\n",
        "```json\n{\"title\":\"`a` ```b\",\"times\":[1,2.5]}\n```",
        "```\n{\"title\":\"`a` ```b\",\"times\":[1,2.5]}\n```\n",
        "Here it is:\n\n```json\r\n{\"title\":\"`a` ```b\",\"times\":[1,2.5]}\r\n```\nAnything else?",
    ] {
        let (summary, body) = typed(text, "stop");
        assert_eq!(summary.unwrap(), Summary { title: "`a` ```b".into(), times: vec![1.0, 2.5] }, "{text}");
        let format = json!({"type": "json_schema", "json_schema": {"type": "object"}});
        assert_eq!(body, json!({"stream": false, "prompt": "Summarise.", "response_format": format}));
    }
    for (text, why) in [
        (r#"{"title":"a","times":[1,"?"]}"#, "the answer does not fit: `times[1]`: invalid type"),
        (r#"{"title":"a"}"#, "the answer does not fit: missing field `times`"),
        (r#"{"title":"a","times":[]} and more"#, "the answer is not JSON alone"),
        (r#"{"title":"a","times":["#, "the answer is not JSON: `times"),
        ("I cannot do that.", "the answer is not JSON"),
        ("", "the answer has no text"),
    ] {
        let e = typed(text, "stop").0.unwrap_err();
        assert!(e.to_string().starts_with(why), "{e}");
        assert!(matches!(e, Error::InvalidOutput { text: kept, .. } if kept == text));
    }
    let cut = r#"{"title":"a","times":[1,"#;
    let e = typed(cut, "length").0.unwrap_err();
    assert!(e.to_string().starts_with("the answer was cut off at the limit of tokens after 24 characters"), "{e}");
    assert!(!e.is_retryable() && matches!(e, Error::Truncated { text } if text == cut));

    let server = Server::start([]);
    let (client, _) = client(&server);
    let e = client.analyze().json::<Summary>("object").unwrap_err();
    assert!(e.to_string().starts_with("schema: must be a JSON object"), "{e}");
}
