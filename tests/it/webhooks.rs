//! Webhook deliveries, checked against signatures from another implementation.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use twelvelabs::Error;
use twelvelabs::analyze_async::AnalyzeTaskStatus;
use twelvelabs::tasks::VideoIndexingTaskStatus;
use twelvelabs::time::format_description::well_known::Rfc3339;
use twelvelabs::time::{OffsetDateTime, PrimitiveDateTime};
use twelvelabs::webhooks::{Webhook, WebhookError, WebhookEvent, WebhookEventData};

// The signatures are printed by
//
//     import hashlib, hmac
//     NEW, OLD = b"whsec_new", "whsec_\u00e4lter".encode()
//     READY = b'{"id":"whe_1","created_at":"2022-08-01T17:22:18.372553+09:00","type":"analyze.task.ready","data":{"id":"68f1"}}'
//     for secret, t, body in [
//         (NEW, b"1659342128", READY),
//         (OLD, b"1659342128", READY),
//         (b"k" * 100, b"1659342128", READY),
//         (b"", b"1659342128", READY),
//         (b" \n", b"1659342128", READY),
//         (NEW, b"1659342128", b"\xff\x00\xfe{}"),
//         (NEW, b"1659342128", b""),
//         (NEW, b"01659342128", READY),
//         (NEW, b"18446744073709551615", READY),
//         (NEW, b"9" * 40, READY),
//     ]:
//         print(hmac.new(secret, t + b"." + body, hashlib.sha256).hexdigest())
const NEW: &str = "whsec_new";
const OLD: &str = "whsec_älter";
const READY: &str = r#"{"id":"whe_1","created_at":"2022-08-01T17:22:18.372553+09:00","type":"analyze.task.ready","data":{"id":"68f1"}}"#;
const BY_NEW: &str = "22fbd12985c8d29d72780b39660ef7f09a695960befcb8e54925965382be8e0d";
const BY_OLD: &str = "ae9111352efa82b60bf5bad38dd0bd9ea464d07ee1a23ca6869c6184379c369c";
const BY_LONG: &str = "bb72d5a47a3d9b221c57f2fa9afb4237a271aa14bfa67f162ac4d33125c67331";
const BY_NOTHING: &str = "9672ed74fa95e7ca4add201c23dd9612295e327c49c024dd712e72edd6b177ad";
const BY_SPACE: &str = "d67ab2f4f4083066ea51f4e7f8120ef34b085b69c598dce0f31bacccfe5ddb8d";
const OF_BYTES: &str = "f596362e39b657ab0160b4b13e4a9b56f2024ef2d6531863962bbd6f37c61f66";
const OF_NOTHING: &str = "b997183a44ca3bf23861273d79789144d137b60f48e04fb9f2dc0c1609bf6936";
const WITH_ZERO: &str = "8ce814144760a0c6de144d81403b522ddb1b7627403f18ff8f0208ca7827d6c8";
const AT_THE_LAST: &str = "f24d0c377f1752b41145c21b6bc4a8887061fb0950f13c1b26458f3a60993f8e";
const AFTER_THE_LAST: &str = "16bf1b3d2111983ca35ef50c9cc5aa6c8b00279af7e123555ec5b668a4c9b71c";

/// The `t` of most signatures.
const T: &str = "1659342128";

fn signed_at() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(T.parse().unwrap()).unwrap()
}

fn time(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn header(signatures: &[&str]) -> String {
    format!("t={T}{}", signatures.iter().map(|v1| format!(",v1={v1}")).collect::<String>())
}

/// Returns the id of the event, for a body that arrives at the time of its signature.
fn verify(webhook: &Webhook, body: impl AsRef<[u8]>, header: &str) -> Result<String, WebhookError> {
    webhook.verify_at(body.as_ref(), header, signed_at()).map(|event| event.id)
}

/// Returns the event in a body with a valid signature.
fn read(body: impl AsRef<[u8]>) -> Result<WebhookEvent, WebhookError> {
    let webhook = Webhook::new(NEW);
    webhook.verify(body.as_ref(), webhook.sign(body.as_ref()).as_str())
}

fn event(kind: &str, data: Value) -> WebhookEvent {
    let body = json!({"id": "whe_1", "created_at": "2026-01-02T03:04:05Z", "type": kind, "data": data});
    read(body.to_string()).unwrap()
}

#[test]
fn signatures_of_another_implementation_match() {
    for (secret, signature) in [(NEW, BY_NEW), (OLD, BY_OLD), (&"k".repeat(100), BY_LONG)] {
        let webhook = Webhook::new(secret);
        assert_eq!(webhook.sign_at(READY.as_bytes(), signed_at()), header(&[signature]));
        assert_eq!(verify(&webhook, READY, &header(&[signature])).as_deref(), Ok("whe_1"));
    }
    let both = Webhook::new(NEW).secret(OLD);
    assert_eq!(both.sign_at(READY.as_bytes(), signed_at()), header(&[BY_NEW, BY_OLD]));
}

#[test]
fn a_line_break_around_a_secret_is_ignored() {
    for secret in [format!("{NEW}\n"), format!(" {NEW}\r\n")] {
        for webhook in [Webhook::new(&*secret), Webhook::new(OLD).secret(&*secret)] {
            assert_eq!(verify(&webhook, READY, &header(&[BY_NEW])).as_deref(), Ok("whe_1"), "{secret:?}");
        }
    }
}

#[test]
fn every_signature_is_tried_with_every_secret() {
    let other = "0".repeat(64);
    let signatures = [BY_NEW, BY_OLD, other.as_str()];
    let secrets = [NEW, OLD, "whsec_unused"];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let some = || orders.iter().flat_map(|order| (1..=3).map(|count| &order[..count]));
    for given in some() {
        for known in some() {
            let [first, rest @ ..] = known else { unreachable!() };
            let webhook = rest.iter().fold(Webhook::new(secrets[*first]), |webhook, at| webhook.secret(secrets[*at]));
            let header = header(&given.iter().map(|at| signatures[*at]).collect::<Vec<_>>());
            let fits = given.iter().any(|at| *at < 2 && known.contains(at));
            let expected = if fits { Ok("whe_1".into()) } else { Err(WebhookError::WrongSignature) };
            assert_eq!(verify(&webhook, READY, &header), expected, "{given:?} {known:?}");
        }
    }
}

#[test]
fn differences_do_not_cancel_out() {
    let (first, second, rest) = (&BY_NEW[..2], &BY_NEW[2..4], &BY_NEW[4..]);
    let swapped = format!("{second}{first}{rest}");
    assert_ne!(swapped, BY_NEW);
    assert_eq!(verify(&Webhook::new(NEW), READY, &header(&[&swapped])), Err(WebhookError::WrongSignature));
}

#[test]
fn other_parts_of_the_header_are_ignored() {
    let webhook = Webhook::new(NEW);
    for header in [
        format!("v1={BY_NEW},t=1659342128"),
        format!(" t=1659342128 ,\tv1={BY_NEW} "),
        format!("v0={BY_OLD},t=1659342128,v2=,v1={BY_NEW},x=y=z"),
        format!("t=1659342128,v1=,v1=ff,v1={BY_NEW},v1=nothing"),
    ] {
        assert_eq!(verify(&webhook, READY, &header).as_deref(), Ok("whe_1"), "{header}");
    }
    // The signature covers the time exactly as it is written.
    assert_eq!(verify(&webhook, READY, &format!("t=01659342128,v1={WITH_ZERO}")).as_deref(), Ok("whe_1"));
    assert_eq!(verify(&webhook, READY, &format!("t=01659342128,v1={BY_NEW}")), Err(WebhookError::WrongSignature));
}

#[test]
fn each_malformed_header_says_what_is_wrong() {
    let signature = format!("v1={BY_NEW}");
    let (no_time, not_a_time) = ("it has no time `t`", "its time `t` is not a number");
    let (no_signature, no_equals) = ("it has no signature `v1`", "a part of it has no `=`");
    for (header, message) in [
        ("nonsense".into(), no_equals),
        (",".into(), no_equals),
        (format!("t=1659342128,{signature},"), no_equals),
        (format!("t:1659342128,{signature}"), no_equals),
        (format!("t=1659342128 {signature}"), not_a_time),
        (format!("t=1659342128;{signature}"), not_a_time),
        ("=".into(), no_time),
        (signature.clone(), no_time),
        (format!("T=1659342128,{signature}"), no_time),
        (format!("t =1659342128,{signature}"), no_time),
        (format!("t=,{signature}"), not_a_time),
        (format!("t= 1659342128,{signature}"), not_a_time),
        (format!("t=-1659342128,{signature}"), not_a_time),
        (format!("t=+1659342128,{signature}"), not_a_time),
        (format!("t=1659342128.0,{signature}"), not_a_time),
        (format!("t=1.6e9,{signature}"), not_a_time),
        (format!("t=0x62e78df0,{signature}"), not_a_time),
        (format!("t=１６５９３４２１２８,{signature}"), not_a_time),
        (format!("t=2022-08-01T08:22:08Z,{signature}"), not_a_time),
        (format!("t=1659342128,t=1659342128,{signature}"), "it contains the time `t` twice"),
        ("t=1659342128".into(), no_signature),
        (format!("t=1659342128,V1={BY_NEW}"), no_signature),
        (format!("t=1659342128,v0={BY_NEW}"), no_signature),
        ("t=1659342128,v1=".into(), no_signature),
        (format!("t=1659342128,v1={}", &BY_NEW[..62]), no_signature),
        (format!("t=1659342128,v1={}", &BY_NEW[..63]), no_signature),
        (format!("t=1659342128,v1={BY_NEW}00"), no_signature),
        (format!("t=1659342128,v1=\"{BY_NEW}\""), no_signature),
        (format!("t=1659342128,v1={}", BY_NEW.to_uppercase()), no_signature),
        (format!("t=1659342128,v1={}", "g".repeat(64)), no_signature),
        (format!("t=1659342128,v1={}", "é".repeat(32)), no_signature),
    ] {
        let e = verify(&Webhook::new(NEW), READY, &header).unwrap_err();
        assert!(matches!(e, WebhookError::MalformedHeader { .. }), "{header}: {e}");
        assert!(e.to_string().contains(message), "{header}: {e}");
    }
}

#[test]
fn without_a_header_there_is_no_signature() {
    let webhook = Webhook::new(NEW);
    assert_eq!(webhook.verify(READY.as_bytes(), None), Err(WebhookError::MissingHeader));
    for header in ["", " \t"] {
        assert_eq!(webhook.verify(READY.as_bytes(), header), Err(WebhookError::MissingHeader));
        assert_eq!(webhook.verify(READY.as_bytes(), Some(header)), Err(WebhookError::MissingHeader));
    }
}

#[test]
fn an_empty_secret_verifies_nothing() {
    for (secret, signature) in [("", BY_NOTHING), (" \n", BY_SPACE)] {
        for webhook in [Webhook::new(secret), Webhook::new(secret).secret(NEW), Webhook::new(NEW).secret(secret)] {
            for signature in [signature, BY_NEW] {
                let refused = verify(&webhook, READY, &header(&[signature]));
                assert_eq!(refused, Err(WebhookError::EmptySecret), "{secret:?}");
            }
        }
    }
}

#[test]
fn the_signature_covers_the_exact_bytes() {
    let webhook = Webhook::new(NEW);
    let bytes = b"\xff\x00\xfe{}";
    for (body, signature) in [(&bytes[..], OF_BYTES), (b"", OF_NOTHING)] {
        assert_eq!(webhook.sign_at(body, signed_at()), header(&[signature]));
        let e = verify(&webhook, body, &header(&[signature])).unwrap_err();
        assert!(matches!(e, WebhookError::NotAnEvent { .. }), "{e}");
        assert_eq!(verify(&webhook, body, &header(&[BY_NEW])), Err(WebhookError::WrongSignature));
    }
    let lossy = String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(verify(&webhook, lossy, &header(&[OF_BYTES])), Err(WebhookError::WrongSignature));
    let written_again = serde_json::from_str::<Value>(READY).unwrap().to_string();
    assert_ne!(written_again, READY);
    assert_eq!(verify(&webhook, written_again, &header(&[BY_NEW])), Err(WebhookError::WrongSignature));
    assert_eq!(verify(&webhook, format!("{READY}\n"), &header(&[BY_NEW])), Err(WebhookError::WrongSignature));
}

#[test]
fn the_tolerance_is_exact_on_both_sides() {
    let instant = Duration::from_nanos(1);
    let minutes = Duration::from_secs(300);
    let defaults = (Webhook::new(NEW), minutes);
    let tolerances = [Duration::ZERO, instant, Duration::from_millis(1500), Duration::from_secs(86_400)];
    let others = tolerances.map(|tolerance| (Webhook::new(NEW).tolerance(tolerance), tolerance));
    for (webhook, tolerance) in others.into_iter().chain([defaults]) {
        let at = |now| webhook.verify_at(READY.as_bytes(), header(&[BY_NEW]).as_str(), now).map(|event| event.id);
        assert_eq!(at(signed_at() + tolerance).as_deref(), Ok("whe_1"), "{tolerance:?}");
        assert_eq!(at(signed_at() - tolerance).as_deref(), Ok("whe_1"), "{tolerance:?}");
        let apart = Duration::from_secs(tolerance.as_secs() + 1);
        assert_eq!(at(signed_at() + tolerance + instant), Err(WebhookError::TooOld { age: apart, tolerance }));
        assert_eq!(at(signed_at() - tolerance - instant), Err(WebhookError::FromTheFuture { ahead: apart, tolerance }));
    }
}

#[test]
fn extreme_times_are_too_old_or_from_the_future() {
    let webhook = Webhook::new(NEW);
    let last = Duration::from_secs(u64::MAX);
    let (earliest, latest) = (PrimitiveDateTime::MIN.assume_utc(), PrimitiveDateTime::MAX.assume_utc());
    for header in
        [format!("t=18446744073709551615,v1={AT_THE_LAST}"), format!("t={},v1={AFTER_THE_LAST}", "9".repeat(40))]
    {
        let at =
            |webhook: &Webhook, now| webhook.verify_at(READY.as_bytes(), header.as_str(), now).map(|event| event.id);
        let tolerance = Duration::from_secs(300);
        assert_eq!(at(&webhook, earliest), Err(WebhookError::FromTheFuture { ahead: last, tolerance }));
        let ahead = last - Duration::from_secs(latest.unix_timestamp() as u64);
        assert_eq!(at(&webhook, latest), Err(WebhookError::FromTheFuture { ahead, tolerance }));
        let anything = webhook.clone().tolerance(Duration::MAX);
        assert_eq!(at(&anything, signed_at()).as_deref(), Ok("whe_1"));
    }
    let old = webhook.sign_at(READY.as_bytes(), OffsetDateTime::UNIX_EPOCH);
    assert!(matches!(webhook.verify(READY.as_bytes(), old.as_str()), Err(WebhookError::TooOld { .. })));
    let before_all = webhook.sign_at(READY.as_bytes(), earliest);
    let e = webhook.verify_at(READY.as_bytes(), before_all.as_str(), earliest);
    assert!(matches!(e, Err(WebhookError::MalformedHeader { .. })));
}

#[test]
fn only_genuine_deliveries_are_called_too_old_or_not_an_event() {
    let webhook = Webhook::new(NEW);
    let forged = header(&[BY_OLD]);
    assert_eq!(webhook.verify(READY.as_bytes(), forged.as_str()), Err(WebhookError::WrongSignature));
    assert_eq!(webhook.verify(b"no event", forged.as_str()), Err(WebhookError::WrongSignature));
    let old = webhook.sign_at(b"no event", signed_at());
    assert!(matches!(webhook.verify(b"no event", old.as_str()), Err(WebhookError::TooOld { .. })));
}

#[test]
fn no_message_shows_a_secret_or_a_signature() {
    let webhook = Webhook::new(NEW).secret(OLD);
    let mut texts = vec![format!("{webhook:?}"), format!("{webhook:#?}")];
    assert_eq!(texts[0], "Webhook { secrets: 2, tolerance: 300s, .. }");
    let now = signed_at() + Duration::from_secs(301);
    for (body, header, now) in [
        (READY, header(&[BY_NEW]), now),
        (READY, header(&[BY_NEW]), signed_at() - Duration::from_secs(301)),
        ("{}", header(&[BY_NEW, BY_OLD]), signed_at()),
        ("{}", webhook.sign_at(b"{}", signed_at()), signed_at()),
        (READY, format!("t={BY_NEW},v1={BY_NEW}"), signed_at()),
        (READY, format!("t=1659342128,v1={BY_NEW}{BY_NEW}"), signed_at()),
        (READY, String::new(), signed_at()),
    ] {
        let e = webhook.verify_at(body.as_bytes(), header.as_str(), now).unwrap_err();
        texts.extend([e.to_string(), format!("{e:?}"), format!("{:?}", Error::from(e))]);
    }
    let e = Webhook::new(NEW).secret("").verify(b"", None).unwrap_err();
    texts.extend([e.to_string(), format!("{e:?}")]);
    for text in texts {
        assert!(![NEW, OLD, BY_NEW, BY_OLD, "whsec"].iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[test]
fn a_webhook_error_converts_into_the_error_of_the_crate() {
    fn receive(webhook: &Webhook, header: Option<&str>) -> twelvelabs::Result<WebhookEvent> {
        Ok(webhook.verify(READY.as_bytes(), header)?)
    }
    let e = receive(&Webhook::new(NEW), None).unwrap_err();
    assert!(matches!(e, Error::Webhook(WebhookError::MissingHeader)));
    assert_eq!(e.to_string(), WebhookError::MissingHeader.to_string());
    assert!(!e.is_retryable() && !e.is_outcome_unknown());
}

#[test]
fn an_analysis_that_ended() {
    let data = json!({
        "id": "68f1",
        "custom_id": "mine",
        "created_at": "2026-01-02T12:04:05.678901+09:00",
        "video_source": {"type": "asset_id", "asset_id": "65f1", "system_metadata": {"duration": 30}},
        "status": "ready",
        "error": {"message": "the limit of tokens was reached"},
        "new": [1],
    });
    let ready = event("analyze.task.ready", data.clone());
    assert_eq!((ready.id.as_str(), ready.kind.as_str()), ("whe_1", "analyze.task.ready"));
    assert_eq!(ready.created_at, Some(time("2026-01-02T03:04:05Z")));
    assert_eq!(ready.raw["data"], data);
    let WebhookEventData::AnalyzeTaskReady(task) = ready.data else { panic!("{:?}", ready.data) };
    assert_eq!((task.id.as_str(), task.custom_id.as_deref()), ("68f1", Some("mine")));
    assert_eq!(task.created_at, Some(time("2026-01-02T03:04:05.678901Z")));
    let source = task.video_source.unwrap();
    assert_eq!((source.kind.as_deref(), source.asset_id.as_deref()), (Some("asset_id"), Some("65f1")));
    assert_eq!(source.system_metadata.unwrap().duration, Some(30.0));
    assert_eq!(task.status, Some(AnalyzeTaskStatus::Ready));
    assert_eq!(task.error.unwrap().message.as_deref(), Some("the limit of tokens was reached"));

    let least = |status: &str| json!({"id": "68f1", "custom_id": null, "status": status});
    let failed = event("analyze.task.failed", least("failed"));
    assert!(matches!(failed.data, WebhookEventData::AnalyzeTaskFailed(task) if task.custom_id.is_none()));
    let canceled = event("analyze.task.canceled", least("some new state"));
    let WebhookEventData::AnalyzeTaskCanceled(task) = canceled.data else { panic!("{:?}", canceled.data) };
    assert_eq!(task.status, Some(AnalyzeTaskStatus::Other("some new state".into())));
}

#[test]
fn a_video_that_was_indexed() {
    let models = json!([{"name": "marengo2.6", "options": ["visual", "text_in_video"]}]);
    let data = json!({
        "id": "65f1",
        "metadata": {"duration": 30, "shot_with": "a phone"},
        "status": "ready",
        "models": models,
        "tags": ["holiday"],
    });
    let WebhookEventData::IndexTaskReady(task) = event("index.task.ready", data).data else { panic!() };
    assert_eq!(task.id, "65f1");
    assert_eq!(task.metadata.unwrap().duration, Some(30.0));
    assert_eq!((task.status, task.engines), (Some(VideoIndexingTaskStatus::Ready), None));
    assert_eq!(task.tags.unwrap(), ["holiday"]);
    let [model] = task.models.as_deref().unwrap() else { panic!() };
    assert_eq!(model.name.as_deref(), Some("marengo2.6"));
    assert_eq!(model.options.as_deref().unwrap(), ["visual", "text_in_video"]);

    let data = json!({"id": "65f1", "engines": models});
    let WebhookEventData::IndexTaskReady(older) = event("index.task.ready", data).data else { panic!() };
    assert_eq!((older.models, older.engines), (None, task.models));
    let failed = event("index.task.failed", json!({"id": "65f1", "status": "failed"}));
    assert!(matches!(failed.data, WebhookEventData::IndexTaskFailed(task) if task.models.is_none()));
}

#[test]
fn an_unknown_event_is_kept() {
    for data in [json!({"batch_id": "b1", "counts": [1, 2.5, null]}), json!("text"), json!(null), json!([])] {
        let unknown = event("analyze.batch.completed", data.clone());
        assert_eq!((unknown.id.as_str(), unknown.kind.as_str()), ("whe_1", "analyze.batch.completed"));
        assert_eq!(unknown.data, WebhookEventData::Other(data));
    }
    let bare = read(r#"{"id": "whe_1", "type": "Index.Task.Ready"}"#).unwrap();
    assert_eq!((bare.data, bare.created_at), (WebhookEventData::Other(Value::Null), None));
}

#[test]
fn a_malformed_optional_field_does_not_lose_the_event() {
    let body = json!({
        "id": 17,
        "created_at": "yesterday",
        "type": "analyze.task.failed",
        "data": {
            "id": 68, "custom_id": 5, "created_at": 1_659_342_128, "video_source": ["a"], "status": {"a": 1},
            "error": {"message": 7},
        },
    });
    let failed = read(body.to_string()).unwrap();
    assert_eq!((failed.id.as_str(), failed.created_at), ("17", None));
    assert_eq!(failed.raw, body);
    let WebhookEventData::AnalyzeTaskFailed(task) = failed.data else { panic!() };
    assert_eq!((task.id.as_str(), task.custom_id.as_deref()), ("68", Some("5")));
    assert_eq!((task.created_at, task.status, task.video_source), (None, None, None));

    let metadata = json!({"duration": "long", "width": 1280.0});
    let models = json!([{"name": "m", "options": 1}]);
    let data = json!({"id": "65f1", "metadata": metadata, "models": models, "tags": [1, "a"]});
    let WebhookEventData::IndexTaskReady(task) = event("index.task.ready", data).data else { panic!() };
    let metadata = task.metadata.unwrap();
    assert_eq!((metadata.duration, metadata.width), (None, Some(1280)));
    assert_eq!(task.models.unwrap()[0].name.as_deref(), Some("m"));
    assert_eq!(task.tags.unwrap(), ["a"]);
}

#[test]
fn a_signed_body_that_is_not_an_event_says_why() {
    let deep = "[".repeat(100_000);
    for (body, message) in [
        ("", "not JSON"),
        ("{\"id\":\"whe_1\",", "not JSON"),
        ("id=whe_1&type=index.task.ready", "not JSON"),
        (deep.as_str(), "not JSON"),
        ("null", "invalid type: null"),
        ("[]", "struct Envelope"),
        ("{}", "missing field `id`"),
        (r#"{"id": null, "type": "index.task.ready", "data": {"id": "1"}}"#, "`id`"),
        (r#"{"id": {}, "type": "index.task.ready", "data": {"id": "1"}}"#, "`id`"),
        (r#"{"id": "whe_1", "data": {"id": "1"}}"#, "missing field `type`"),
        (r#"{"id": "whe_1", "type": 7, "data": {"id": "1"}}"#, "`type`"),
        (r#"{"id": "whe_1", "type": "index.task.ready"}"#, "missing field `data`"),
        (r#"{"id": "whe_1", "type": "index.task.ready", "data": null}"#, "`data`"),
        (r#"{"id": "whe_1", "type": "analyze.task.ready", "data": "68f1"}"#, "`data`"),
        (r#"{"id": "whe_1", "type": "analyze.task.ready", "data": {}}"#, "`data`: missing field `id`"),
        (r#"{"id": "whe_1", "type": "analyze.task.ready", "data": {"id": ["68f1"]}}"#, "`data.id`"),
        (&json!({"id": "whe_1", "type": "analyze.task.ready", "data": "long ".repeat(9999)}).to_string(), "`data`"),
    ] {
        let e = read(body).unwrap_err();
        assert!(matches!(e, WebhookError::NotAnEvent { .. }), "{body}: {e}");
        assert!(e.to_string().contains(message) && e.to_string().len() < 600, "{body}: {e}");
    }
}

#[test]
fn an_event_survives_a_queue() {
    for (kind, data) in [
        ("analyze.task.ready", json!({"id": "68f1", "status": "ready", "new": {"deep": [1.5]}})),
        ("index.task.failed", json!({"id": "65f1", "engines": []})),
        ("analyze.batch.completed", json!({"batch_id": "b1"})),
    ] {
        let event = event(kind, data);
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(written, event.raw);
        assert_eq!(serde_json::from_value::<WebhookEvent>(written).unwrap(), event);
    }
    assert!(serde_json::from_value::<WebhookEvent>(json!({"id": "whe_1"})).unwrap_err().to_string().contains("type"));
}

/// A strategy for texts that resemble a header.
fn header_like() -> impl Strategy<Value = String> {
    let part = prop_oneof!["t=[0-9]{0,24}", "v1=[0-9a-f]{60,66}", "v1=[0-9a-f]{64}", "[tv01=+ -]{0,6}", ".{0,8}"];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.join(","))
}

/// A strategy for JSON that resembles an event, with any value in every place.
fn event_like() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::from("2026-01-02T03:04:05+09:00")),
    ];
    let names = "id|type|data|status|error|message|created_at|video_source|metadata|duration|models|engines|tags";
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(names, inner, 0..5).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    });
    let kind = "(index|analyze)\\.task\\.(ready|failed|canceled)";
    (value.clone(), value.clone(), kind, value, any::<bool>()).prop_map(|(id, mut data, kind, other, with_id)| {
        if let (Value::Object(data), true) = (&mut data, with_id) {
            data.insert("id".into(), "1".into());
        }
        let id = if with_id { "whe_1".into() } else { id };
        json!({"id": id, "type": kind, "created_at": other, "data": data}).to_string()
    })
}

proptest! {
    #[test]
    fn one_changed_bit_never_verifies(
        secret in "[!-~]{1,80}",
        body in proptest::collection::vec(any::<u8>(), 1..200),
        seconds in 0..4_000_000_000_i64,
        at in any::<proptest::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let webhook = Webhook::new(secret).tolerance(Duration::MAX);
        let header = webhook.sign_at(&body, OffsetDateTime::from_unix_timestamp(seconds).unwrap());
        let genuine = webhook.verify(&body, header.as_str());
        prop_assert!(matches!(genuine, Ok(_) | Err(WebhookError::NotAnEvent { .. })), "{:?}", genuine);

        let change = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            bytes
        };
        prop_assert_eq!(webhook.verify(&change(&body), header.as_str()), Err(WebhookError::WrongSignature));
        let (time, signature) = header.split_once(',').unwrap();
        let time = String::from_utf8(change(time.as_bytes())).map(|time| format!("{time},{signature}"));
        let signature = String::from_utf8(change(&header.as_bytes()[header.len() - 64..]));
        let signature = signature.map(|signature| format!("{}{signature}", &header[..header.len() - 64]));
        let anywhere = String::from_utf8(change(header.as_bytes()));
        for changed in [time, signature, anywhere].into_iter().flatten() {
            let refused = webhook.verify(&body, changed.as_str());
            let expected = matches!(refused, Err(WebhookError::WrongSignature | WebhookError::MalformedHeader { .. }));
            prop_assert!(expected, "{}: {:?}", changed, refused);
        }
    }

    #[test]
    fn any_header_with_any_body_is_refused_without_a_panic(
        header in prop_oneof![header_like(), ".{0,200}"],
        body in proptest::collection::vec(any::<u8>(), 0..200),
        now in -377_705_116_800_i64..253_402_300_799,
    ) {
        let webhook = Webhook::new(NEW).secret(OLD);
        let refused = webhook.verify_at(&body, header.as_str(), OffsetDateTime::from_unix_timestamp(now).unwrap());
        let expected = matches!(
            refused,
            Err(WebhookError::MissingHeader | WebhookError::MalformedHeader { .. } | WebhookError::WrongSignature)
        );
        prop_assert!(expected, "{:?}", refused);
    }

    #[test]
    fn any_signed_body_is_an_event_or_says_why_not(
        body in prop_oneof![
            event_like().prop_map(String::into_bytes),
            ".{0,100}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..200),
        ],
    ) {
        match read(&body) {
            Ok(event) => prop_assert_eq!(&event.raw, &serde_json::from_slice::<Value>(&body).unwrap()),
            Err(e) => prop_assert!(matches!(e, WebhookError::NotAnEvent { .. }), "{}", e),
        }
    }
}
