//! Shared code of the examples: arguments, the stand-in, and the end of a program.

#![allow(dead_code)]

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use twelvelabs::TwelveLabs;
use twelvelabs::assets::UploadMethod;
use twelvelabs::testing::{Fault, StandIn};

pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

pub const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];

/// Whether there is an API key, so that an example can use the real platform.
pub fn has_key() -> bool {
    KEY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|key| !key.is_empty()))
}

/// A stand-in for the platform on this machine, and a client that talks to it.
pub struct Demo {
    pub client: TwelveLabs,
    pub stand_in: StandIn,
}

impl Demo {
    pub fn start() -> Result<Self> {
        eprintln!("No API key is set: using a stand-in for the platform on this machine.");
        let demo = Self::start_silently()?;
        // Slows the answer down to the pace of a model.
        for endpoint in ["POST /analyze", "POST /responses"] {
            demo.stand_in.fault(endpoint, Fault::trickle(Duration::from_millis(20)).always());
        }
        Ok(demo)
    }

    pub fn start_silently() -> Result<Self> {
        let stand_in = StandIn::try_start()?;
        Ok(Demo { client: stand_in.client(), stand_in })
    }
}

/// Returns the arguments after the name of the program.
pub fn arguments() -> Result<Vec<String>> {
    let arguments = std::env::args_os().skip(1);
    arguments.map(|argument| argument.into_string().map_err(|_| "the arguments must be valid Unicode".into())).collect()
}

pub fn is_url(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}

/// Returns the file name at the end of a path or a URL.
pub fn file_name(source: &str) -> &str {
    let place = if is_url(source) { source.split(['?', '#']).next().unwrap_or(source) } else { source };
    Path::new(place).file_name().and_then(OsStr::to_str).unwrap_or(place)
}

/// Chooses the upload method for a path or a URL.
pub fn upload_method(source: &str) -> UploadMethod {
    if is_url(source) { UploadMethod::url(source) } else { UploadMethod::direct(source) }
}

/// Returns the exit code for an outcome, and writes an error with its causes to stderr.
pub fn finish(outcome: Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has closed it.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Formats an error with its causes on one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    match (error.downcast_ref::<twelvelabs::Error>(), error.source()) {
        // An error of the crate appends its own causes.
        (Some(error), _) => format!("{error:#}"),
        (None, Some(cause)) => format!("{error}: {}", with_causes(cause)),
        (None, None) => error.to_string(),
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
