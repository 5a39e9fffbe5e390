//! The error messages of typical mistakes, all on one page, so that they can be read as a whole.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs, TwelveLabsBuilder};

use crate::files::Folder;
use crate::server::{LIMITS, Moving, Server, Step, answer, answer_of_type, answer_with, builder, in_time, read_body};

/// Compares messages with the expected ones, and shows all that differ.
#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    fn check(&mut self, given: impl ToString, expected: &str) {
        let given = without_port(&given.to_string());
        if given != expected {
            self.0.push(format!("  {given}\n- {expected}"));
        }
    }
}

/// Replaces the port, which differs in each run, with a placeholder.
fn without_port(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut shown = parts.next().unwrap_or_default().to_string();
    for part in parts {
        shown.push_str("127.0.0.1:PORT");
        shown.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    shown
}

impl Drop for Texts {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "these texts have changed:\n{}", self.0.join("\n"));
        }
    }
}

fn build(change: impl Fn(TwelveLabsBuilder) -> TwelveLabsBuilder) -> Error {
    change(TwelveLabs::builder().api_key("tlk_test").base_url("http://127.0.0.1:9")).build().unwrap_err()
}

/// Returns the error of this call after these answers.
fn after(script: impl IntoIterator<Item = Step>, call: impl FnOnce(&TwelveLabs) -> Result<(), Error>) -> Error {
    let server = Server::start(script.into_iter().collect::<Vec<_>>());
    let client = builder(&server).max_retries(0).clock(Moving::default()).build().unwrap();
    call(&client).unwrap_err()
}

fn get(client: &TwelveLabs) -> Result<(), Error> {
    client.assets().retrieve("a1").send().map(drop)
}

fn post(client: &TwelveLabs) -> Result<(), Error> {
    client.assets().create(UploadMethod::url("https://example.com/a.mp4")).send().map(drop)
}

/// Returns the error of a request that arrives but is never answered, and the limit in its message. If the request does
/// not arrive within the limit, the next limit is tried.
fn without_response(options: impl Fn(Duration) -> RequestOptions) -> (Error, &'static str) {
    for (limit, text) in LIMITS {
        let silent = Step::Talk(Box::new(|stream, request| {
            read_body(stream, request)?;
            stream.read(&mut [0]).map(|_| false)
        }));
        let server = Server::start([silent]);
        let client = builder(&server).max_retries(0).clock(Moving::default()).build().unwrap();
        let call = client.assets().retrieve("a1").request_options(options(limit));
        let e = in_time(move || call.send().unwrap_err());
        if !server.received().is_empty() {
            return (e, text);
        }
    }
    panic!("no request has arrived");
}

/// Returns the error of a call that sends nothing.
fn unsent(call: impl FnOnce(&TwelveLabs) -> Result<(), Error>) -> Error {
    after([], call)
}

#[test]
fn the_settings_of_a_client() {
    let mut texts = Texts::default();
    texts.check(build(|b| b.api_key("a b")), "`api_key` must not contain spaces, line breaks or non-ASCII characters");
    for key in ["\"tlk_a\"", "'tlk_a'", " `tlk_a` ", "\"tlk_a", "tlk_a'", "\""] {
        texts.check(
            build(|b| b.api_key(key)),
            "`api_key` must not contain quotation marks; remove them from the key or from the environment variable",
        );
    }
    texts.check(build(|b| b.base_url("api.example.com")), "`base_url` must begin with http:// or https://");
    texts.check(build(|b| b.base_url("ftp://example.com")), "`base_url` must begin with http:// or https://");
    texts.check(build(|b| b.base_url("https://a b")), "`base_url` is not a valid URL");
    texts.check(build(|b| b.base_url("https://h/?a=1")), "`base_url` must not have a query or a fragment");
    texts.check(
        build(|b| b.base_url("https://u:p/w@h")),
        "`base_url` has a port that is not a number (in a password, write `/` as %2F)",
    );
    texts.check(
        build(|b| b.rate_limit(0, Duration::from_secs(1))),
        "`rate_limit` must allow at least one request, in a time greater than 0",
    );
    texts.check(
        build(|b| b.header("x a", "b")),
        "`x a` is not a header name; it may contain letters, digits and hyphens only",
    );
    texts.check(build(|b| b.header("x-a", "b\n")), "`x-a` must not contain line breaks or control characters");
    texts.check(
        build(|b| b.header("x-api-key", "b")),
        "`x-api-key` cannot be set: it is the API key of the client; build a client with the other key",
    );
    texts.check(build(|b| b.header("host", "b")), "`host` cannot be set: it comes from the `base_url` of the client");
}

#[test]
fn arguments() {
    let mut texts = Texts::default();
    texts.check(unsent(|c| c.assets().retrieve("").send().map(drop)), "`id` is empty");
    texts.check(unsent(|c| c.assets().retrieve("..").send().map(drop)), "`id` must not be \"..\"");
    texts.check(
        unsent(|c| c.assets().list().page_limit(0).send().map(drop)),
        "`page_limit` must be between 1 and 50, not 0",
    );
    texts.check(unsent(|c| c.assets().list().page(0).send().map(drop)), "`page` must be at least 1, not 0");
    texts.check(
        unsent(|c| c.assets().create(UploadMethod::url("example.com/a.mp4")).send().map(drop)),
        "`url` must be a public URL that begins with http:// or https:// and has no spaces",
    );
    texts.check(
        unsent(|c| c.assets().wait_for_done("a1").sleep_interval(Duration::ZERO).send().map(drop)),
        "`sleep_interval` must be greater than 0",
    );
    texts.check(
        unsent(|c| c.assets().upload_all(["a.mp4"]).workers(0).send().map(drop)),
        "`workers` must be at least 1",
    );
    texts.check(
        unsent(|c| c.call("TRACE", &["x"]).send().map(drop)),
        "`method` must be GET, POST, PUT, PATCH or DELETE",
    );
    texts.check(
        unsent(|c| c.call("GET", &["x"]).json("a", 1).send().map(drop)),
        "`method` must not be GET with a body; send the fields in the query, or use POST",
    );
    texts.check(
        unsent(|c| c.call("POST", &["x"]).json("a", 1).form("b", 1).send().map(drop)),
        "`b` would be lost: a body is either JSON or a form, and this call already has the other kind",
    );
    texts.check(
        unsent(|c| c.call("GET", &["x"]).query("a", Value::Null).send().map(drop)),
        "`a` is null, which a query cannot contain; leave it out, or use `when_some`",
    );
    let bytes = |name: &str| FileSource::bytes(name, *b"video");
    for name in ["", " "] {
        let nameless = "`name` of the file is empty; give one with an extension, such as `video.mp4`";
        let create = |file| unsent(move |c| c.assets().create(UploadMethod::direct(file)).send().map(drop));
        texts.check(create(bytes(name)), nameless);
        texts.check(create(FileSource::from("src/lib.rs").name(name)), nameless);
        texts.check(unsent(|c| c.assets().upload(bytes(name)).send().map(drop)), nameless);
        texts.check(unsent(|c| c.call("POST", &["x"]).file("f", bytes(name)).send().map(drop)), nameless);
        let unnamed = "`filename` is empty; give one with an extension, such as `video.mp4`";
        texts.check(
            unsent(|c| c.assets().create(UploadMethod::direct("src/lib.rs")).filename(name).send().map(drop)),
            unnamed,
        );
        texts.check(unsent(|c| c.assets().upload("src/lib.rs").filename(name).send().map(drop)), unnamed);
        texts.check(unsent(|c| c.assets().upload_url("https://h/a").filename(name).send().map(drop)), unnamed);
        texts
            .check(unsent(|c| c.multipart_upload().upload_file("src/lib.rs").filename(name).send().map(drop)), unnamed);
        texts.check(unsent(|c| c.multipart_upload().create(name, "video", 5).send().map(drop)), unnamed);
        texts.check(unsent(|c| c.multipart_upload().upload_file(bytes(name)).send().map(drop)), unnamed);
        texts.check(
            create(bytes("a.mp4").content_type(name)),
            "`content_type` is empty; leave it out to derive it from the name of the file",
        );
    }
    let unnamed = "`resume` has no `upload_id`; pass the `upload` of an error or of a progress report, or an upload id";
    texts.check(unsent(|c| c.multipart_upload().upload_file("src/lib.rs").resume("").send().map(drop)), unnamed);
    texts.check(unsent(|c| c.assets().upload("src/lib.rs").resume("").send().map(drop)), unnamed);
    let arrived: twelvelabs::multipart_upload::ResumableUpload =
        serde_json::from_value(json!({"upload_id": "", "asset_id": "a1"})).unwrap();
    texts.check(
        unsent(|c| c.multipart_upload().upload_file("src/lib.rs").resume(&arrived).send().map(drop)),
        "`resume` has no `upload_id`, because the file has arrived as asset a1; wait for it with `wait_for_done`",
    );
    let options = RequestOptions::new().additional_header("content-length", "1");
    texts.check(
        unsent(|c| c.assets().retrieve("a1").request_options(options).send().map(drop)),
        "`content-length` cannot be set: it comes from the body",
    );
}

#[test]
fn files() {
    let folder = Folder::new("error-texts");
    let upload = |file: &str| {
        let file = file.to_string();
        let e = unsent(move |c| c.assets().create(UploadMethod::direct(FileSource::path(file))).send().map(drop));
        // The system's error says nothing that the message does not say.
        assert_eq!(format!("{e:#}"), e.to_string());
        e
    };
    let mut texts = Texts::default();
    texts.check(upload("no/such/file.mp4"), "no/such/file.mp4: there is no such file");
    texts.check(
        upload("https://example.com/a.mp4"),
        "https://example.com/a.mp4: this is a URL, not a file; use `assets().upload_url(…)`, or `UploadMethod::url(…)`",
    );
    texts.check(
        upload("~/no such video.mp4"),
        "~/no such video.mp4: there is no such file; `~` is not expanded, so give the whole path",
    );
    texts.check(upload(""), "the path of the file is empty");
    let journal = |call: fn(&TwelveLabs) -> Result<(), Error>| unsent(call);
    texts.check(
        journal(|c| c.assets().upload_all(["src/lib.rs"]).manifest("").send().map(drop)),
        "the path of the manifest is empty",
    );
    texts.check(
        journal(|c| c.assets().upload("src/lib.rs").state_file("").send().map(drop)),
        "the path of the state file is empty",
    );
    let root = folder.root().to_str().unwrap().to_string();
    texts.check(upload(&root), &format!("{root}: this is a directory; name a file in it"));
    let empty = folder.write("empty.mp4", b"").to_str().unwrap().to_string();
    texts.check(upload(&empty), &format!("{empty}: the file is empty; there is nothing to upload"));
}

#[test]
fn refusals() {
    let refused = |status: u16, headers: &[(&str, &str)], body: Value| {
        after([Step::Answer(answer_with(status, headers, &body))], get)
    };
    let mut texts = Texts::default();
    let body = json!({"code": "api_key_invalid", "message": "The API key is not valid."});
    texts.check(
        refused(401, &[], body),
        "The API key is not valid. [api_key_invalid, 401] (GET /assets/a1 at 127.0.0.1)",
    );
    texts.check(
        refused(404, &[], Value::Null),
        "127.0.0.1 answered with status 404 and an empty body [404] (GET /assets/a1)",
    );
    let slow_down = json!({"code": "too_many_requests", "message": "Slow down."});
    for (wait, text) in
        [("1", "1 s"), ("90", "1 min 30 s"), ("11382", "3 h 10 min"), ("86400", "24 h"), ("200000", "2 days 7 h")]
    {
        let e = refused(429, &[("retry-after", wait)], slow_down.clone()).to_string();
        texts.check(
            e.split(", at ").next().unwrap(),
            &format!("Slow down. [too_many_requests, 429] (GET /assets/a1 at 127.0.0.1); try again in {text}"),
        );
    }
    texts.check(
        after([Step::Answer(answer_of_type(502, "text/html", "<title>Bad Gateway</title>"))], get),
        "127.0.0.1 answered with status 502 and an HTML page: Bad Gateway [502] (GET /assets/a1)",
    );
    texts.check(
        after([Step::Answer(answer(502, &json!({"message": "Oh."})))], post),
        "Oh. [502] (POST /assets at 127.0.0.1); it is unknown whether the platform acted, so check before you repeat it",
    );
    texts.check(
        after([Step::Answer(answer_with(503, &[("retry-after", "120")], &json!({"message": "Later."})))], post)
            .to_string()
            .split(", at ")
            .next()
            .unwrap(),
        "Later. [503] (POST /assets at 127.0.0.1); try again in 2 min",
    );
    texts.check(
        after([Step::Answer(answer_with(302, &[("location", "https://h.example/a?sig=1")], &Value::Null))], get),
        "127.0.0.1 redirects to https://h.example/a?… (status 302), which is not followed; if that is the right place, \
         set it as `base_url` (GET /assets/a1)",
    );
}

#[test]
fn timeouts_and_connection_errors() {
    let patience = |millis| RequestOptions::new().deadline(Duration::from_millis(millis));
    let mut texts = Texts::default();
    let (e, limit) = without_response(|limit| RequestOptions::new().deadline(limit));
    let expected = format!("no response within the deadline of {limit} (1 attempt) (GET /assets/a1)");
    texts.check(format!("{e:#}"), &expected);
    let e = after([Step::Answer(answer_with(500, &[("retry-after", "60")], &json!({"message": "Oh."})))], |c| {
        let options = patience(10_000).max_retries(2);
        c.assets().retrieve("a1").request_options(options).send().map(drop)
    });
    // The time at which to try again differs in each run.
    texts.check(
        format!("{e:#}").split(", at ").next().unwrap_or_default(),
        "the deadline of 10 s leaves no time for another attempt (after 1 attempt) (GET /assets/a1): \
         Oh. [500] (at 127.0.0.1); try again in 1 min",
    );
    let e = after([], |c| c.assets().retrieve("a1").request_options(patience(0)).send().map(drop));
    texts.check(e, "the deadline of 0 ms has passed; nothing was sent (GET /assets/a1)");
    let (e, limit) = without_response(|limit| RequestOptions::new().timeout(limit));
    texts.check(e, &format!("127.0.0.1:PORT did not respond within {limit} (`timeout`) (GET /assets/a1)"));
    texts.check(
        after([Step::Close(Vec::new())], post),
        "127.0.0.1:PORT closed the connection too early; it is unknown whether the platform acted, so check before \
         you repeat it (POST /assets)",
    );
    let e = after((0..9).map(|_| Step::Answer(answer(200, &json!({"_id": "a1", "status": "processing"})))), |c| {
        c.assets().wait_for_done("a1").max_wait_time(Duration::from_secs(12)).send().map(drop)
    });
    texts.check(
        e,
        "asset a1 is still `processing` after 12 s; the platform continues with it, so wait again or raise \
         `max_wait_time`",
    );
    let failed = json!({"_id": "a1", "status": "failed", "error": {"message": "The video is too short."}});
    let e = after([Step::Answer(answer(200, &failed))], |c| c.assets().wait_for_done("a1").send().map(drop));
    texts.check(e, "asset a1 ended as `failed`: The video is too short.");
}

#[test]
fn unreadable_responses() {
    let mut texts = Texts::default();
    texts.check(
        after([Step::Answer(answer_of_type(200, "text/html", "<title>Welcome</title>"))], get),
        "127.0.0.1 answered with status 200 and an HTML page: Welcome (GET /assets/a1)",
    );
    texts.check(
        after([Step::Answer(answer_of_type(200, "application/json", " \n"))], get),
        "127.0.0.1 answered with status 200 and an empty body (GET /assets/a1)",
    );
    for (body, text) in [
        (json!([1, 2]), "the response is a list where an object was expected; it begins: [1,2] (GET /assets/a1)"),
        (json!([]), "the response is a list where an object was expected; it begins: [] (GET /assets/a1)"),
        (json!("ok"), "the response is a string where an object was expected; it begins: \"ok\" (GET /assets/a1)"),
        (Value::Bool(true), "the response is a boolean where an object was expected; it begins: true (GET /assets/a1)"),
    ] {
        texts.check(after([Step::Answer(answer(200, &body))], get), text);
    }
    // The platform may have acted on a POST although its response is of no use.
    let unknown = "it is unknown whether the platform acted, so check before you repeat it (POST /assets)";
    for (answer, text) in [
        (answer(201, &json!([])), "the response is a list where an object was expected; it begins: []; "),
        (answer(201, &json!({"id": "a1"})), "missing field `_id`; the response begins: {\"id\":\"a1\"}; "),
        (
            answer_of_type(200, "text/html", "<title>Welcome</title>"),
            "127.0.0.1 answered with status 200 and an HTML page: Welcome; ",
        ),
        (
            answer_with(201, &[("content-encoding", "br")], &json!({"_id": "a1"})),
            "127.0.0.1 answered with status 201, compressed as `br`, which was not requested; ",
        ),
    ] {
        let e = after([Step::Answer(answer)], post);
        assert!(e.is_outcome_unknown(), "{e:?}");
        texts.check(e, &format!("{text}{unknown}"));
    }
    let custom = |c: &TwelveLabs| c.call("POST", &["things"]).send().map(drop);
    let e = after([Step::Answer(answer_of_type(200, "text/html", "<title>Welcome</title>"))], custom);
    texts.check(
        e,
        "127.0.0.1 answered with status 200 and an HTML page: Welcome; it is unknown whether the platform acted, so \
         check before you repeat it (POST /things)",
    );
    let stream = |c: &TwelveLabs| c.analyze_stream().prompt("What?").send().map(drop);
    let e = after([Step::Answer(answer_of_type(200, "text/html", "<title>Welcome</title>"))], stream);
    texts.check(
        e,
        "127.0.0.1 answered with status 200 and an HTML page: Welcome; it is unknown whether the platform acted, so \
         check before you repeat it (POST /analyze)",
    );
    let search = |c: &TwelveLabs| c.search().query("i1", ["visual"]).query_text("dogs").send().map(drop);
    let e = after([Step::Answer(answer_of_type(200, "text/html", "<title>Welcome</title>"))], search);
    texts.check(e, "127.0.0.1 answered with status 200 and an HTML page: Welcome (POST /search)");
    let large = Step::Live(Box::new(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n")?;
        stream.write_all(&[b' '; 9000])
    }));
    let server = Server::start([large]);
    let client = builder(&server).max_response_size(4096).max_retries(0).build().unwrap();
    texts.check(
        get(&client).unwrap_err(),
        "the response is larger than 4096 bytes; raise `max_response_size` if that is expected (GET /assets/a1)",
    );
}

#[test]
fn connections() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = |base_url: &str, proxy: Option<&str>| {
        let client =
            TwelveLabs::builder().api_key("tlk_test").base_url(base_url).when_some(proxy, TwelveLabsBuilder::proxy);
        let client = client.max_retries(0).build().unwrap();
        in_time(move || get(&client).unwrap_err())
    };
    let proxied = |status: u16, user: &str| {
        let proxy = Server::start([Step::Answer(answer(status, &Value::Null))]);
        to("http://api.example.com", Some(&format!("http://{user}127.0.0.1:{}", proxy.port())))
    };
    let mut texts = Texts::default();
    texts.check(
        to(&format!("http://{}", free()), None),
        "could not connect to 127.0.0.1:PORT; nothing was sent (GET /assets/a1)",
    );
    texts.check(
        to("http://nope.invalid", None),
        "the name nope.invalid cannot be resolved; nothing was sent (GET /assets/a1)",
    );
    texts.check(
        to("http://api.example.com", Some(&format!("http://{}", free()))),
        "could not connect to the proxy 127.0.0.1:PORT; nothing was sent (GET /assets/a1)",
    );
    texts.check(
        to("http://api.example.com", Some("http://nope.invalid:3128")),
        "the name of the proxy nope.invalid cannot be resolved; nothing was sent (GET /assets/a1)",
    );
    texts.check(
        proxied(407, ""),
        "the proxy 127.0.0.1:PORT asks for a user name and a password (407); put `user:password@` before its host; \
         nothing was sent (GET /assets/a1)",
    );
    texts.check(
        proxied(407, "user:s3cr3t@"),
        "the proxy 127.0.0.1:PORT refuses the user name or the password (407); nothing was sent (GET /assets/a1)",
    );
    texts.check(
        proxied(502, ""),
        "the proxy 127.0.0.1:PORT could not connect: it answered with status 502; nothing was sent (GET /assets/a1)",
    );
    texts.check(build(|b| b.proxy("http://a b")), "`proxy` is not the URL of a proxy");
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    texts.check(
        build(|b| b.root_certificates("no PEM")),
        "`root_certificates` contains no certificate; give the text of a PEM file",
    );
}
