//! The progress bars: one for each file in progress, and one for the whole batch.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::style::TemplateError;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use twelvelabs::assets::{UploadProgress, UploadState};

use super::report::{Kind, shown};

const TEMPLATE: &str = "{prefix:22!} {wide_bar} {decimal_bytes:>9} of {decimal_total_bytes:>9} {left:>8} {msg:14!}";
const NAME_WIDTH: usize = 22;

/// The bars are shown on standard error if that is a terminal, and otherwise not at all. The bar for the whole batch
/// comes first, where it stays visible if there are more bars than lines.
pub struct Bars {
    multi: MultiProgress,
    style: ProgressStyle,
    whole: ProgressBar,
    state: Mutex<State>,
}

struct State {
    files: HashMap<PathBuf, File>,
    finished: usize,
    /// The number of files that have arrived and are not finished.
    processing: usize,
    total: usize,
}

/// A file in progress.
#[derive(Default)]
struct File {
    bar: Option<ProgressBar>,
    sent: u64,
    has_arrived: bool,
}

impl Bars {
    pub fn new(hidden: bool, files: usize, bytes: u64) -> Result<Self, TemplateError> {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let multi = MultiProgress::with_draw_target(target);
        let style = ProgressStyle::with_template(TEMPLATE)?.with_key("left", time_left);
        let whole = multi.add(ProgressBar::new(bytes).with_style(style.clone()));
        let state = State { files: HashMap::new(), finished: 0, processing: 0, total: files };
        let bars = Bars { multi, style, whole, state: Mutex::new(state) };
        bars.describe(&bars.state());
        bars.whole.enable_steady_tick(Duration::from_millis(250));
        Ok(bars)
    }

    pub fn is_hidden(&self) -> bool {
        self.multi.is_hidden()
    }

    /// Hides the bars while something is written.
    pub fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.multi.suspend(write)
    }

    /// Removes the bars.
    pub fn clear(&self) {
        self.whole.finish_and_clear();
    }

    /// Shows the progress of a file.
    pub fn progress(&self, path: &Path, progress: &UploadProgress) {
        let mut guard = self.state();
        let state = &mut *guard;
        let file = state.files.entry(path.to_path_buf()).or_default();
        let sent = match progress.state {
            UploadState::Uploading => {
                let bar = file.bar.get_or_insert_with(|| self.begin(path));
                bar.set_length(progress.total.unwrap_or_default());
                bar.set_position(progress.sent);
                if progress.total_chunks > 0 {
                    bar.set_message(format!("{}/{} chunks", progress.completed_chunks, progress.total_chunks));
                }
                progress.sent
            }
            _ => {
                self.end(file);
                state.processing += usize::from(!std::mem::replace(&mut file.has_arrived, true));
                progress.total.unwrap_or(file.sent)
            }
        };
        self.count(file, sent);
        self.describe(state);
    }

    /// Counts a file as finished. Bytes that were not sent are no longer expected.
    pub fn finished(&self, path: &Path, kind: Kind, size: u64) {
        let mut state = self.state();
        let mut file = state.files.remove(path).unwrap_or_default();
        self.end(&mut file);
        match kind {
            Kind::Uploaded => self.count(&mut file, size),
            _ => self.whole.dec_length(size.saturating_sub(file.sent)),
        }
        state.finished += 1;
        state.processing -= usize::from(file.has_arrived);
        self.describe(&state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, path: &Path) -> ProgressBar {
        let name: Vec<char> = shown(Path::new(path.file_name().unwrap_or(path.as_os_str()))).chars().collect();
        // The end of a long name distinguishes files better than its start.
        let prefix = match name.len().checked_sub(NAME_WIDTH) {
            None | Some(0) => name.iter().collect(),
            Some(more) => format!("…{}", name[more + 1..].iter().collect::<String>()),
        };
        self.multi.add(ProgressBar::new(0).with_style(self.style.clone())).with_prefix(prefix)
    }

    fn end(&self, file: &mut File) {
        if let Some(bar) = file.bar.take() {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// Counts the bytes sent. If a chunk has to be sent again, its bytes are subtracted.
    fn count(&self, file: &mut File, sent: u64) {
        self.whole.inc(sent.saturating_sub(file.sent));
        self.whole.dec(file.sent.saturating_sub(sent));
        file.sent = sent;
    }

    fn describe(&self, state: &State) {
        self.whole.set_prefix(format!("{} of {} files", state.finished, state.total));
        let message = if state.processing > 0 { format!("{} processing", state.processing) } else { String::new() };
        self.whole.set_message(message);
    }
}

fn time_left(state: &ProgressState, text: &mut dyn Write) {
    if state.pos() > 0 && state.len().is_some_and(|length| state.pos() < length) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:#} left", HumanDuration(state.eta()));
    }
}
