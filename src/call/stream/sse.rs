//! Server-sent events, as the HTML standard describes them ("Server-sent events", section 9.2.6).

use std::fmt;
use std::io::Read;
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::json::decode;
use crate::call::request::Request;
use crate::call::stream::{Fault, Lines, Stream};
use crate::error::{Error, Result};

/// The data that ends a stream of server-sent events.
const DONE: &str = "[DONE]";

/// A server-sent event of a stream of [`Events`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerSentEvent {
    /// The type of the event. Empty if it has none.
    pub event: String,
    /// The data, which can have several lines.
    pub data: String,
    /// The id of this event, or the last id before it.
    pub id: Option<String>,
}

masked_debug! {
    ServerSentEvent {
        event, data: unsigned, id,
    }
}

impl ServerSentEvent {
    /// Decodes the data from JSON.
    ///
    /// ```no_run
    /// # fn show(event: twelvelabs::ServerSentEvent) -> Result<(), twelvelabs::Error> {
    /// let data: serde_json::Value = event.json()?;
    /// println!("{}", data["delta"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOutput`] if the data is not JSON, or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode::from_json(self.data.as_bytes())
            .map_err(|message| Error::InvalidOutput { message, text: self.data.clone() })
    }
}

impl<R: Read> Lines<R> {
    /// Returns the next server-sent event.
    pub(crate) fn event(&mut self, pending: &mut Pending) -> Result<Option<ServerSentEvent>, Fault> {
        loop {
            let line = self.next()?;
            if let Some(event) = line.as_ref().and_then(|line| pending.take(&line.bytes)) {
                return Ok((event.data != DONE).then_some(event));
            }
            if line.is_none_or(|line| !line.ended) {
                let whole = !pending.open || pending.data.as_deref() == Some(DONE);
                return if whole { Ok(None) } else { Err(Fault::Truncated) };
            }
            if pending.data.as_ref().is_some_and(|data| data.len() as u64 > self.limit()) {
                return Err(Fault::TooLong);
            }
        }
    }
}

/// The fields of the event whose lines are being read.
#[derive(Default)]
pub(crate) struct Pending {
    event: String,
    data: Option<String>,
    id: Option<String>,
    /// Whether an event has begun and not ended.
    open: bool,
}

impl Pending {
    /// Adds a line, and returns the event if the line ends it.
    fn take(&mut self, line: &[u8]) -> Option<ServerSentEvent> {
        let line = String::from_utf8_lossy(line);
        self.open = !line.is_empty() && (self.open || !line.starts_with(':'));
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return self.data.take().map(|data| ServerSentEvent { event, data, id: self.id.clone() });
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event = value.into(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.into()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.into()).filter(|id: &String| !id.is_empty()),
            // A comment (which has an empty name), a reconnection time, or an unknown field.
            _ => {}
        }
        None
    }
}

/// An iterator over server-sent events as they arrive. Returned by
/// [`CustomCall::send_events`](crate::CustomCall::send_events). It ends with the response or at the data `[DONE]`.
/// Dropping it closes the connection.
///
/// If the connection breaks, the response ends within an event, or an event is larger than
/// [`max_response_size`](crate::TwelveLabsBuilder::max_response_size), the iterator yields an error and then ends.
#[must_use = "nothing is read until it is iterated over, and dropping it closes the connection"]
pub struct Events {
    stream: Option<Stream>,
    pending: Pending,
}

impl Events {
    pub(crate) fn open(request: Request) -> Result<Self> {
        Ok(Events { stream: Some(Stream::events(request)?), pending: Pending::default() })
    }
}

impl Iterator for Events {
    type Item = Result<ServerSentEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.as_mut()?;
        let event = stream.event(&mut self.pending);
        if !matches!(event, Ok(Some(_))) {
            self.stream = None;
        }
        event.transpose()
    }
}

impl FusedIterator for Events {}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ended", &self.stream.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io;

    /// A reader that returns these pieces, with an interruption before each, and then ends or breaks.
    struct Pieces {
        pieces: std::vec::IntoIter<Vec<u8>>,
        interrupted: bool,
        breaks: bool,
    }

    impl Pieces {
        fn new(bytes: &[u8], cuts: &[usize]) -> Self {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).filter(|piece| !piece.is_empty());
            Pieces { pieces: pieces.collect::<Vec<_>>().into_iter(), interrupted: false, breaks: false }
        }
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match self.pieces.next() {
                Some(piece) => {
                    buffer[..piece.len()].copy_from_slice(&piece);
                    Ok(piece.len())
                }
                None if self.breaks => Err(io::ErrorKind::ConnectionReset.into()),
                None => Ok(0),
            }
        }
    }

    /// Returns everything that a stream yields, with errors by name.
    fn all<T: fmt::Debug>(mut next: impl FnMut() -> Result<Option<T>, Fault>) -> Vec<Result<T, String>> {
        std::iter::from_fn(|| next().map_err(|fault| format!("{fault:?}")).transpose())
            .scan(false, |ended, item| (!std::mem::replace(ended, item.is_err())).then_some(item))
            .collect()
    }

    fn lines(bytes: &[u8], cuts: &[usize]) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(Pieces::new(bytes, cuts), 1000);
        all(|| Ok(lines.json()?.map(|line| String::from_utf8_lossy(&line).into_owned())))
    }

    fn events(bytes: &[u8], cuts: &[usize]) -> Vec<Result<ServerSentEvent, String>> {
        let (mut lines, mut pending) = (Lines::new(Pieces::new(bytes, cuts), 1000), Pending::default());
        all(|| lines.event(&mut pending))
    }

    fn event(event: &str, data: &str, id: Option<&str>) -> Result<ServerSentEvent, String> {
        Ok(ServerSentEvent { event: event.into(), data: data.into(), id: id.map(Into::into) })
    }

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_split() {
        let text = "\u{feff}{\"a\":\"é𝄞\"}\r\n\n \r\n[1,\t2]\r{\"b\":1}\n\r\nno json\n{}";
        let expected = ["{\"a\":\"é𝄞\"}", "[1,\t2]", "{\"b\":1}", "no json", "{}"].map(|line| Ok(line.to_string()));
        for cut in 0..=text.len() {
            assert_eq!(lines(text.as_bytes(), &[cut]), expected, "split at {cut}");
        }
        assert_eq!(lines(text.as_bytes(), &(0..text.len()).collect::<Vec<_>>()), expected, "byte by byte");
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        let text = "\u{feff}{\"a\":1}\n\u{feff}{\"b\":NaN}\r\n\u{feff}\n\u{feff}[\"c\", 1e999]";
        let expected = ["{\"a\":1}", "{\"b\":NaN}", "[\"c\", 1e999]"].map(|line| Ok(line.to_string()));
        assert_eq!(lines(text.as_bytes(), &[]), expected);
        let found = events("\u{feff}data: 1\n\n\u{feff}event: a\ndata: 2\n\n".as_bytes(), &[]);
        assert_eq!(found, [event("", "1", None), event("a", "2", None)]);
    }

    #[test]
    fn a_truncated_event_is_an_error() {
        let text = "{\"a\":1}\n{\"b\":\"é\"}";
        for end in 9..text.len() {
            assert_eq!(lines(&text.as_bytes()[..end], &[]), [Ok("{\"a\":1}".into()), Err("Truncated".into())], "{end}");
        }
        let text = ":hello\n\nevent: a\ndata: é\n\n";
        for end in 10..text.len() {
            assert_eq!(events(&text.as_bytes()[..end], &[]), [Err("Truncated".into())], "{end}");
        }
        for whole in ["", ":", ":hello", ":hello\n", ":hello\n\n", "\n"] {
            assert_eq!(events(whole.as_bytes(), &[]), [], "{whole:?}");
        }
        let mut broken = Lines::new(Pieces { breaks: true, ..Pieces::new(b"{}\n{", &[]) }, 1000);
        assert!(matches!(broken.json(), Ok(Some(_))));
        assert!(matches!(broken.json(), Err(Fault::Read(e)) if e.kind() == io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_before_it_is_kept() {
        let endless = |byte: u8| Lines::new(io::repeat(byte), 100_000);
        assert!(matches!(endless(b'x').next(), Err(Fault::TooLong)));
        assert!(matches!(Lines::new(&b"data: 123\n"[..], 8).next(), Err(Fault::TooLong)));
        assert!(matches!(Lines::new(&b"data: 12\n"[..], 8).next(), Ok(Some(_))));
        // None of its lines is long.
        let (mut event, mut pending) = (Lines::new(Pieces::new(&b"data: 12\n".repeat(9), &[]), 8), Pending::default());
        assert!(matches!(event.event(&mut pending), Err(Fault::TooLong)));
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_split() {
        let text = "\u{feff}: a comment\r\nevent: first\r\ndata: {\"a\":\r\ndata:  \"é𝄞\"}\r\nid: 7\r\n\r\n\
            retry: 3000\nunknown: field\ndata\n\ndata:\ndata:\n\nevent: without data\n\nid\rdata:x:y\r\rid: a\0b\nevent: new\n\
            data: z\n\ndata: [DONE]\n\ndata: never seen\n\n";
        let expected = [
            event("first", "{\"a\":\n \"é𝄞\"}", Some("7")),
            event("", "", Some("7")),
            event("", "\n", Some("7")),
            event("", "x:y", None),
            event("new", "z", None),
        ];
        for cut in 0..=text.len() {
            assert_eq!(events(text.as_bytes(), &[cut]), expected, "split at {cut}");
        }
        assert_eq!(events(text.as_bytes(), &(0..text.len()).collect::<Vec<_>>()), expected, "byte by byte");
        assert_eq!(
            events(b"data: 1\n\ndata: [DONE]", &[]),
            [event("", "1", None)],
            "`[DONE]` ends the stream even without a blank line"
        );
        assert_eq!(events(b"data: 1\r\n\ndata: 2\n\n", &[]), [event("", "1", None), event("", "2", None)]);
        assert_eq!(
            events(b"data: a\xffb\n\n", &[]),
            [event("", "a\u{fffd}b", None)],
            "invalid UTF-8 is replaced visibly"
        );
    }

    #[test]
    fn an_event_is_returned_with_its_last_byte() {
        for end in ["\n\n", "\r\r", "\r\n\r"] {
            // Reading on would meet the broken connection.
            let text = format!("data: 1{end}");
            let mut lines = Lines::new(Pieces { breaks: true, ..Pieces::new(text.as_bytes(), &[]) }, 1000);
            assert!(matches!(lines.event(&mut Pending::default()), Ok(Some(_))), "{end:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_events_however_they_are_split(
            text in "(data|event|id|:|[{}\"]|é|[ \n\r])*",
            noise in proptest::collection::vec(any::<u8>(), 0..20),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let bytes = [text.as_bytes(), &noise].concat();
            prop_assert_eq!(lines(&bytes, &cuts), lines(&bytes, &[]));
            prop_assert_eq!(events(&bytes, &cuts), events(&bytes, &[]));
        }

        #[test]
        fn written_events_are_read_back(
            pieces in proptest::collection::vec("[^\r\n]{0,20}(\n[^\r\n]{0,20}){0,2}", 0..6),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
            end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        ) {
            let written: String = pieces
                .iter()
                .map(|data| data.split('\n').map(|line| format!("data: {line}{end}")).collect::<String>() + end)
                .collect();
            let expected: Vec<_> = pieces.iter().map(|data| event("", data, None)).collect();
            prop_assert_eq!(events(written.as_bytes(), &cuts), expected);
        }
    }

    #[test]
    fn an_event_of_many_lines_has_a_limit_and_a_last_line_of_json_needs_no_end() {
        let of = |second: usize| format!("data: {}\ndata: {}\n\n", "x".repeat(499), "y".repeat(second));
        assert_eq!(events(of(500).as_bytes(), &[])[0].as_ref().map(|event| event.data.len()), Ok(1000));
        assert_eq!(events(of(501).as_bytes(), &[]), [Err("TooLong".into())]);
        assert_eq!(events(of(700).as_bytes(), &[]), [Err("TooLong".into())]);
        for text in ["7", "\"a\"", "null", "{\"a\":NaN}"] {
            assert_eq!(lines(text.as_bytes(), &[]), [Ok(text.to_string())]);
        }
        assert_eq!(lines(b"{\"a\":", &[]), [Err("Truncated".into())]);
    }
}
