//! The TCP socket of a connection: how it waits, and which state a fault leaves it in.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport, time};

use crate::http::connection::exchange::{Exchange, Limit, Stage, Watch};
use crate::limits::{SLICE, WRITE_PAUSES};

/// The maximum amount of pending output. A server that sends something again and again, without ever reading, must not
/// make it grow.
const MAX_PENDING: usize = 4 << 20;

/// The methods of a TCP stream that [`Socket`] needs. Tests implement it with streams that fail as other systems' do.
pub(super) trait Stream: Read + Write + Send + Sync + 'static {
    /// Whether a write that reports a timeout has moved no byte.
    ///
    /// POSIX requires it (`SO_SNDTIMEO`: "it shall return with a partial count or with `errno` set to \[EAGAIN\] or
    /// \[EWOULDBLOCK\] if no data is sent"). Windows documents the opposite: a send or a receive that timed out may
    /// have moved some bytes nevertheless ("the operation could be canceled at the same moment the operation was to be
    /// completed"). A chunk whose bytes were sent again after that arrived wrong.
    const HAS_EXACT_TIMEOUTS: bool;

    fn peek(&mut self) -> io::Result<usize>;
    fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()>;
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()>;
    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()>;
    fn describe(&self) -> String;
}

impl Stream for TcpStream {
    const HAS_EXACT_TIMEOUTS: bool = cfg!(unix);

    fn peek(&mut self) -> io::Result<usize> {
        TcpStream::peek(self, &mut [0])
    }

    fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
        TcpStream::set_nonblocking(self, nonblocking)
    }

    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_write_timeout(self, Some(timeout))
    }

    fn describe(&self) -> String {
        self.peer_addr().map_or_else(|e| e.to_string(), |peer| peer.to_string())
    }
}

/// A stream, and the settings that it has now, so that they are not set again.
struct Line<S> {
    stream: S,
    nonblocking: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// The next pause of a write that waits by itself.
    pause: Duration,
}

impl<S: Stream> Line<S> {
    fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
        if self.nonblocking != nonblocking {
            self.stream.set_nonblocking(nonblocking)?;
            self.nonblocking = nonblocking;
        }
        Ok(())
    }

    /// Waits until data can be read, for at most this time. A `peek` moves no byte, so that its timeout is safe on
    /// every system.
    fn wait_readable(&mut self, wait: Duration) -> io::Result<bool> {
        self.set_nonblocking(false)?;
        if self.read_timeout != Some(wait) {
            self.stream.set_read_timeout(wait)?;
            self.read_timeout = Some(wait);
        }
        match self.stream.peek() {
            Ok(_) => Ok(true),
            Err(e) if is_slice(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Says whether the other side has sent something, has closed the connection or has broken it.
    fn has_input(&mut self) -> io::Result<bool> {
        self.set_nonblocking(true)?;
        Ok(!matches!(self.stream.peek(), Err(e) if is_slice(&e)))
    }

    /// Writes what there is room for, and waits for room for at most this time. After an error for which [`is_slice`]
    /// is true, no byte was written.
    fn write(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        if S::HAS_EXACT_TIMEOUTS {
            self.set_nonblocking(false)?;
            if self.write_timeout != Some(wait) {
                self.stream.set_write_timeout(wait)?;
                self.write_timeout = Some(wait);
            }
            return self.stream.write(bytes);
        }
        // A write that does not block moves bytes or fails, and never both.
        self.set_nonblocking(true)?;
        let since = Instant::now();
        loop {
            match self.stream.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && since.elapsed() < wait => {
                    thread::sleep(self.pause.min(wait));
                    self.pause = (self.pause * 2).min(WRITE_PAUSES.1);
                }
                Ok(written) => {
                    // The next pause is shorter than the last sufficient one, so that pauses settle at what the line
                    // needs.
                    self.pause = (self.pause / 4).max(WRITE_PAUSES.0);
                    return Ok(written);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes the bytes and returns how many were written: all of them, unless the writing stalls while a response is
    /// awaited and the other side has sent something.
    fn write_all(
        &mut self,
        bytes: &[u8],
        timeout: NextTimeout,
        exchange: Option<&Exchange>,
        can_wait: bool,
    ) -> Result<usize, ureq::Error> {
        let mut whole = Limit::new(timeout.after, timeout.reason);
        let silence = || Limit::new(timeout.per_write.unwrap_or(time::Duration::NotHappening), Timeout::PerWrite);
        let (mut written, mut silent) = (0, silence());
        while written < bytes.len() {
            if let Some(exchange) = exchange {
                exchange.check()?;
            }
            let wait = whole.remaining()?.min(silent.remaining()?).min(SLICE);
            match self.write(&bytes[written..], wait) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(more) => {
                    written += more;
                    silent = silence();
                    if let Some(exchange) = exchange.filter(|exchange| exchange.handed.load(Ordering::Relaxed)) {
                        exchange.set_stage(Stage::Sent);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_slice(&e) => {
                    if let Some(exchange) = exchange
                        && can_wait
                        && exchange.watch() != Watch::Off
                        && self.has_input()?
                    {
                        exchange.set_watch(Watch::Noticed);
                        return Ok(written);
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(written)
    }
}

/// A TCP connection whose waits are short enough for cancellation and exact deadlines, and which never repeats a byte:
/// see [`Stream::HAS_EXACT_TIMEOUTS`].
pub(super) struct Socket<S = TcpStream> {
    line: Line<S>,
    buffers: LazyBuffers,
    /// The output that waits until [`RequestTransport`](super::head::RequestTransport) has read what the server sent
    /// while the connection had no room for more.
    ///
    /// Only the layers above can tell a refusal from other input, such as the session tickets of TLS 1.3, and they
    /// cannot read before they are rid of what they write.
    pending: Vec<u8>,
    /// Whether a write has failed. Nothing more can be written then, but earlier data from the server can still be
    /// read.
    write_failed: bool,
}

impl<S: Stream> Socket<S> {
    pub(super) fn new(stream: S, buffers: LazyBuffers) -> Self {
        let line = Line { stream, nonblocking: false, read_timeout: None, write_timeout: None, pause: WRITE_PAUSES.0 };
        Socket { line, buffers, pending: Vec::new(), write_failed: false }
    }

    /// Says whether nothing more is sent on this connection.
    fn is_cut_short(&mut self, exchange: Option<&Exchange>) -> bool {
        if exchange.is_some_and(Exchange::is_cut_short) {
            self.write_failed = true;
            self.pending = Vec::new();
            return true;
        }
        false
    }

    /// Writes the pending output and this much of the buffer. What is left becomes pending.
    fn write(&mut self, amount: usize, timeout: NextTimeout, exchange: Option<&Exchange>) -> Result<(), ureq::Error> {
        let can_wait = self.pending.len() < MAX_PENDING;
        let result = if self.pending.is_empty() {
            let bytes = &self.buffers.output()[..amount];
            let result = self.line.write_all(bytes, timeout, exchange, can_wait);
            if let Ok(written) = result {
                self.pending.extend_from_slice(&bytes[written..]);
            }
            result
        } else {
            self.pending.extend_from_slice(&self.buffers.output()[..amount]);
            let result = self.line.write_all(&self.pending, timeout, exchange, can_wait);
            if let Ok(written) = result {
                self.pending.drain(..written);
            }
            result
        };
        let Err(e) = result else { return Ok(()) };
        self.write_failed = true;
        match (e, exchange) {
            // The response may have arrived already. A server that refuses a body often says why and closes the
            // connection while the rest is still being sent (RFC 9112, section 9.6).
            (ureq::Error::Io(e), Some(exchange)) if exchange.is_sent() && !exchange.is_canceled() => {
                exchange.cut_short(e);
                Ok(())
            }
            (e, _) => Err(e),
        }
    }
}

impl<S: Stream> Transport for Socket<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let exchange = Exchange::current();
        let exchange = exchange.as_deref();
        if self.is_cut_short(exchange) {
            return Ok(());
        }
        if exchange.is_some_and(|exchange| matches!(exchange.watch(), Watch::Noticed | Watch::Looking)) {
            self.pending.extend_from_slice(&self.buffers.output()[..amount]);
            return Ok(());
        }
        self.write(amount, timeout, exchange)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let exchange = Exchange::current();
        let exchange = exchange.as_deref();
        let is_looking = exchange.is_some_and(|exchange| exchange.watch() == Watch::Looking);
        if !self.is_cut_short(exchange) && !is_looking && !self.pending.is_empty() {
            self.write(0, timeout, exchange)?;
        }
        let timeout = timeout.for_read();
        let mut limit = Limit::new(timeout.after, timeout.reason);
        loop {
            if let Some(exchange) = exchange {
                exchange.check()?;
            }
            if is_looking {
                if !self.line.has_input()? {
                    return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
                }
            } else if !self.line.wait_readable(limit.remaining()?.min(SLICE))? {
                continue;
            }
            match self.line.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // An idle connection must be silent. It must not have ended, and it must not hold unrequested bytes, such as an
        // idle 408 (RFC 9110, section 15.5.9), which would be mistaken for the next response.
        !self.write_failed && self.pending.is_empty() && matches!(self.line.has_input(), Ok(false))
    }
}

/// Says whether an error only means that one slice of a wait is over. Unix reports `WouldBlock`, Windows `TimedOut`.
fn is_slice(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl<S: Stream> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("peer", &self.line.stream.describe()).finish()
    }
}

/// A stream for tests.
#[cfg(test)]
pub(in crate::http) mod fake {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::transport::{ConnectionDetails, Connector};

    use super::*;
    use crate::http::connection::exchange::set_stage;
    use crate::http::connection::head::RequestConnector;
    use crate::http::connection::trust::Trust;
    use crate::sync::lock;

    /// The outcome of a call that moves bytes.
    #[derive(Clone, Copy)]
    pub enum Call {
        /// At most this many bytes are moved.
        Part(usize),
        /// The buffer is full or empty. A blocking call moves this many bytes but still reports a timeout, as on
        /// Windows.
        Full(usize),
        Broken,
    }

    /// A stream with a small buffer and Windows' time limits. The other side is `sent` and `coming`.
    #[derive(Clone, Default)]
    pub struct Windows(pub Arc<Mutex<Other>>);

    #[derive(Default)]
    pub struct Other {
        pub writes: VecDeque<Call>,
        pub sent: Vec<u8>,
        pub reads: VecDeque<Call>,
        pub coming: VecDeque<u8>,
        pub nonblocking: bool,
    }

    impl Write for Windows {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut other = lock(&self.0);
            match other.writes.pop_front().unwrap_or(Call::Part(usize::MAX)) {
                Call::Part(most) => {
                    let part = most.min(bytes.len());
                    other.sent.extend_from_slice(&bytes[..part]);
                    Ok(part)
                }
                Call::Full(_) if other.nonblocking => Err(io::ErrorKind::WouldBlock.into()),
                Call::Full(moved) => {
                    other.sent.extend_from_slice(&bytes[..moved.min(bytes.len())]);
                    Err(io::ErrorKind::TimedOut.into())
                }
                Call::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Windows {
        fn take(&mut self, most: usize, is_peek: bool) -> io::Result<Vec<u8>> {
            let mut other = lock(&self.0);
            let call = if is_peek { other.reads.front().copied() } else { other.reads.pop_front() };
            let most = match call.unwrap_or(Call::Part(usize::MAX)) {
                Call::Part(part) => part.min(most).min(other.coming.len()),
                Call::Broken => return Err(io::ErrorKind::ConnectionReset.into()),
                Call::Full(lost) => {
                    other.reads.pop_front();
                    if other.nonblocking {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    // The bytes taken by an abandoned read are lost.
                    let lost = if is_peek { 0 } else { lost.min(other.coming.len()) };
                    other.coming.drain(..lost);
                    return Err(io::ErrorKind::TimedOut.into());
                }
            };
            Ok(if is_peek {
                other.coming.iter().take(most).copied().collect()
            } else {
                other.coming.drain(..most).collect()
            })
        }
    }

    impl Read for Windows {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.take(buffer.len(), false)?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    impl Stream for Windows {
        const HAS_EXACT_TIMEOUTS: bool = false;

        fn peek(&mut self) -> io::Result<usize> {
            Ok(self.take(1, true)?.len())
        }

        fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
            lock(&self.0).nonblocking = nonblocking;
            Ok(())
        }

        fn set_read_timeout(&mut self, _: Duration) -> io::Result<()> {
            Ok(())
        }

        fn set_write_timeout(&mut self, _: Duration) -> io::Result<()> {
            Ok(())
        }

        fn describe(&self) -> String {
            "windows".into()
        }
    }

    /// Returns a stream on which the calls have these outcomes. Later calls move everything they can.
    pub fn stream(writes: &[Call], reads: &[Call], coming: &[u8]) -> Windows {
        let stream = Windows::default();
        {
            let mut other = lock(&stream.0);
            other.writes.extend(writes);
            other.reads.extend(reads);
            other.coming.extend(coming);
        }
        stream
    }

    /// Returns a connector for tests, which opens these streams one after the other.
    pub(in crate::http) fn scripted(streams: Vec<Windows>, trust: Trust) -> impl Connector<(), Out: Transport> {
        #[derive(Debug)]
        struct Scripted(Mutex<VecDeque<Socket<Windows>>>);

        impl Connector<()> for Scripted {
            type Out = Socket<Windows>;

            fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
                set_stage(Stage::Securing, details.uri);
                if let Some(exchange) = Exchange::current() {
                    exchange.socket.store(true, Ordering::Relaxed);
                }
                Ok(lock(&self.0).pop_front())
            }
        }

        let sockets = streams.into_iter().map(|stream| Socket::new(stream, LazyBuffers::new(4096, 4096)));
        Scripted(Mutex::new(sockets.collect())).chain(RequestConnector { secret: None, trust })
    }
}

#[cfg(test)]
mod tests {
    use super::fake::{Call, Windows, stream};
    use super::*;
    use crate::sync::lock;

    fn socket(writes: &[Call], reads: &[Call], coming: &[u8]) -> (Socket<Windows>, Windows) {
        let stream = stream(writes, reads, coming);
        (Socket::new(stream.clone(), LazyBuffers::new(4096, 4096)), stream)
    }

    fn no_limit() -> NextTimeout {
        NextTimeout { after: time::Duration::NotHappening, reason: Timeout::Global, ..Default::default() }
    }

    #[test]
    fn bytes_sent_before_a_timeout_are_not_sent_again() {
        let body: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        let calls = [Call::Part(700), Call::Full(300), Call::Full(1), Call::Part(5), Call::Full(2000), Call::Part(900)];
        let (mut socket, other) = socket(&calls, &[], &[]);
        socket.buffers().output()[..body.len()].copy_from_slice(&body);
        socket.transmit_output(body.len(), no_limit()).unwrap();
        assert!(lock(&other.0).sent == body);
    }

    #[test]
    fn bytes_received_before_a_timeout_are_not_lost() {
        let response: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        let calls = [Call::Full(10), Call::Part(700), Call::Full(1), Call::Full(5), Call::Part(9)];
        let (mut socket, _) = socket(&[], &calls, &response);
        let mut read = Vec::new();
        while socket.await_input(no_limit()).unwrap() {
            read.extend_from_slice(socket.buffers().input());
            let length = socket.buffers().input().len();
            socket.buffers().input_consume(length);
        }
        assert!(read == response);
    }

    #[test]
    fn data_received_before_a_failed_write_can_be_read() {
        let (mut socket, other) = socket(&[Call::Part(10), Call::Broken], &[], b"HTTP/1.1 413 No\r\n");
        let exchange = Exchange::new("http://a", None);
        exchange.handed.store(true, Ordering::Relaxed);
        let _guard = exchange.enter();
        socket.transmit_output(50, no_limit()).unwrap();
        assert!(exchange.is_cut_short());
        socket.transmit_output(50, no_limit()).unwrap();
        assert_eq!(lock(&other.0).sent.len(), 10, "nothing is written after the fault");
        assert!(socket.await_input(no_limit()).unwrap());
        assert!(socket.buffers().input().starts_with(b"HTTP/1.1 413"));
        assert!(!socket.is_open());
    }

    #[test]
    fn output_waits_while_input_that_came_during_a_stall_is_read() {
        let mut writes = vec![Call::Part(10)];
        writes.extend([Call::Full(0); 1000]);
        let (mut socket, other) = socket(&writes, &[], b"HTTP/1.1 102 Wait\r\n\r\n");
        let exchange = Exchange::new("http://a", None);
        exchange.handed.store(true, Ordering::Relaxed);
        exchange.set_watch(Watch::On);
        let _guard = exchange.enter();
        let body: Vec<u8> = (0..80).collect();
        let transmit = |socket: &mut Socket<Windows>, range: std::ops::Range<usize>| {
            socket.buffers().output()[..range.len()].copy_from_slice(&body[range.clone()]);
            socket.transmit_output(range.len(), no_limit()).unwrap();
        };
        transmit(&mut socket, 0..50);
        assert_eq!((exchange.watch(), lock(&other.0).sent.len()), (Watch::Noticed, 10));
        transmit(&mut socket, 50..70);
        assert_eq!(lock(&other.0).sent.len(), 10, "nothing is sent before the input is read");
        exchange.set_watch(Watch::Looking);
        assert!(socket.await_input(no_limit()).unwrap());
        assert!(socket.buffers().input().starts_with(b"HTTP/1.1 102"));
        lock(&other.0).reads.push_back(Call::Full(0));
        assert!(socket.await_input(no_limit()).is_err(), "the socket does not wait for more input");
        lock(&other.0).reads.push_back(Call::Full(0));
        assert!(!socket.is_open(), "a part of the request is still unsent");
        lock(&other.0).writes.clear();
        exchange.set_watch(Watch::On);
        transmit(&mut socket, 70..80);
        assert_eq!(lock(&other.0).sent, body, "every byte is sent once and in order");
    }

    #[test]
    fn a_fault_before_the_first_byte_is_an_error() {
        let (mut socket, _) = socket(&[Call::Full(0), Call::Broken], &[], b"HTTP/1.1 408 Idle\r\n");
        let exchange = Exchange::new("http://a", None);
        exchange.handed.store(true, Ordering::Relaxed);
        let _guard = exchange.enter();
        assert!(socket.transmit_output(50, no_limit()).is_err());
        assert!(!exchange.is_cut_short() && !exchange.is_sent());
    }

    #[test]
    fn only_a_silent_idle_connection_is_open() {
        for (reads, coming, is_open) in [
            (&[Call::Full(0)][..], &b""[..], true),
            (&[], b"HTTP/1.1 408", false),
            (&[], b"", false),
            (&[Call::Broken], b"", false),
        ] {
            assert_eq!(socket(&[], reads, coming).0.is_open(), is_open);
        }
    }

    #[test]
    fn a_write_that_stops_ends_at_its_limit() {
        let (mut socket, _) = socket(&vec![Call::Full(0); 1000], &[], &[]);
        let silence = NextTimeout { per_write: Some(time::Duration::from_millis(5)), ..no_limit() };
        let e = socket.transmit_output(50, silence).unwrap_err();
        assert!(matches!(e, ureq::Error::Timeout(Timeout::PerWrite)), "{e:?}");
    }
}
