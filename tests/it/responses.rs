//! Responses, in conversations and streamed, against the stand-in.

use serde_json::json;
use twelvelabs::responses::{
    ResponseInclude, ResponseOutputItemType, ResponseSelection, ResponseStatus, ResponseStreamEvent,
};
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, Result, TwelveLabs};

/// Creates a stand-in with a knowledge store.
fn begin() -> Result<(StandIn, TwelveLabs, String)> {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build()?;
    let store = client.knowledge_stores().create("Holidays").send()?.id;
    Ok((stand_in, client, store))
}

#[test]
fn a_conversation_continues_its_session() -> Result<()> {
    let (_stand_in, client, store) = begin()?;
    let responses = client.responses();
    let first = responses.create(&store, "Who is in the videos?").send()?;
    assert_eq!(first.status, Some(ResponseStatus::Completed));
    assert!(first.text().starts_with("You asked: Who is in the videos?\nThe stand-in"), "{}", first.text());
    let session_id = first.session_id.unwrap();

    let mut stream = responses.create_stream(&store, "And {{sel:0}}?").session_id(&session_id);
    stream = stream.selections([ResponseSelection::item("ksi_7")]);
    let mut stream = stream.send()?;
    let text: String = stream.text_deltas().collect::<Result<_>>()?;
    assert!(text.starts_with("You asked: And ksi_7?\nBefore that, you asked: Who is in the videos?\n"), "{text}");
    let second = stream.finish()?;
    assert_eq!((second.text(), second.session_id.as_deref()), (text, Some(session_id.as_str())));

    let other = responses.create(&store, "And now?").send()?;
    assert_ne!(other.session_id.as_deref(), Some(session_id.as_str()));
    assert!(!other.text().contains("Before that"), "{}", other.text());
    let other_store = client.knowledge_stores().create("Matches").send()?.id;
    for refused in [
        responses.create(&other_store, "Another store.").session_id(&session_id),
        responses.create(&store, "Another session.").session_id("sess_0"),
        responses.create(&store, ""),
        responses.create(&store, "What is {{sel:1}}?").selections([ResponseSelection::item("ksi_7")]),
    ] {
        assert_eq!(refused.send().unwrap_err().code(), Some("parameter_invalid"));
    }
    let e = responses.create_stream("ks_0", "Which store?").send().unwrap_err();
    assert_eq!(
        (e.status(), e.code()),
        (Some(404), Some("resource_not_exist")),
        "the error of a refused stream contains the reason"
    );
    Ok(())
}

#[test]
fn a_whole_response_and_a_streamed_response_are_equal() -> Result<()> {
    let (_stand_in, client, store) = begin()?;
    let question = "Say something.";
    let include = [ResponseInclude::IntermediateOutputs];
    let at_once = client.responses().create(&store, question).include(include.clone()).send()?;
    let stream = client.responses().create_stream(&store, question).include(include.clone()).send()?;
    let events = stream.collect::<Result<Vec<_>>>()?;
    assert!(!events.iter().any(|event| matches!(event, ResponseStreamEvent::Other { .. })), "{events:?}");

    let mut stream = client.responses().create_stream(&store, question).include(include).send()?;
    let text: String = stream.text_deltas().collect::<Result<_>>()?;
    assert_eq!(text, at_once.text());
    let output = at_once.output.unwrap_or_default();
    let kinds: Vec<_> = output.iter().map(|item| item.kind.clone().unwrap()).collect();
    use ResponseOutputItemType::{FunctionCall, FunctionCallOutput, Message};
    assert_eq!(kinds, [Message, FunctionCall, FunctionCallOutput, Message]);
    let part = &output[3].content.as_ref().unwrap()[0];
    let citation = &part.annotations.as_ref().unwrap()[0];
    assert_eq!(citation.range_in(&text).map(|range| &text[range]), Some("[1]"));
    let in_pieces = stream.finish()?.output.unwrap_or_default();
    assert_eq!(in_pieces.len(), output.len());
    assert!(in_pieces.iter().zip(&output).all(|(one, other)| one.content == other.content));
    Ok(())
}

#[test]
fn failed_and_truncated_responses() -> Result<()> {
    let (_stand_in, client, store) = begin()?;
    let responses = client.responses();
    let e = responses.create_stream(&store, "Once more, please fail.").send()?.text().unwrap_err();
    assert_eq!(
        (e.to_string().as_str(), e.code()),
        ("The question asked for a failure. (POST /responses)", Some("internal_error"))
    );
    let e = responses.create_stream(&store, "Tell it at length.").send()?.text().unwrap_err();
    assert!(matches!(e, Error::Truncated { text } if text.starts_with("You asked: Tell it")));
    let schema = json!({"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}});
    let names: serde_json::Value = responses.create(&store, "Who?").json(&schema)?;
    assert_eq!(names, json!({"names": ["a dog on the beach"]}));
    assert!(matches!(responses.create(&store, "please fail").json::<()>(schema), Err(Error::Failed(_))));
    Ok(())
}
