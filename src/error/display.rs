//! The messages of errors: the reason, the request and, on demand, the causes.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, STORAGE_OPERATION, UNKNOWN_STATUS};
use crate::generation::Generation;
use crate::text::{human, printable, printable_path};

/// Writes the causes of an error if the format asks for them (`{:#}`). It omits what was written before: the request
/// of the error, and a cause that the message already contains.
pub(super) fn causes<'a>(
    f: &mut fmt::Formatter<'_>,
    operation: &str,
    message: &str,
    mut cause: Option<&'a (dyn std::error::Error + 'static)>,
) -> fmt::Result {
    let mut said = message.to_string();
    while let Some(e) = cause.filter(|_| f.alternate()) {
        cause = e.source();
        // A cause may contain the text of a caller's reader or of a file system.
        let text = printable(&e.to_string(), 2000);
        let text = text.replace(&format!(" ({operation})"), "").replace(&format!("({operation} at "), "(at ");
        if !said.contains(&text) {
            write!(f, ": {text}")?;
            said = text;
        }
    }
    Ok(())
}

pub(super) fn cause<E: std::error::Error + 'static>(source: &Option<E>) -> Option<&(dyn std::error::Error + 'static)> {
    source.as_ref().map(|e| e as _)
}

/// Writes a sentence that begins with the argument, unless the message is a sentence by itself.
pub(super) fn invalid_argument(argument: &str, message: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if message.starts_with("the ") {
        return f.write_str(message);
    }
    let both = [" and ", " or "].into_iter().find_map(|word| Some((argument.split_once(word)?, word)));
    match both {
        Some(((first, second), word)) => write!(f, "`{first}`{word}`{second}` {message}"),
        None => write!(f, "`{argument}` {message}"),
    }
}

type Fault = Option<Box<Error>>;

pub(super) fn timeout(
    operation: &str,
    message: &str,
    _: &bool,
    source: &Fault,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{message} ({operation})")?;
    causes(f, operation, message, cause(source))
}

pub(super) fn transport(
    operation: &str,
    message: &str,
    _: &bool,
    source: &Option<io::Error>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{message} ({operation})")?;
    causes(f, operation, message, cause(source))
}

/// The beginnings of the messages about a file that leave the operating system's error nothing to add.
const EXPLAINED: [&str; 4] =
    ["there is no such file", "no permission to read the file", "this is a URL", "the path of the file is empty"];

pub(super) fn file(path: &Path, message: &str, source: &Option<io::Error>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match path.as_os_str().is_empty() {
        true => f.write_str(message)?,
        false => write!(f, "{}: {message}", printable_path(path))?,
    }
    match EXPLAINED.iter().any(|beginning| message.starts_with(beginning)) {
        true => Ok(()),
        false => causes(f, "", message, cause(source)),
    }
}

pub(super) fn wait_timeout(
    resource: &str,
    id: &str,
    status: &str,
    waited: &Duration,
    source: &Fault,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (id, waited) = (printable(id, 100), human(*waited));
    match status {
        UNKNOWN_STATUS => write!(f, "the status of {resource} {id} is not known after {waited}")?,
        status => write!(f, "{resource} {id} is still `{}` after {waited}", printable(status, 100))?,
    }
    f.write_str("; the platform continues with it, so wait again or raise `max_wait_time`")?;
    causes(f, "", "", cause(source))
}

pub(super) fn stream(
    operation: &str,
    message: &str,
    _: &Option<String>,
    _: &str,
    _: &Generation,
    source: &Fault,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{message} ({operation})")?;
    causes(f, operation, message, cause(source))
}

/// Returns the remedy for a redirect.
pub(super) fn way_out(operation: &str) -> &'static str {
    match operation.starts_with(STORAGE_OPERATION) {
        true => "",
        false => "; if that is the right place, set it as `base_url`",
    }
}
