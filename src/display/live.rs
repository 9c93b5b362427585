//! The live view of a sweep: redrawn in place on a terminal, one line for each run that ends elsewhere.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use console::{Term, style, truncate_str};
use sweep_agent::Notice;
use sweep_proto::v1::{Run, Sweep, WatchSweepResponse};

use super::run_facts::{Constants, last_beside, params_line};
use super::{number, printable, span};

const RUNNING_LINES_MAX: usize = 8;
const ENDED_LINES_MAX: usize = 3;
const BAR_WIDTH_MAX: usize = 40;

/// How many lines above the cursor of the terminal a view has drawn. There is one terminal, and other output has to remove them first.
static DRAWN: Mutex<usize> = Mutex::new(0);

/// Says something to the person at the terminal: a view is redrawn below it.
pub(crate) fn say(words: std::fmt::Arguments<'_>) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    erase(&Term::stderr(), &mut drawn);
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// A terminal that has gone away is no reason to stop.
fn erase(term: &Term, drawn: &mut usize) {
    if *drawn > 0 {
        // Ctrl-C shows as `^C` behind the cursor.
        let _ = term.clear_line();
        let _ = term.clear_last_lines(std::mem::take(drawn));
    }
}

/// A view that follows a sweep. Goes to standard error: results go to standard output.
#[derive(Debug)]
pub(crate) struct Live {
    term: Term,
    constants: Constants,
    seen: BTreeSet<(u64, usize)>,
    began: Instant,
    last_state: String,
    /// It was said that agents execute several versions of the code.
    mixed_said: bool,
    /// The objective that is printed and not read was named.
    unread_said: bool,
}

impl Live {
    /// Begins with nothing drawn.
    pub(crate) fn new(constants: Constants) -> Self {
        Self {
            term: Term::stderr(),
            constants,
            seen: BTreeSet::new(),
            began: Instant::now(),
            last_state: String::new(),
            mixed_said: false,
            unread_said: false,
        }
    }

    /// Shows how the sweep is now.
    pub(crate) fn show(&mut self, view: &WatchSweepResponse) {
        let Some(sweep) = &view.sweep else { return };
        if !self.term.is_term() {
            self.lines(sweep, view);
            return;
        }
        let width = usize::from(self.term.size().1).max(20);
        let height = usize::from(self.term.size().0).max(4);
        let mut lines = self.picture(sweep, view, width);
        lines.truncate(height - 1);
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        erase(&self.term, &mut drawn);
        for line in &lines {
            let _ = self.term.write_line(&truncate_str(line, width - 1, "…"));
        }
        *drawn = lines.len();
    }

    /// Leaves the last picture where it is.
    pub(crate) fn close(&mut self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }

    fn picture(&self, sweep: &Sweep, view: &WatchSweepResponse, width: usize) -> Vec<String> {
        let name = if sweep.name.is_empty() {
            String::new()
        } else {
            format!(" {}", printable(&sweep.name))
        };
        let state = match sweep.state.as_str() {
            "running" => style(&sweep.state).green(),
            "finished" => style(&sweep.state).cyan(),
            _ => style(&sweep.state).yellow(),
        };
        let elapsed = span(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut lines = vec![format!(
            "{} {}{name}  {}  {elapsed}",
            style("sweep").bold(),
            sweep.id,
            state.for_stderr()
        )];
        lines.push(format!("  {} {}", bar(sweep, width), counts(sweep)));
        if let Some(best) = &view.best {
            let value = best.value.map(number).unwrap_or_default();
            let label = style(format!("{} = {value}", printable(&sweep.metric)))
                .bold()
                .for_stderr();
            lines.push(format!(
                "  best {label} by run {}: {}",
                best.run,
                params_line(best, &self.constants)
            ));
        }
        if !sweep.unread.is_empty() {
            lines.push(format!(
                "  {}",
                style(format!("not read: {}", printable(&sweep.unread)))
                    .yellow()
                    .for_stderr()
            ));
        }
        if let Some(mixed) = mixed(sweep, view) {
            lines.push(format!("  {}", style(mixed).yellow().for_stderr()));
        }
        for run in view.running.iter().take(RUNNING_LINES_MAX) {
            lines.push(format!(
                "  {} {:>4}  {}{}",
                style("running").green().for_stderr(),
                run.run,
                objective(sweep, run),
                params_line(run, &self.constants)
            ));
        }
        if view.running.len() > RUNNING_LINES_MAX {
            lines.push(format!(
                "  … and {} more",
                view.running.len() - RUNNING_LINES_MAX
            ));
        }
        for run in view.ended.iter().take(ENDED_LINES_MAX) {
            lines.push(ended_line(sweep, run, &self.constants));
        }
        lines
    }

    fn lines(&mut self, sweep: &Sweep, view: &WatchSweepResponse) {
        for run in view.ended.iter().rev() {
            if self.seen.insert((run.run, run.attempts.len())) {
                say!("{}", ended_line(sweep, run, &self.constants).trim_start());
            }
        }
        if !sweep.unread.is_empty() && !self.unread_said {
            self.unread_said = true;
            say!("not read: {}", printable(&sweep.unread));
        }
        if let Some(mixed) = mixed(sweep, view).filter(|_| !self.mixed_said) {
            self.mixed_said = true;
            say!("{mixed}");
        }
        if self.last_state != sweep.state {
            self.last_state.clone_from(&sweep.state);
            let reason = if sweep.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", printable(&sweep.reason))
            };
            say!(
                "sweep {} is {}{reason} ({})",
                sweep.id,
                sweep.state,
                counts(sweep)
            );
        }
    }
}

/// Says so where running runs execute several versions of the code.
fn mixed(sweep: &Sweep, view: &WatchSweepResponse) -> Option<String> {
    mixed_versions(sweep, view.running.iter())
}

/// As [`mixed`], of these runs.
pub(crate) fn mixed_versions<'a>(
    sweep: &Sweep,
    running: impl Iterator<Item = &'a Run>,
) -> Option<String> {
    let known = running
        .map(|run| run.code_version.as_str())
        .filter(|version| !version.is_empty());
    let versions: BTreeSet<_> = known.collect();
    (versions.len() > 1).then(|| {
        format!(
            "{} versions of the code are executed at the same time: `sweep code {}` says where",
            versions.len(),
            sweep.id
        )
    })
}

fn bar(sweep: &Sweep, width: usize) -> String {
    let cells = (width / 3).min(BAR_WIDTH_MAX);
    let Some(planned) = planned(sweep).filter(|_| cells >= 5) else {
        return String::new();
    };
    let full = (u128::from(ended(sweep)) * cells as u128 / u128::from(planned)) as usize;
    format!(
        "{}{}",
        style("━".repeat(full)).green().for_stderr(),
        style("━".repeat(cells - full)).dim().for_stderr()
    )
}

/// Returns how many runs have ended.
pub(crate) fn ended(sweep: &Sweep) -> u64 {
    sweep.finished + sweep.stopped + sweep.failed + sweep.cancelled
}

/// Returns how many runs the sweep will have; `None` where that is open. Imported runs come on top
/// of a run cap: with more of them than that, how many runs are missing cannot be told.
pub(crate) fn planned(sweep: &Sweep) -> Option<u64> {
    (sweep.planned > 0 && ended(sweep) <= sweep.planned).then_some(sweep.planned)
}

/// Returns the runs of a sweep by state: `12/40 ended: 9 finished, 3 failed; 2 running`.
pub(crate) fn counts(sweep: &Sweep) -> String {
    let planned = planned(sweep).map_or_else(String::new, |planned| format!("/{planned}"));
    let part = |count: u64, word: &str| (count > 0).then(|| format!("{count} {word}"));
    let ends = [
        part(sweep.finished, "finished"),
        part(sweep.stopped, "stopped early"),
        part(sweep.failed, "failed"),
        part(sweep.cancelled, "cancelled"),
    ];
    let ends: Vec<_> = ends.into_iter().flatten().collect();
    let rest = [part(sweep.running, "running"), part(sweep.queued, "queued")];
    let rest: Vec<_> = rest.into_iter().flatten().collect();
    let colon = if ends.is_empty() { "" } else { ": " };
    let semicolon = if rest.is_empty() { "" } else { "; " };
    format!(
        "{}{planned} ended{colon}{}{semicolon}{}",
        ended(sweep),
        ends.join(", "),
        rest.join(", ")
    )
}

fn objective(sweep: &Sweep, run: &Run) -> String {
    let metric = printable(&sweep.metric);
    match (run.best, run.last) {
        (Some(best), Some(last)) if number(best) != number(last) => {
            format!("{metric} best {}, last {}  ", number(best), number(last))
        }
        (_, Some(last)) => format!("{metric} = {}  ", number(last)),
        _ => String::new(),
    }
}

fn ended_line(sweep: &Sweep, run: &Run, constants: &Constants) -> String {
    let (state, note) = match run.state.as_str() {
        "finished" => (style("finished").cyan(), String::new()),
        "stopped" => (style(" stopped").yellow(), run.reason.clone()),
        "failed" => (style("  failed").red(), run.reason.clone()),
        other => (style(other).dim(), run.reason.clone()),
    };
    let value = run
        .value
        .map(|value| {
            let last = last_beside(run).map_or_else(String::new, |last| format!(" ({last})"));
            format!("{} = {}{last}  ", printable(&sweep.metric), number(value))
        })
        .unwrap_or_default();
    let note = note
        .lines()
        .next()
        .map(|note| format!("  ({})", printable(note)))
        .unwrap_or_default();
    format!(
        "  {} {:>4}  {value}{}{note}",
        state.for_stderr(),
        run.run,
        params_line(run, constants)
    )
}

/// Prints a notice of an agent as a line: a verb, right-aligned, and its subject.
pub(crate) fn notice(notice: &Notice) -> String {
    let line = |verb: &str, rest: String| {
        format!(
            "{} {rest}",
            style(format!("{verb:>12}")).green().bold().for_stderr()
        )
    };
    match notice {
        Notice::Joined { sweep, slots, gpus } => {
            let gpus = match gpus {
                0 => "no GPUs".to_owned(),
                1 => "1 GPU".to_owned(),
                several => format!("{several} GPUs"),
            };
            line(
                "Joined",
                format!(
                    "sweep {sweep} with {slots} {} ({gpus})",
                    if *slots == 1 { "slot" } else { "slots" }
                ),
            )
        }
        Notice::Started {
            run,
            attempt,
            command,
        } => line(
            "Started",
            format!(
                "run {run}{}  {}",
                again(*attempt),
                printable(&crate::shell::line(command))
            ),
        ),
        Notice::Ended {
            run,
            attempt,
            state,
            objective,
            last,
            message,
        } => {
            let value = match (objective, last) {
                (Some(value), Some(last)) if number(*value) != number(*last) => {
                    format!("  {} (last {})", number(*value), number(*last))
                }
                (Some(value), _) => format!("  {}", number(*value)),
                (None, Some(last)) => format!("  last {}", number(*last)),
                (None, None) => String::new(),
            };
            let message = if message.is_empty() {
                String::new()
            } else {
                format!("  {}", printable(message))
            };
            let verb = match state.as_str() {
                "queued" => "Requeued".to_owned(),
                other => other
                    .chars()
                    .take(1)
                    .flat_map(char::to_uppercase)
                    .chain(other.chars().skip(1))
                    .collect(),
            };
            line(
                &verb,
                format!("run {run}{}{value}{message}", again(*attempt)),
            )
        }
        Notice::Disconnected { reason } => line(
            "Waiting",
            format!("for the controller: {}", printable(reason)),
        ),
        Notice::Reconnected => line("Connected", "to the controller again".to_owned()),
        Notice::Note(text) => line("Note", printable(text)),
    }
}

fn again(attempt: u32) -> String {
    if attempt > 1 {
        format!(" (attempt {attempt})")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_labels_a_last_value_that_does_not_count() {
        let ended = |objective, last| {
            let line = notice(&Notice::Ended {
                run: 7,
                attempt: 1,
                state: "finished".to_owned(),
                objective,
                last,
                message: "exit status 3".to_owned(),
            });
            console::strip_ansi_codes(&line).trim_start().to_owned()
        };
        assert_eq!(
            ended(Some(0.5), Some(0.25)),
            "Finished run 7  0.5 (last 0.25)  exit status 3"
        );
        assert_eq!(
            ended(Some(0.5), Some(0.5)),
            "Finished run 7  0.5  exit status 3"
        );
        assert_eq!(
            ended(None, Some(0.25)),
            "Finished run 7  last 0.25  exit status 3"
        );
    }

    #[test]
    fn several_versions_of_the_code_at_the_same_time_are_no_secret() {
        let sweep = Sweep {
            id: "ab12cd34".to_owned(),
            ..Sweep::default()
        };
        let running = |versions: &[&str]| {
            let run = |version: &&str| Run {
                code_version: (*version).to_owned(),
                ..Run::default()
            };
            WatchSweepResponse {
                running: versions.iter().map(run).collect(),
                ..WatchSweepResponse::default()
            }
        };
        assert_eq!(mixed(&sweep, &running(&["a", "", "a"])), None);
        let said = mixed(&sweep, &running(&["a", "b", "a"])).unwrap();
        assert_eq!(
            said,
            "2 versions of the code are executed at the same time: `sweep code ab12cd34` says where"
        );
    }
}
