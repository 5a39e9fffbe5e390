//! Answers that are read as they arrive, and answers of the caller's own type.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::server::{API_KEY, LIMITS, Server, Step, answer, answer_of_type, answer_with, client, in_time};
use serde_json::{Value, json};
use twelvelabs::analyze::{AnalyzeEvent, AnalyzeStream, FinishReason};
use twelvelabs::analyze_async::{AnalyzeTaskResult, BatchResultItem};
use twelvelabs::responses::{ResponseInclude, ResponseObject, ResponseStatus, ResponseStream, ResponseStreamEvent};
use twelvelabs::{CancelHandle, Error, Events, JsonLines, RequestOptions, TwelveLabs};

const START: &str = r#"{"event_type":"stream_start","metadata":{"generation_id":"g1"}}"#;
const ONE: &str = r#"{"event_type":"text_generation","text":"one "}"#;
const TWO: &str = r#"{"event_type":"text_generation","text":"two"}"#;
const END: &str = r#"{"event_type":"stream_end","finish_reason":"stop","metadata":{"generation_id":"g1","usage":{"output_tokens":2}}}"#;

/// A time limit that no step of these tests reaches.
const LONG: Duration = Duration::from_secs(10);

fn lines(lines: &[&str]) -> Vec<u8> {
    answer_of_type(200, "application/x-ndjson", &lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Writes the beginning of an answer in chunked encoding.
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

/// A step that writes the pieces, each one after the first only when the reader has received the previous one.
fn one_by_one(kind: &'static str, pieces: [String; 3], seen: Receiver<()>, chunked: bool) -> Step {
    Step::Live(Box::new(move |stream| {
        match chunked {
            true => begin(stream, kind)?,
            false => write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n")?,
        }
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 && seen.recv_timeout(LONG).is_err() {
                // The reader waits for more than it was given. It gets a truncated answer.
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

/// Calls `read` on what the server writes piece by piece, and checks that it yields three items.
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
    let events = ["response.created", "response.output_text.delta", "response.completed"]
        .map(|kind| format!("event: keepalive\ndata: {{}}\n\nevent: {kind}\ndata: {{}}"));
    arrives_one_by_one("text/event-stream", events.each_ref().map(String::as_str), "\n\n", |client| {
        client.responses().create_stream("ks_1", "Who?").send()
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

/// Reads a stream that fails, and returns the error after checking that it is the last item and the only error.
fn fault(mut stream: AnalyzeStream) -> Error {
    let mut items: Vec<_> = stream.by_ref().collect();
    assert!(stream.next().is_none() && stream.next().is_none(), "the stream has ended");
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
            // The answer has an end, so it is complete and malformed.
            assert!(matches!(**source, Error::Decode { .. }) && !e.is_retryable(), "{e:?}");
            assert_eq!(e.to_string(), "the stream contains a line that is not an event (POST /analyze)");
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
fn the_text_of_an_already_read_stream_is_checked_for_completeness() {
    let read = |last: &[&str]| {
        let mut stream = analyze(Step::Answer(lines(&[&[START, ONE], last].concat())));
        let events: Vec<_> = stream.by_ref().collect();
        (events.len(), stream.text())
    };
    let (events, text) = read(&[TWO, END]);
    assert_eq!((events, text.unwrap().complete().unwrap().as_str()), (4, "one two"));
    let cut = r#"{"event_type":"stream_end","finish_reason":"length","error":{"message":"It was cut."}}"#;
    let text = read(&[cut]).1.unwrap();
    assert_eq!(text.error.as_ref().and_then(|e| e.message.as_deref()), Some("It was cut."));
    assert!(matches!(text.complete(), Err(Error::Truncated { text }) if text == "one "));
    for last in [&[][..], &["no event"], &[r#"{"event_type":"error","message":"It broke."}"#]] {
        let Err(Error::Stream { text, message, operation, generation, .. }) = read(last).1 else { panic!("{last:?}") };
        assert_eq!((text.as_str(), operation.as_str()), ("one ", "POST /analyze"));
        assert!(!message.is_empty() && generation.generation_id.as_deref() == Some("g1"), "{message}");
    }
}

#[test]
fn the_error_of_a_stream_contains_the_details_received_so_far() {
    let ended = |lines_of: &[&str]| match fault(analyze(Step::Answer(lines(lines_of)))) {
        Error::Stream { generation, .. } => *generation,
        e => panic!("{e:?}"),
    };
    let broken = ended(&[START, ONE]);
    assert_eq!((broken.generation_id.as_deref(), broken.usage, broken.finish_reason), (Some("g1"), None, None));
    let failed = r#"{"event_type":"stream_end","finish_reason":"error","error":{"message":"Too much."},
        "metadata":{"usage":{"output_tokens":2,"input_tokens":9}}}"#;
    let failed = ended(&[START, ONE, &failed.replace('\n', "")]);
    assert_eq!(failed.generation_id.as_deref(), Some("g1"));
    assert_eq!(failed.finish_reason, Some(FinishReason::Other("error".into())));
    assert_eq!(failed.usage.map(|usage| (usage.output_tokens, usage.input_tokens)), Some((Some(2), Some(9))));
    let text = analyze(Step::Answer(lines(&[START, ONE, END]))).text().unwrap();
    assert_eq!(text.generation_id.as_deref(), Some("g1"));
    assert_eq!(text.usage.as_ref().and_then(|usage| usage.output_tokens), Some(2));
    assert_eq!(text.complete().unwrap(), "one ");
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
    assert_eq!(e.to_string(), "overloaded (POST /analyze)", "without a message, the code is the reason");
    let secret = format!(r#"{{"event_type":"error","message":"the key {API_KEY} is used up"}}"#);
    let e = fault(analyze(Step::Answer(lines(&[START, &secret]))));
    assert_eq!(e.to_string(), "the key *** is used up (POST /analyze)");
    // A truncated text comes with a warning, which is not an error.
    let cut = r#"{"event_type":"stream_end","finish_reason":"length","error":{"message":"output truncated"}}"#;
    let text = analyze(Step::Answer(lines(&[START, ONE, cut]))).text().unwrap();
    assert_eq!((text.text.as_str(), &text.finish_reason), ("one ", &Some(FinishReason::Length)));
    assert_eq!(text.error.as_ref().unwrap().message.as_deref(), Some("output truncated"));
    assert!(matches!(text.json::<Value>(), Err(Error::Truncated { text }) if text == "one "));
    assert!(matches!(text.complete(), Err(Error::Truncated { text }) if text == "one "));
}

#[test]
fn responses_that_are_not_streams() {
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
    // The answer is a web page instead.
    let page = "<html>\n<title>Sign in</title>\n</html>\n";
    let server = Server::start([(); 2].map(|()| Step::Answer(answer_of_type(200, "application/json", page))));
    let (a_client, _) = client(&server);
    assert!(matches!(fault(a_client.analyze_stream().send().unwrap()), Error::Stream { text, .. } if text.is_empty()));
    let results: Vec<_> = batches(&a_client).unwrap().collect();
    assert!(
        matches!(&results[..], [Err(Error::Decode { .. })]),
        "there is one error in all, not one for each line: {results:?}"
    );
    // The answer arrives as a whole, because no events were requested.
    let server = Server::start([Step::Answer(answer(200, &json!({"id": "r1"})))]);
    let (client, _) = client(&server);
    let e = client.call("POST", &["responses"]).send_events().unwrap_err().to_string();
    assert!(e.starts_with(r#"the response is not a stream but application/json: {"id":"r1"}"#), "{e}");
}

#[test]
fn a_malformed_result_is_an_error_in_its_place() {
    let body = "{\"task_id\":\"1\",\"status\":5}\r\n\r\nno json\n{\"status\":\"ready\"}\n{\"task_id\":\"é\"}\n{\"task_id\":\"4\"}";
    let mut answer = answer_of_type(200, "application/jsonl", body);
    // One byte is not valid UTF-8.
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
        e(1).starts_with("line 3 of the stream: the response is not JSON") && e(1).contains("no json"),
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
        assert!(!e.to_string().contains("unknown"), "reading results changes nothing, so no outcome is unknown: {e}");
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
fn a_stream_is_retried_only_before_it_begins() {
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

/// A step that writes a piece every 100 ms, and then waits for the reader to close the connection.
fn slowly(pieces: &'static [&'static str]) -> Step {
    Step::Live(Box::new(move |stream| {
        begin(stream, "application/x-ndjson")?;
        for piece in pieces {
            chunk(stream, &format!("{piece}\n"))?;
            thread::sleep(Duration::from_millis(100));
        }
        let mut byte = [0];
        io::Read::read(stream, &mut byte).map(drop)
    }))
}

#[test]
fn a_stream_may_take_long_but_not_be_silent() {
    // This takes real time, because the silence is that of a socket. The stream takes longer than the limit, but none
    // of its pauses does.
    let server = Server::start([slowly(&[START, ONE, ONE, ONE, ONE, ONE, TWO])]);
    let (client, _) = client(&server);
    let patient = RequestOptions::new().timeout(Duration::from_millis(450));
    let e = fault(client.analyze_stream().request_options(patient).send().unwrap());
    assert!(e.is_timeout() && e.is_retryable(), "{e:?}");
    assert_eq!(e.to_string(), "the stream did not reach its end in time (POST /analyze)");
    assert!(format!("{e:#}").ends_with("sent nothing within 450 ms (`timeout`)"), "{e:#}");
    assert!(matches!(e, Error::Stream { text, .. } if text == "one one one one one two"));
}

#[test]
fn the_deadline_of_the_call_applies_to_the_stream() {
    // The stream never ends. If the first text does not arrive within the deadline, the next deadline is tried.
    let has_ended_in_time = |(deadline, limit): &(Duration, &str)| {
        let server = Server::start([Step::Live(Box::new(|stream| {
            begin(stream, "application/x-ndjson")?;
            loop {
                chunk(stream, &format!("{ONE}\n"))?;
                thread::sleep(Duration::from_millis(100));
            }
        }))]);
        let options = RequestOptions::new().deadline(*deadline);
        let Ok(stream) = client(&server).0.analyze_stream().request_options(options).send() else { return false };
        let e = in_time(move || fault(stream));
        assert!(e.is_timeout(), "{e:?}");
        let (text, cause) = (format!("{e:#}"), format!("no complete response within the deadline of {limit}"));
        assert!(
            text.starts_with(&format!("the stream did not reach its end in time (POST /analyze): {cause}")),
            "{text}"
        );
        matches!(e, Error::Stream { text, .. } if text.starts_with("one "))
    };
    assert!(LIMITS.iter().any(has_ended_in_time));
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
    send::<ResponseStream>();
    send::<JsonLines<BatchResultItem>>();
}

/// Returns the data of the six events in the platform's documented example.
fn example() -> Vec<Value> {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/doc/responses.create_stream.json")).unwrap();
    fixture["exchanges"][0]["response"]["body"].as_array().unwrap().clone()
}

fn server_sent(events: &[Value]) -> String {
    events.iter().map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())).collect()
}

/// Plays these events and the end marker as an answer to `responses().create_stream`.
fn respond(events: &[Value]) -> ResponseStream {
    respond_with(Step::Answer(answer_of_type(200, "text/event-stream", &(server_sent(events) + "data: [DONE]\n\n"))))
}

fn respond_with(step: Step) -> ResponseStream {
    let server = Server::start([step]);
    let (client, _) = client(&server);
    client.responses().create_stream("ks_1", "Who?").send().unwrap()
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "r1", "status": "in_progress", "output": []}})
}

fn added(index: usize, phase: &str) -> Value {
    let item = json!({"type": "message", "id": format!("m{index}"), "phase": phase});
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn delta(index: usize, delta: &str) -> Value {
    let item_id = format!("m{index}");
    json!({"type": "response.output_text.delta", "item_id": item_id, "output_index": index, "content_index": 0, "delta": delta})
}

/// Returns the end of a response with this status, and with this text as output if there is one.
fn ended(status: &str, text: Option<&str>) -> Value {
    let part = text.map(|text| json!([{"type": "output_text", "text": text}]));
    let output = part.map(|part| json!([{"type": "message", "id": "m0", "content": part}]));
    json!({"type": "response.completed", "response": {"id": "r1", "status": status, "output": output}})
}

#[test]
fn every_event_of_the_example_arrives_wherever_the_bytes_are_split() {
    let example = example();
    let text = server_sent(&example) + "data: [DONE]\n\n";
    let server = Server::start([]);
    let (client, _) = client(&server);
    let play = |cuts: Vec<usize>| {
        let text = text.clone();
        server.rewind([Step::Live(Box::new(move |stream| {
            begin(stream, "text/event-stream")?;
            let bounds = [&[0], cuts.as_slice(), &[text.len()]].concat();
            bounds.windows(2).try_for_each(|piece| chunk(stream, &text[piece[0]..piece[1]]))?;
            chunk(stream, "")
        }))]);
        let stream = client.responses().create_stream("ks_1", "Give me the highlight.").send().unwrap();
        let events: Vec<Value> = stream.map(|event| serde_json::to_value(event.unwrap()).unwrap()).collect();
        assert_eq!(kinds(&events), kinds(&example));
        events
    };
    let whole = play(Vec::new());
    assert_eq!(whole[5]["response"]["output"][0]["content"][0]["text"], example[4]["text"]);
    // Every position is a cut in one of the runs.
    for first in 1..=50 {
        assert_eq!(play((first..text.len()).step_by(50).collect()), whole, "split at {first} and on");
    }
    assert_eq!(play((1..text.len()).collect()), whole, "byte by byte");
}

fn kinds(events: &[Value]) -> Vec<&Value> {
    events.iter().map(|event| &event["type"]).collect()
}

#[test]
fn the_snapshot_grows_into_the_final_response() {
    let example = example();
    let last = example[4]["text"].as_str().unwrap();
    let mut stream = respond(&example);
    let mut seen = Vec::new();
    assert_eq!(stream.snapshot().id, "");
    while let Some(event) = stream.next() {
        event.unwrap();
        let snapshot = stream.snapshot();
        assert_eq!(snapshot.id, example[0]["response"]["id"].as_str().unwrap());
        seen.push((snapshot.text(), snapshot.status.clone().unwrap().to_string()));
    }
    let first = "The video captures a heated sideline moment".to_string();
    let both = format!("{first}{}", example[3]["delta"].as_str().unwrap());
    let expected = [("", false), ("", false), (&first, false), (&both, false), (last, false), (last, true)];
    let expected = expected
        .map(|(text, is_done)| (text.to_string(), if is_done { "completed" } else { "in_progress" }.to_string()));
    assert_eq!(seen, expected);
    let response = stream.finish().unwrap();
    assert_eq!(response.text(), last);
    assert_eq!((response.usage.unwrap().output_tokens, response.session_id.is_some()), (Some(289), true));

    assert_eq!(respond(&example).text().unwrap(), last);
    assert_eq!(respond(&example).finish().unwrap().id, response.id);
    let mut stream = respond(&example);
    let deltas: Vec<String> = stream.text_deltas().collect::<Result<_, _>>().unwrap();
    assert_eq!(deltas.concat(), both);
    assert_eq!(stream.finish().unwrap().text(), last, "the rest can be read after the text");
}

#[test]
fn intermediate_steps_are_not_part_of_the_answer() {
    let call = json!({"type": "function_call", "id": "f1", "name": "search"});
    let part = json!({"type": "output_text", "text": "42.", "annotations": [{"type": "video_citation"}]});
    let events = [
        created(),
        added(0, "commentary"),
        delta(0, "I look."),
        json!({"type": "response.output_item.added", "output_index": 1, "item": call}),
        json!({"type": "response.function_call_arguments.done", "item_id": "f1", "output_index": 1, "arguments": "{}"}),
        json!({"type": "response.function_call_arguments.done", "item_id": "f1", "output_index": 1}),
        json!({"type": "keepalive", "sequence_number": 7}),
        json!({"type": "keepalive", "sequence_number": "?"}),
        added(2, "final_answer"),
        json!({"type": "response.content_part.added", "item_id": "m2", "content_index": 0, "part": {"text": ""}}),
        delta(2, "4"),
        json!({"type": "response.in_progress", "response": {"id": "r1", "status": "in_progress", "output": []}}),
        delta(2, "2."),
        json!({"type": "response.content_part.done", "item_id": "m2", "content_index": 0, "part": part}),
        json!({"type": "response.completed"}),
    ];
    let mut stream = respond(&events);
    assert_eq!(stream.text_deltas().collect::<Result<Vec<_>, _>>().unwrap(), ["4", "2."]);
    let response = stream.finish().unwrap();
    assert_eq!((response.text().as_str(), response.status), ("42.", Some(ResponseStatus::Completed)));
    let output = serde_json::to_value(response.output.unwrap()).unwrap();
    assert_eq!(output[0]["content"][0]["text"], "I look.");
    assert_eq!(output[1]["arguments"], "{}");
    assert_eq!(output[2]["content"][0]["annotations"][0]["type"], "video_citation");
    assert_eq!(respond(&events).count(), 13, "heartbeats are not returned as events");
}

#[test]
fn events_without_an_index_concern_the_last_item() {
    let bare = |kind: &str, name: &str, value: Value| json!({"type": kind, name: value});
    let events = [
        created(),
        bare("response.output_text.delta", "delta", json!("a")),
        bare("response.output_text.delta", "delta", json!("b")),
        bare("response.output_item.added", "item", json!({"type": "message", "id": "m1"})),
        bare("response.output_text.delta", "delta", json!("c")),
        json!({"type": "response.output_text.delta", "output_index": u64::MAX, "content_index": u64::MAX, "delta": "d"}),
        bare("response.output_text.done", "item_id", Value::Null),
        json!({"type": "response.completed", "response": {"id": "r1"}}),
    ];
    let mut stream = respond(&events);
    assert_eq!(stream.text_deltas().collect::<Result<String, _>>().unwrap(), "abcd");
    assert_eq!(stream.finish().unwrap().text(), "abcd");
}

#[test]
fn a_text_is_complete_only_if_the_response_says_so() {
    let text =
        |status: &str| respond(&[created(), added(0, "final_answer"), delta(0, "half a sen"), ended(status, None)]);
    assert_eq!(text("completed").text().unwrap(), "half a sen");
    assert!(matches!(text("incomplete").text(), Err(Error::Truncated { text }) if text == "half a sen"));
    for status in ["failed", "cancelled"] {
        let e = text(status).text().unwrap_err();
        assert!(matches!(e, Error::Stream { text, .. } if text == "half a sen"), "{status}");
    }
    for status in ["in_progress", "queued"] {
        let e = text(status).text().unwrap_err();
        assert!(e.to_string().contains(&format!("its status is `{status}`")), "{e}");
        assert!(matches!(e, Error::InvalidOutput { text, .. } if text == "half a sen"));
    }
    let response = |status: Option<&str>, reason: &str| {
        let part = json!({"type": "output_text", "text": "half a sen"});
        let output = json!([{"type": "message", "id": "m0", "content": [part]}]);
        let details = json!({"reason": reason});
        let response = json!({"id": "r1", "status": status, "output": output, "incomplete_details": details});
        serde_json::from_value::<ResponseObject>(response).unwrap().complete()
    };
    assert_eq!(response(Some("completed"), "").unwrap(), "half a sen");
    assert!(matches!(response(Some("completed"), "max_output_tokens"), Err(Error::Truncated { .. })));
    let e = response(Some("completed"), "content_filter").unwrap_err();
    assert!(matches!(&e, Error::InvalidOutput { text, .. } if text == "half a sen"), "{e}");
    // The last event of a stream says by its type that the response is complete, unless it contains an error.
    let streamed = |end: Value| respond(&[created(), added(0, "final_answer"), delta(0, "half a sen"), end]).text();
    assert_eq!(streamed(json!({"type": "response.completed"})).unwrap(), "half a sen");
    assert_eq!(streamed(json!({"type": "response.completed", "response": {"id": "r1"}})).unwrap(), "half a sen");
    for error in [json!({"message": "The model is gone."}), json!({"code": "model_gone"})] {
        let e = streamed(json!({"type": "response.completed", "response": {"id": "r1", "error": error}})).unwrap_err();
        assert!(matches!(&e, Error::InvalidOutput { text, .. } if text == "half a sen"), "{e}");
    }
    for end in
        [json!({"type": "response.incomplete"}), json!({"type": "response.incomplete", "response": {"id": "r1"}})]
    {
        assert!(matches!(streamed(end), Err(Error::Truncated { text }) if text == "half a sen"));
    }
    assert!(matches!(response(Some("incomplete"), "max_output_tokens"), Err(Error::Truncated { .. })));
    let e = response(Some("incomplete"), "content_filter").unwrap_err();
    assert!(e.to_string().starts_with("the response is incomplete: `content_filter`"), "{e}");
    assert!(response(None, "").unwrap_err().to_string().contains("it has no status"));
    assert!(matches!(response(Some("failed"), ""), Err(Error::Failed(_))));
}

#[test]
fn a_snapshot_does_not_grow_without_progress() {
    let empty: Vec<Value> = (0..30_000).map(|n| delta(n, "")).collect();
    let end = [ended("completed", Some("42."))];
    let mut stream = respond(&[&[created()], empty.as_slice(), &end].concat());
    assert_eq!(stream.text_deltas().count(), 0);
    assert_eq!(stream.finish().unwrap().output.unwrap().len(), 1);
    let ever_new = |event: fn(usize) -> Value| {
        let events: Vec<Value> = (0..10_002).map(event).collect();
        let events = [&[created()], events.as_slice(), &[ended("completed", None)]].concat();
        respond(&events).finish().unwrap_err().to_string()
    };
    let part =
        |n: usize| json!({"type": "response.content_part.added", "item_id": "m", "content_index": n, "part": {}});
    for e in [ever_new(|n| delta(n, "a")), ever_new(|n| added(n, "final_answer")), ever_new(part)] {
        assert!(e.starts_with("the stream is larger than allowed"), "{e}");
    }
}

/// Reads a stream that fails, and returns the last item as [`fault`] does. Both ways to wait for the end must agree.
fn response_fault(events: &str) -> Error {
    let play = || {
        let body = events.to_string();
        respond_with(Step::Close(
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
                .into_bytes(),
        ))
    };
    let mut stream = play();
    let mut items: Vec<_> = stream.by_ref().collect();
    assert!(stream.next().is_none() && stream.text_deltas().next().is_none(), "the stream has ended");
    let last = items.pop().unwrap().unwrap_err();
    assert!(items.iter().all(Result::is_ok), "{items:?}");
    for e in [play().finish().unwrap_err(), play().text().unwrap_err(), stream.finish().unwrap_err()] {
        assert_eq!(e.to_string(), last.to_string());
    }
    let e = play().text_deltas().last().unwrap().unwrap_err();
    assert_eq!(e.to_string(), last.to_string());
    last
}

#[test]
fn a_response_that_breaks_off_is_an_error_that_has_the_text_so_far() {
    let begun =
        server_sent(&[created(), added(0, "commentary"), delta(0, "Hm. "), added(1, "final_answer"), delta(1, "one ")]);
    let unfinished = server_sent(&[ended("completed", Some("one two"))]);
    for (end, what) in [
        (String::new(), "no end"),
        ("data: [DONE]\n\n".into(), "the mark of an end alone"),
        (unfinished.trim_end().into(), "in an event"),
        (unfinished[..unfinished.len() - 30].into(), "in a line"),
        ("event: keepalive\ndata: {}\n\n".into(), "a heartbeat"),
    ] {
        let e = response_fault(&(begun.clone() + &end));
        assert_eq!(e.to_string(), "the stream broke off before its end (POST /responses)", "{what}");
        assert!(e.is_retryable() && e.is_outcome_unknown(), "{what}");
        let Error::Stream { text, source: Some(source), code: None, .. } = e else { panic!("{what}: {e:?}") };
        assert_eq!(text, "one ", "{what}");
        assert!(matches!(*source, Error::Transport { .. }), "{what}");
    }
    // The recorded sparse stream has no end either. All of its items arrive before the error.
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/min/responses.create_stream.json")).unwrap();
    let sparse = fixture["exchanges"][0]["response"]["body"].as_array().unwrap();
    let items: Vec<_> = respond(&sparse[..sparse.len() - 1]).collect();
    assert_eq!((items.len(), items.iter().filter(|item| item.is_ok()).count()), (12, 11));
    let e = respond(&[json!({"type": "response.completed"})]).finish().unwrap_err();
    assert_eq!(e.to_string(), "the stream ended without a response (POST /responses)");
}

#[test]
fn an_unknown_event_is_kept_and_a_malformed_one_is_an_error() {
    let news = "event: news\ndata: {\"of\": [\"the future\"]}\n\nevent: response.poem\ndata: Roses are\ndata: red\n\n";
    let text = server_sent(&[created()]) + news + &server_sent(&[ended("completed", Some("one"))]);
    let events: Vec<_> =
        respond_with(Step::Answer(answer_of_type(200, "text/event-stream", &text))).map(Result::unwrap).collect();
    let other = |event: &str, data: Value| ResponseStreamEvent::Other { event: event.into(), data };
    assert_eq!(events[1], other("news", json!({"of": ["the future"]})));
    assert_eq!(events[2], other("response.poem", json!("Roses are\nred")));
    assert_eq!(serde_json::to_value(&events[1]).unwrap(), json!({"of": ["the future"]}));
    assert_eq!(events.len(), 4);

    let begun = server_sent(&[created(), delta(0, "one ")]);
    for (event, why) in [
        (r#"{"type":"response.output_text.delta","delta":5}"#, "`delta` of the event is malformed"),
        (r#"{"type":"response.output_text.done","text":["x"]}"#, "`text`: invalid type: sequence"),
        (r#"{"type":"response.completed","response":5}"#, "`response` of the event is malformed"),
        (r#"{"type":"response.completed","response":{"status":"completed"}}"#, "missing field `id`"),
        (r#"{"type":"response.output_item.done","item":{"type":"message"}}"#, "missing field `id`"),
        (r#"{"type":"response.content_part.done","part":"x"}"#, "`part` of the event is malformed"),
        (r#"{"type":"response.completed","response":{"id":"r1"}"#, "the response is truncated"),
        (r#"["response.completed"]"#, "this is not an event"),
        (r#"{"no":"type"}"#, "this is not an event"),
        ("<html>", "the response is not JSON"),
    ] {
        let e = response_fault(&format!("{begun}data: {event}\n\n{}", server_sent(&[delta(0, "two")])));
        assert_eq!(e.to_string(), "the stream contains a line that is not an event (POST /responses)", "{event}");
        let Error::Stream { text, source: Some(source), .. } = e else { panic!("{event}: {e:?}") };
        assert_eq!(text, "one ");
        assert!(source.to_string().contains(why), "{event}: {source}");
    }
    // The name of the event is enough. A malformed value further inside affects only itself.
    let e = response_fault(&format!("{begun}event: response.completed\ndata: [1, {{\"id\":\"r1\"}}]\n\n"));
    assert!(matches!(e, Error::Stream { source: Some(source), .. } if source.to_string().contains("not an object")));
    let response = json!({"id": 7, "status": "completed", "created_at": "yesterday", "usage": 5, "output": [{"id": "m0",
        "type": "message", "content": [{"text": "one", "annotations": "none"}]}]});
    let completed = json!({"type": "response.completed", "sequence_number": "?", "response": response});
    let response = respond(&[created(), completed]).finish().unwrap();
    assert_eq!((response.id.as_str(), response.text().as_str(), response.usage), ("7", "one", None));
}

#[test]
fn a_response_that_failed_is_an_error_with_the_reason() {
    let failed = |response: Value| json!({"type": "response.failed", "response": response});
    let reason = json!({"code": "overloaded", "message": format!("Too much for {API_KEY}.")});
    for (event, message, code) in [
        (failed(json!({"id": "r1", "status": "failed", "error": reason})), "Too much for ***.", Some("overloaded")),
        (json!({"type": "response.failed", "error": reason}), "Too much for ***.", Some("overloaded")),
        (failed(json!({"id": "r1", "error": "Too much."})), "Too much.", None),
        (failed(json!({"id": "r1"})), "the response failed, and the platform gave no reason", None),
        (json!({"type": "error", "error": reason}), "Too much for ***.", Some("overloaded")),
        (json!({"type": "error", "code": "c", "message": "No."}), "No.", Some("c")),
    ] {
        let e = response_fault(&server_sent(&[created(), delta(0, "one "), event.clone(), delta(0, "two")]));
        assert_eq!((e.to_string(), e.code()), (format!("{message} (POST /responses)"), code), "{event}");
        assert!(matches!(&e, Error::Stream { text, source: None, .. } if text == "one "), "{e:?}");
    }
    let mut stream =
        respond(&[created(), failed(json!({"id": "r1", "status": "failed", "error": {"message": "No."}}))]);
    assert!(stream.nth(1).unwrap().is_ok_and(|event| matches!(event, ResponseStreamEvent::Failed(_))));
    assert_eq!(stream.snapshot().status, Some(ResponseStatus::Failed));
    assert_eq!(stream.snapshot().error.as_ref().unwrap().message.as_deref(), Some("No."));
    assert_eq!(
        stream.finish().unwrap_err().to_string(),
        "No. (POST /responses)",
        "`finish` returns an error that was not returned before"
    );
}

#[test]
fn a_response_that_was_truncated_says_so() {
    let mut incomplete = ended("incomplete", Some("one"));
    for kind in ["response.completed", "response.incomplete"] {
        incomplete["type"] = kind.into();
        assert_eq!(
            respond(&[created(), incomplete.clone()]).finish().unwrap().status,
            Some(ResponseStatus::Incomplete)
        );
        let e = respond(&[created(), incomplete.clone()]).text().unwrap_err();
        assert!(matches!(e, Error::Truncated { text } if text == "one"), "{kind}");
    }
}

#[test]
fn dropping_a_response_closes_the_connection_and_its_size_has_a_limit() {
    let endless = |kind: &'static str, closed: Sender<()>| {
        Step::Live(Box::new(move |stream| {
            begin(stream, "text/event-stream")?;
            let event =
                format!("data: {{\"type\":\"{kind}\",\"delta\":\"0123456789\",\"item\":{{\"id\":\"m0\"}}}}\n\n");
            while chunk(stream, &event).is_ok() {}
            closed.send(()).map_err(io::Error::other)
        }))
    };
    let (closed, wait) = channel();
    let mut stream = respond_with(endless("response.output_text.delta", closed.clone()));
    assert!(stream.next().unwrap().is_ok());
    drop(stream);
    wait.recv_timeout(LONG).expect("the server sees that nobody reads");
    for kind in ["response.output_text.delta", "response.output_item.added"] {
        let server = Server::start([endless(kind, closed.clone())]);
        let client = TwelveLabs::builder().api_key(API_KEY).base_url(server.url()).max_response_size(10_000);
        let stream = client.build().unwrap().responses().create_stream("ks_1", "Who?").send().unwrap();
        let e = stream.finish().unwrap_err();
        assert_eq!(e.to_string(), "the stream is larger than allowed (POST /responses)");
    }
}

#[test]
fn a_response_can_be_canceled_while_it_is_silent() {
    let server = Server::start([Step::Live(Box::new(|stream| {
        begin(stream, "text/event-stream")?;
        chunk(stream, &server_sent(&[created(), delta(0, "one ")]))?;
        io::Read::read(stream, &mut [0]).map(drop)
    }))]);
    let (client, _) = client(&server);
    let cancel = CancelHandle::new();
    let options = RequestOptions::new().cancel_handle(&cancel);
    let mut stream = client.responses().create_stream("ks_1", "Who?").request_options(options).send().unwrap();
    assert!(stream.nth(1).unwrap().is_ok());
    let canceler = thread::spawn(move || cancel.cancel());
    let e = stream.finish().unwrap_err();
    assert!(
        e.is_canceled()
            && !e.is_retryable()
            && e.to_string() == "canceled before the end of the stream (POST /responses)",
        "{e:?}"
    );
    assert!(matches!(e, Error::Stream { text, .. } if text == "one "));
    canceler.join().unwrap();
}

#[test]
fn a_response_in_a_type_of_the_callers() {
    let respond = |response: Value| {
        let server = Server::start([Step::Answer(answer(200, &response))]);
        let (client, _) = client(&server);
        let ask = client.responses().create("ks_1", "Summarise.").include([ResponseInclude::IntermediateOutputs]);
        let summary = ask.json::<Summary>(json!({"type": "object"}));
        let format = json!({"type": "json_schema", "name": "answer", "schema": {"type": "object"}});
        assert_eq!(server.finish()[0].json()["text"], json!({"format": format}));
        summary
    };
    let with = |status: &str, text: &str| {
        let content = json!([{"type": "output_text", "text": text}]);
        let output = json!([{"id": "m0", "type": "message", "phase": "commentary", "content": [{"text": "Hm."}]},
            {"id": "m1", "type": "message", "content": content}]);
        json!({"id": "r1", "status": status, "output": output, "error": {"code": "c", "message": "Why."}})
    };
    let summary = respond(with("completed", r#"{"title":"a","times":[1]}"#)).unwrap();
    assert_eq!(summary, Summary { title: "a".into(), times: vec![1.0] });
    assert!(matches!(respond(with("completed", "{}")), Err(Error::InvalidOutput { text, .. }) if text == "{}"));
    assert!(matches!(respond(with("incomplete", "{\"ti")), Err(Error::Truncated { text }) if text == "{\"ti"));
    for status in ["failed", "cancelled", "canceled"] {
        let e = respond(with(status, r#"{"title":"a","times":[1]}"#)).unwrap_err();
        assert_eq!((e.to_string(), e.code()), (format!("response r1 ended as `{status}`: Why."), Some("c")));
    }
    for status in ["in_progress", "queued"] {
        let e = respond(with(status, r#"{"title":"a","times":[1]}"#)).unwrap_err();
        assert!(e.to_string().contains(&format!("its status is `{status}`")), "{e}");
    }
    let server = Server::start([]);
    let (client, _) = client(&server);
    let e = client.responses().create("ks_1", "Who?").json::<Summary>(5).unwrap_err();
    assert!(e.to_string().starts_with("`schema` must be a JSON object"), "{e}");
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Summary {
    title: String,
    times: Vec<f64>,
}

/// Returns the result of `json` for a text.
fn typed(text: &str, finish_reason: &str) -> (Result<Summary, Error>, Value) {
    let server = Server::start([Step::Answer(answer(200, &json!({"data": text, "finish_reason": finish_reason})))]);
    let (client, _) = client(&server);
    let summary = client.analyze().prompt("Summarise.").json(json!({"type": "object"}));
    (summary, server.finish().remove(0).json())
}

#[test]
fn a_text_is_complete_or_an_error() {
    let answers = [
        json!({"data": "All of it.", "finish_reason": "stop"}),
        json!({"data": "All of"}),
        json!({"data": "All of", "finish_reason": "content_filter"}),
        json!({"data": "All o", "finish_reason": "length"}),
        json!({"data": " ", "finish_reason": "stop"}),
        json!({"finish_reason": "stop"}),
    ];
    let server = Server::start(answers.clone().map(|body| Step::Answer(answer(200, &body))));
    let (client, _) = client(&server);
    let mut at_once = answers.clone().map(|_| client.analyze().send().unwrap().complete()).into_iter();
    let mut of_tasks =
        answers.map(|body| serde_json::from_value::<AnalyzeTaskResult>(body).unwrap().complete()).into_iter();
    for texts in [&mut at_once, &mut of_tasks] {
        assert_eq!(texts.next().unwrap().unwrap(), "All of it.");
        for why in ["it has no finish reason", "its finish reason is `content_filter`"] {
            let e = texts.next().unwrap().unwrap_err();
            assert!(e.to_string().contains(&format!("does not say that it is complete: {why}")), "{e}");
            assert!(matches!(e, Error::InvalidOutput { text, .. } if text == "All of"));
        }
        assert!(matches!(texts.next().unwrap(), Err(Error::Truncated { text }) if text == "All o"));
        for text in texts {
            assert_eq!(text.unwrap_err().to_string(), "the answer has no text");
        }
    }
}

#[test]
fn the_result_of_a_task_is_decoded_only_if_it_is_complete() {
    let results = [
        json!({"data": "```json\n[1, 2]\n```", "finish_reason": "stop"}),
        json!({"data": "[1, 2]", "finish_reason": "length"}),
        json!({"data": "[1, 2]"}),
        json!({"data": "[1, \"2\"]", "finish_reason": "stop"}),
        Value::Null,
    ];
    let tasks = results.map(|result| json!({"task_id": "t", "status": "ready", "result": result}));
    let server = Server::start(tasks.map(|task| Step::Answer(answer(200, &task))));
    let (client, _) = client(&server);
    let read = || {
        let task = client.analyze_async().tasks().wait_for_done("t").send().unwrap();
        task.result.unwrap_or_default().json::<Vec<u8>>()
    };
    assert_eq!(read().unwrap(), [1, 2]);
    assert!(matches!(read(), Err(Error::Truncated { text }) if text == "[1, 2]"));
    for why in ["it has no finish reason", "does not fit the type: `[1]`", "it has no finish reason"] {
        let e = read().unwrap_err();
        assert!(matches!(&e, Error::InvalidOutput { .. }) && e.to_string().contains(why), "{e}");
    }
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
        (r#"{"title":"a","times":[1,"?"]}"#, "the answer does not fit the type: `times[1]`: invalid type"),
        (r#"{"title":"a"}"#, "the answer does not fit the type: missing field `times`"),
        (r#"{"title":"a","times":[]} and more"#, "the answer is not only JSON"),
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
    assert!(e.to_string().starts_with("the answer was cut off at the token limit after 24 characters"), "{e}");
    assert!(!e.is_retryable() && matches!(e, Error::Truncated { text } if text == cut));

    let server = Server::start([]);
    let (client, _) = client(&server);
    let e = client.analyze().json::<Summary>("object").unwrap_err();
    assert!(e.to_string().starts_with("`schema` must be a JSON object"), "{e}");
}

#[test]
fn an_unknown_event_that_is_nested_too_deeply_does_not_end_a_stream() {
    for depth in [100, 200, 50_000] {
        let deep = format!("{}7{}", "[".repeat(depth), "]".repeat(depth));
        let event = format!(r#"{{"event_type":"progress","steps":{deep}}}"#);
        let stream = analyze(Step::Answer(lines(&[START, ONE, &event, TWO, END])));
        let events: Vec<AnalyzeEvent> = stream.collect::<Result<_, _>>().unwrap();
        let [_, _, AnalyzeEvent::Other(kept), _, AnalyzeEvent::StreamEnd(_)] = &events[..] else { panic!("{depth}") };
        assert_eq!(kept.as_str().map_or(100, |text| if text == event { depth } else { 0 }), depth);
    }
}
