//! Calls of `responses`.

use serde_json::{Value, json};
use twelvelabs::TwelveLabs;
use twelvelabs::responses::{
    ResponseInclude, ResponseInput, ResponseInputItem, ResponsePhase, ResponseSelection, TextParam, TextParamFormat,
};

use super::analyze::stream;
use crate::server::{Received, Server, Step, answer, answer_of_type, client};
use crate::wire::{Row, one, same, server_sent_events, to_json};

/// Makes a call with the arguments of a fixture.
macro_rules! call {
    ($method:ident, $client:expr, $args:expr) => {{
        let input: Vec<ResponseInputItem> = $args.value("input");
        $client
            .responses()
            .$method($args.text("knowledge_store_id"), input)
            .when_some($args.get("session_id"), |call, value: String| call.session_id(value))
            .when_some($args.get("instructions"), |call, value: String| call.instructions(value))
            .when_some($args.get("include"), |call, value: Vec<ResponseInclude>| call.include(value))
            .when_some($args.get("selections"), |call, value: Vec<ResponseSelection>| call.selections(value))
            .when_some($args.get("text"), |call, value: TextParam| call.text(value))
            .send()
    }};
}

pub const ROWS: &[Row] = &[
    Row::new("responses.create", |client, args| one(call!(create, client, args))).id("id"),
    Row::new("responses.create_stream", |client, args| stream(call!(create_stream, client, args))),
];

/// Makes a call that receives this answer, and returns its only request.
fn request(step: Vec<u8>, call: impl FnOnce(&TwelveLabs)) -> Received {
    let server = Server::start([Step::Answer(step)]);
    let (client, _) = client(&server);
    call(&client);
    server.finish().remove(0)
}

macro_rules! all_options {
    ($call:expr) => {
        $call
            .session_id("sess_1")
            .instructions("Be brief.")
            .include([ResponseInclude::IntermediateOutputs])
            .selections([ResponseSelection::item("ksi_1"), ResponseSelection::collection("ksic_2")])
            .text(
                TextParamFormat::json_schema("summary", json!({"type": "object"}))
                    .description("What it is about.")
                    .strict(true),
            )
    };
}

fn all_options_json(stream: bool) -> Value {
    json!({
        "knowledge_store_id": "ks_1",
        "input": [{"type": "message", "role": "user", "content": "Compare {{sel:0}} with {{sel:1}}."}],
        "session_id": "sess_1",
        "instructions": "Be brief.",
        "include": ["intermediate_outputs"],
        "selections": [{"kind": "item", "id": "ksi_1"}, {"kind": "collection", "id": "ksic_2"}],
        "text": {"format": {
            "type": "json_schema",
            "name": "summary",
            "description": "What it is about.",
            "schema": {"type": "object"},
            "strict": true,
        }},
        "stream": stream,
    })
}

#[test]
fn every_option_of_a_response() {
    const QUESTION: &str = "Compare {{sel:0}} with {{sel:1}}.";
    let received = request(answer(200, &json!({"id": "r1"})), |client| {
        all_options!(client.responses().create("ks_1", QUESTION)).send().unwrap();
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/responses"));
    assert_eq!(received.json(), all_options_json(false));
    let events = server_sent_events(&[json!({"type": "response.completed", "response": {"id": "r1"}})]);
    let received = request(answer_of_type(200, "text/event-stream", &events), |client| {
        let call = all_options!(client.responses().create_stream("ks_1", vec![ResponseInputItem::user(QUESTION)]));
        call.send().unwrap().finish().unwrap();
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/responses"));
    assert_eq!(received.json(), all_options_json(true));
    assert_eq!(received.header("accept"), Some("text/event-stream"));
    assert_eq!(received.header("accept-encoding"), Some("identity"), "a compressed stream would arrive late");
}

#[test]
fn a_question_can_be_a_text_or_items() {
    let question = String::from("Who?");
    let inputs = [
        (&question).into(),
        question.clone().into(),
        ResponseInputItem::user("Who?").into(),
        [ResponseInputItem::new("message", "user", "Who?")].into(),
    ];
    for input in inputs {
        let input: ResponseInput = input;
        assert_eq!(to_json(&input), json!([{"type": "message", "role": "user", "content": "Who?"}]));
    }
    let text = request(answer(200, &json!({"id": "r1"})), |client| {
        client.responses().create("ks_1", "Who?").text(TextParamFormat::text()).send().unwrap();
    });
    assert_eq!(text.json()["text"], json!({"format": {"type": "text"}}));
    let server = Server::start([]);
    let (client, _) = client(&server);
    let e = client.responses().create("ks_1", []).send().unwrap_err();
    assert!(e.to_string().starts_with("`input` is empty"), "{e}");
}

#[test]
fn nothing_of_a_response_is_lost_and_its_text_is_the_answer() {
    let response = json!({
        "id": "r1",
        "type": "response",
        "object": "response",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "error": {"code": "c", "message": "Why."},
        "session_id": "sess_1",
        "knowledge_store_id": "ks_1",
        "created_at": "2026-07-11T03:13:57.5Z",
        "usage": {"input_tokens": 12, "output_tokens": 3},
        "output": [
            {"type": "message", "id": "m0", "status": "completed", "role": "assistant", "phase": "commentary",
                "content": [{"type": "output_text", "text": "I look. ", "annotations": []}]},
            {"type": "function_call", "id": "f1", "status": "completed", "name": "search", "call_id": "call_1",
                "arguments": "{\"query\":\"dog\"}"},
            {"type": "function_call_output", "id": "o1", "status": "completed", "call_id": "call_1", "output": "[]"},
            {"type": "message", "id": "m1", "status": "completed", "role": "assistant", "phase": "pondering",
                "content": [{"type": "output_text", "text": "Hm. "}]},
            {"type": "verse", "id": "v1", "content": [{"type": "output_text", "text": "Roses. "}]},
            {"type": "message", "id": "m2", "status": "incomplete", "role": "assistant", "phase": "final_answer",
                "content": [
                    {"type": "output_text", "text": "À Lisbonne [1]", "annotations": [{
                        "type": "video_citation", "start_index": 11, "end_index": 13, "item_id": "ksi_1",
                        "start_sec": 1.5, "end_sec": 9.0, "title": "Lisbon",
                        "thumbnail_url": "https://example.com/a.jpg?X-Signature=s3cret",
                        "hls_url": "https://example.com/a.m3u8?X-Signature=s3cret",
                    }]},
                    {"type": "output_text", "text": ", on a beach", "annotations": [
                        {"type": "image_citation", "start_index": 0, "end_index": 0, "item_id": "ksi_2"},
                        {"type": "collection_citation", "start_index": 0, "end_index": 0, "collection_id": "ksic_2"},
                    ]},
                ]},
        ],
    });
    let server = Server::start([Step::Answer(answer(200, &response))]);
    let (client, _) = client(&server);
    let decoded = client.responses().create("ks_1", "Where?").send().unwrap();
    same(&response, &to_json(&decoded), "create");
    assert_eq!(decoded.text(), "À Lisbonne [1], on a beach");
    assert!(!format!("{decoded:?}").contains("s3cret") && format!("{decoded:?}").contains("a.m3u8"), "{decoded:?}");
    let output = decoded.output.unwrap();
    assert_eq!(output[0].phase, Some(ResponsePhase::Commentary));
    let part = &output[5].content.as_ref().unwrap()[0];
    let text = part.text.as_deref().unwrap();
    assert_eq!(&text[part.annotations.as_ref().unwrap()[0].range_in(text).unwrap()], "[1]");
}
