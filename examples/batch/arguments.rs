//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub const HELP: &str = "\
Uploads media files, many at a time. Made for jobs that run unattended: one bad file does not stop the others, and with
a manifest a second run goes on where the first one ended.

usage: batch [OPTIONS] PATH...

A PATH is a file, or a folder: then it stands for the video, audio and image files directly in it. The API key is read
from TWELVELABS_API_KEY. Without a key and without a PATH, sample files go to a stand-in for the platform on this
machine.

  --manifest FILE    keep a journal of what is done, in this file (recommended): run the same again after a failure
                     or a kill, and it skips what is done, resumes what was interrupted, tries again what may succeed
  --list FILE        take further PATHs from this file, one a line; - is standard input
  -r, --recursive    look into the folders of a folder, too
  --workers N        how many files at a time (4)
  --threshold BYTES  send larger files in chunks (200000000)
  --no-wait          do not wait until the platform has processed the files
  --retry-permanent  try again what failed for good in an earlier run with the manifest
  --json             write a JSON object a line for each file, and a last one for the whole
  -q, --quiet        say only what failed
  --stand-in         use the stand-in also if there is a key or a PATH: to try this tool without the platform
  -h, --help         show this

Standard output has a line for each file as it is finished: what became of it, its asset id, its path, and the reason if
it failed. Everything else goes to standard error, with bars if that is a terminal. A reader of standard output that
goes away does not stop the uploads.

To stop it early, type q and Enter: the files on their way break off, and all are accounted for. Ctrl-C or a kill does
no harm either if there is a manifest. (Give it </dev/null before you send it to the background with Ctrl-Z.)

exit codes:
  0    every file is uploaded, now or in an earlier run
  1    some were not
  2    nothing was begun: wrong usage, no API key, a list or a manifest that cannot be read, or a manifest that another
       run uses or that is of another account
  3    stopped early by a quota of the account; the summary says when to come back
  130  stopped early on request
";

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments {
    pub paths: Vec<PathBuf>,
    pub lists: Vec<PathBuf>,
    pub recursive: bool,
    pub manifest: Option<PathBuf>,
    pub workers: Option<u32>,
    pub threshold: Option<u64>,
    pub no_wait: bool,
    pub retry_permanent: bool,
    pub json: bool,
    pub quiet: bool,
    pub stand_in: bool,
    pub help: bool,
}

impl Arguments {
    /// Reads the arguments after the program's name. The error says what was wrong.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut parsed = Arguments::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            let (name, attached) = match text.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (text.as_str(), None),
            };
            let mut value = |what: &str| {
                match attached {
                    Some(value) => Some(OsString::from(value)),
                    None => arguments.next().filter(|next| !next.to_string_lossy().starts_with("--")),
                }
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("{name} needs a value: {name} {what}"))
            };
            let flag = match name {
                "--list" => {
                    parsed.lists.push(value("FILE")?.into());
                    continue;
                }
                "--manifest" => {
                    parsed.manifest = Some(value("FILE")?.into());
                    continue;
                }
                "--workers" => {
                    let workers = number(name, value("N")?)?;
                    parsed.workers = Some(
                        u32::try_from(workers)
                            .ok()
                            .filter(|workers| *workers > 0)
                            .ok_or_else(|| format!("{name} has to be at least 1, not {workers}"))?,
                    );
                    continue;
                }
                "--threshold" => {
                    parsed.threshold = Some(number(name, value("BYTES")?)?);
                    continue;
                }
                "-r" | "--recursive" => &mut parsed.recursive,
                "--no-wait" => &mut parsed.no_wait,
                "--retry-permanent" => &mut parsed.retry_permanent,
                "--json" => &mut parsed.json,
                "-q" | "--quiet" => &mut parsed.quiet,
                "--stand-in" => &mut parsed.stand_in,
                "-h" | "--help" => &mut parsed.help,
                "--" => {
                    parsed.paths.extend(arguments.map(PathBuf::from));
                    break;
                }
                "-" => return Err("a PATH of - means nothing; --list - reads paths from standard input".into()),
                "" => return Err("a PATH is empty; an unset variable, perhaps".into()),
                _ if name.starts_with('-') => return Err(format!("there is no option {name}")),
                _ => {
                    parsed.paths.push(argument.into());
                    continue;
                }
            };
            if attached.is_some() {
                return Err(format!("{name} takes no value"));
            }
            *flag = true;
        }
        Ok(parsed)
    }
}

fn number(name: &str, value: OsString) -> Result<u64, String> {
    let text = value.to_string_lossy();
    text.parse().map_err(|_| format!("{name} has to be a whole number, not `{text}`"))
}
