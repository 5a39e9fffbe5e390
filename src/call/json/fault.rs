//! Interprets the errors of `serde_json`. Their wording is not a stable interface, so no other file depends on it.

/// The kinds of decoder errors that the repair of responses distinguishes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// The text ended inside a value, or before its containers were closed.
    CutOff,
    /// The text continues after the value.
    Trailing,
    /// A required field of this name is missing.
    Missing(String),
    /// A field of this name occurs more than once.
    Repeated(String),
    /// A value has the wrong type, is out of range, or is not JSON.
    Other,
}

/// Classifies an error of the decoder.
pub(crate) fn read(e: &serde_json::Error) -> Fault {
    if e.is_eof() {
        return Fault::CutOff;
    }
    let message = message(e);
    let field = |start: &str| message.strip_prefix(start)?.split('`').next().map(String::from);
    if let Some(name) = field("missing field `") {
        Fault::Missing(name)
    } else if let Some(name) = field("duplicate field `") {
        Fault::Repeated(name)
    } else if message == "trailing characters" {
        Fault::Trailing
    } else {
        Fault::Other
    }
}

/// Returns the message of an error without the position, which may refer only to a part of the response.
pub(crate) fn message(e: &serde_json::Error) -> String {
    let mut text = e.to_string();
    let position = format!(" at line {} column {}", e.line(), e.column());
    if text.ends_with(&position) {
        text.truncate(text.len() - position.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Thing {
        name: String,
        #[serde(rename = "_id", alias = "id")]
        id: Option<u8>,
    }

    // This test fails if the linked `serde_json` uses other words, which `read` must then recognize.
    #[test]
    fn each_fault_of_the_decoder_that_is_linked_is_recognized() {
        for (text, fault, says) in [
            (r#"{"name":"a"} b"#, Fault::Trailing, "trailing characters"),
            (r#"{"_id":1}"#, Fault::Missing("name".into()), "missing field `name`"),
            (r#"{"name":"a","name":"b"}"#, Fault::Repeated("name".into()), "duplicate field `name`"),
            (r#"{"name":"a","_id":1,"id":1}"#, Fault::Repeated("_id".into()), "duplicate field `_id`"),
            (r#"{"name":5}"#, Fault::Other, "invalid type: integer `5`, expected a string"),
            (r#"{"_id":-5}"#, Fault::Other, "invalid value: integer `-5`, expected u8"),
            (r#"{"name":"\ud800"}"#, Fault::Other, "unexpected end of hex escape"),
            (r#"{"name":NaN}"#, Fault::Other, "expected value"),
            (r#"{"name":"a","_id":1e999}"#, Fault::Other, "number out of range"),
            ("[]", Fault::Other, "invalid length 0, expected struct Thing with 2 elements"),
            (r#"{"name":"#, Fault::CutOff, "EOF while parsing a value"),
            (r#"{"name":"a"#, Fault::CutOff, "EOF while parsing a string"),
            (r#"{"name":"a" "#, Fault::CutOff, "EOF while parsing an object"),
            ("[\"a\" ", Fault::CutOff, "EOF while parsing a list"),
            ("", Fault::CutOff, "EOF while parsing a value"),
        ] {
            let e = serde_json::from_str::<Thing>(text).unwrap_err();
            assert_eq!((read(&e), message(&e).as_str()), (fault, says), "{text}: {e}");
        }
        // A type's own error contains a text that looks like a position.
        let e = <serde_json::Error as serde::de::Error>::custom("odd at line 5 column 6 of the script");
        assert_eq!((read(&e), message(&e)), (Fault::Other, e.to_string()));
    }
}
