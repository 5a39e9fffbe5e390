//! Conversations about a knowledge store: which session each question is asked in.

use std::io::Write;

use serde::Deserialize;
use serde_json::{Value, json};
use twelvelabs::responses::{Conversation, ResponseInclude, ResponseSelection, ResponseStatus};
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, RequestOptions, Result, TwelveLabs};

use crate::server::{Server, Step, answer, answer_of_type, client};

/// Returns an answer in a session, with a status and a text.
fn said(session_id: &str, status: &str, text: &str) -> Value {
    json!({
        "id": "resp_1", "type": "response", "status": status, "session_id": session_id,
        "output": [{
            "type": "message", "id": "msg_1", "status": status, "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        }],
    })
}

/// Returns the answer as a stream that ends with this event.
fn streamed(session_id: &str, status: &str, end: &str) -> Vec<u8> {
    let response = said(session_id, status, "Yes.");
    let events = [
        json!({"type": "response.created", "response": said(session_id, "in_progress", "")}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "content_index": 0, "delta": "Yes."}),
        json!({"type": end, "response": response}),
    ];
    let text: String =
        events.iter().map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())).collect();
    answer_of_type(200, "text/event-stream", &text)
}

/// Returns the session of each request, in the order of arrival.
fn sessions(server: &Server) -> Vec<Value> {
    server.received().iter().map(|request| request.json()["session_id"].clone()).collect()
}

fn session(conversation: &Conversation) -> Option<String> {
    conversation.session_id()
}

#[derive(Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
struct Names {
    /// Full names.
    names: Vec<String>,
}

#[test]
fn every_kind_of_question_continues_the_session() -> Result<()> {
    let server = Server::start([
        Step::Answer(answer(200, &said("s1", "completed", "Ada."))),
        Step::Answer(answer(200, &said("s1", "completed", r#"{"names":["Ada"]}"#))),
        Step::Answer(answer(200, &said("s1", "completed", "no JSON"))),
        Step::Answer(streamed("s1", "completed", "response.completed")),
        Step::Answer(answer(200, &said("s1", "incomplete", "And th"))),
        Step::Answer(answer(200, &said("s2", "completed", "Bea."))),
        Step::Answer(answer(200, &said("s2", "completed", "Cleo."))),
    ]);
    let (client, _) = client(&server);
    let conversation = client.responses().conversation("ks_1").instructions("Be brief.");
    assert_eq!(session(&conversation), None);
    assert_eq!(conversation.ask("Who scores?").send()?.text(), "Ada.");
    let schema = json!({"type": "object"});
    let names: Names = conversation.ask("Who?").json(&schema)?;
    assert_eq!(names.names, ["Ada"]);
    let e = conversation.ask("Who?").json::<Names>(&schema).unwrap_err();
    assert!(matches!(e, Error::InvalidOutput { .. }), "{e:?}");
    assert_eq!(conversation.ask("Really?").instructions("Yes or no.").stream()?.text()?, "Yes.");
    let truncated = conversation.ask("And then?").send()?;
    assert_eq!(truncated.status, Some(ResponseStatus::Incomplete));
    let options = RequestOptions::new().additional_header("x-test", "1");
    let ask = conversation.ask("And then?").selections([ResponseSelection::item("ksi_1")]);
    ask.include([ResponseInclude::from("more")]).request_options(options).send()?;
    assert_eq!(session(&conversation).as_deref(), Some("s2"), "the session that the platform returned is continued");
    conversation.clone().ask("And then?").send()?;

    let s = |id: &str| Value::from(id);
    assert_eq!(sessions(&server), [Value::Null, s("s1"), s("s1"), s("s1"), s("s1"), s("s1"), s("s2")]);
    let requests: Vec<Value> = server.received().iter().map(|request| request.json()).collect();
    let instructions: Vec<_> = requests.iter().map(|body| body["instructions"].as_str().unwrap()).collect();
    assert_eq!(instructions[..4], ["Be brief.", "Be brief.", "Be brief.", "Yes or no."]);
    assert_eq!(requests.iter().map(|body| body["stream"] == true).collect::<Vec<_>>()[2..5], [false, true, false]);
    assert_eq!((&requests[1]["text"]["format"]["schema"], &requests[5]["selections"][0]["id"]), (&schema, &s("ksi_1")));
    assert_eq!((&requests[5]["include"], server.received()[5].header("x-test")), (&json!(["more"]), Some("1")));
    Ok(())
}

#[test]
fn an_answer_that_failed_leaves_the_session_as_it_was() -> Result<()> {
    let failing = [
        Step::Answer(answer(200, &said("s9", "failed", ""))),
        Step::Answer(answer(200, &said("s9", "cancelled", ""))),
        Step::Answer(answer(400, &json!({"code": "parameter_invalid", "message": "No such session."}))),
        Step::Answer(streamed("s9", "failed", "response.failed")),
        Step::Answer(streamed("s9", "failed", "response.completed")),
    ];
    let first = [Step::Answer(answer(200, &said("s1", "completed", "Ada.")))];
    let server = Server::start(first.into_iter().chain(failing));
    let (client, _) = client(&server);
    let conversation = client.responses().conversation("ks_1");
    conversation.ask("Who?").send()?;
    for _ in 0..2 {
        conversation.ask("Fail.").send()?;
        assert_eq!(session(&conversation).as_deref(), Some("s1"));
    }
    assert!(conversation.ask("Fail.").send().is_err());
    for _ in 0..2 {
        assert!(conversation.ask("Fail.").stream()?.text().is_err());
        assert_eq!(session(&conversation).as_deref(), Some("s1"));
    }
    Ok(())
}

#[test]
fn a_stream_that_does_not_reach_its_end_leaves_the_session_as_it_was() -> Result<()> {
    let begun = || {
        Step::Live(Box::new(|stream| {
            let whole = streamed("s9", "completed", "response.completed");
            let text = String::from_utf8_lossy(&whole).into_owned();
            let end = text.find("event: response.completed").unwrap_or_default();
            stream.write_all(&text.as_bytes()[..end])
        }))
    };
    let server = Server::start([begun(), begun(), Step::Answer(streamed("s1", "completed", "response.completed"))]);
    let (client, _) = client(&server);
    let conversation = client.responses().conversation("ks_1");
    assert!(conversation.ask("Who?").stream()?.finish().is_err());
    let mut dropped = conversation.ask("Who?").stream()?;
    assert!(dropped.text_deltas().next().unwrap().is_ok());
    drop(dropped);
    assert_eq!(session(&conversation), None);
    let mut stream = conversation.ask("Who?").stream()?;
    let text: String = stream.text_deltas().collect::<Result<_>>()?;
    assert_eq!(
        (text.as_str(), session(&conversation).as_deref()),
        ("Yes.", Some("s1")),
        "a stream that is read to its end keeps the session"
    );
    assert_eq!(sessions(&server), [Value::Null, Value::Null, Value::Null]);
    Ok(())
}

#[test]
fn a_conversation_is_resumed_against_the_stand_in() -> Result<()> {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build()?;
    let store = client.knowledge_stores().create("Holidays").send()?;
    let conversation = client.responses().conversation(&store);
    conversation.ask("Who is in the videos?").send()?;
    let id = session(&conversation).unwrap();

    let later = client.responses().conversation(&store).resume(&id);
    let text = later.ask("And where?").send()?.text();
    assert!(text.contains("Before that, you asked: Who is in the videos?"), "{text}");
    assert_eq!(session(&later).as_deref(), Some(id.as_str()));
    let e = client.responses().conversation(&store).resume("sess_0").ask("Who?").send().unwrap_err();
    assert_eq!(e.code(), Some("parameter_invalid"));
    Ok(())
}

#[cfg(feature = "schemars")]
#[test]
fn answers_in_a_type() -> Result<()> {
    use twelvelabs::responses::TextParamFormat;

    let yes = r#"{"names":["Ada"]}"#;
    let server = Server::start((0..2).map(|_| Step::Answer(answer(200, &said("s1", "completed", yes)))));
    let (client, _) = client(&server);
    let conversation = client.responses().conversation("ks_1");
    let names: Names = conversation.ask("Who?").json_as()?;
    let format = TextParamFormat::json_schema_of::<Names>();
    let same: Names = client.responses().create("ks_1", "Who?").text(format).send()?.json()?;
    assert_eq!(names, same);
    let formats: Vec<Value> =
        server.received().iter().map(|request| request.json()["text"]["format"].clone()).collect();
    assert_eq!(formats[0], formats[1]);
    assert_eq!((&formats[0]["name"], &formats[0]["type"]), (&json!("answer"), &json!("json_schema")));
    assert_eq!(formats[0]["schema"]["properties"]["names"]["description"], "Full names.");
    Ok(())
}
