//! The texts of errors: the reason, the request, and the causes if they are asked for.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, STORAGE_OPERATION};
use crate::generation::Generation;
use crate::text::{printable, printable_path};

/// The causes of an error, if they are asked for (`{:#}`).
pub(super) fn causes<'a>(
    f: &mut fmt::Formatter<'_>,
    mut cause: Option<&'a (dyn std::error::Error + 'static)>,
) -> fmt::Result {
    while let Some(e) = cause.filter(|_| f.alternate()) {
        write!(f, ": {e}")?;
        cause = e.source();
    }
    Ok(())
}

pub(super) fn cause<E: std::error::Error + 'static>(source: &Option<E>) -> Option<&(dyn std::error::Error + 'static)> {
    source.as_ref().map(|e| e as _)
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
    causes(f, cause(source))
}

pub(super) fn transport(
    operation: &str,
    message: &str,
    _: &bool,
    source: &Option<io::Error>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{message} ({operation})")?;
    causes(f, cause(source))
}

pub(super) fn file(path: &Path, message: &str, source: &Option<io::Error>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}: {message}", printable_path(path))?;
    causes(f, cause(source))
}

pub(super) fn wait_timeout(
    resource: &str,
    id: &str,
    status: &str,
    waited: &Duration,
    source: &Fault,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (id, status, waited) = (printable(id, 100), printable(status, 100), waited.as_secs());
    write!(f, "{resource} {id} is still `{status}` after {waited} s; it goes on at the platform, ")?;
    f.write_str("wait again with a longer `max_wait_time`")?;
    causes(f, cause(source))
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
    causes(f, cause(source))
}

/// What to do about a redirect.
pub(super) fn way_out(operation: &str) -> &'static str {
    match operation.starts_with(STORAGE_OPERATION) {
        true => "",
        false => "; if that is the right place, set it as `base_url`",
    }
}
