//! The history that W&B's library writes into a file, offline and online (seen with version 0.31):
//! a program that calls `wandb.log` is understood as it is. The library writes in bursts, some
//! seconds apart.

pub(crate) mod frames;
mod messages;
mod run;
mod summary;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use self::messages::RunHead;
pub(crate) use self::run::WandbUpdate;
use self::run::{WandbRun, WandbSample};
use super::Reading;

/// The suffix of a metric whose last value the program has replaced in the summary.
const OVERRIDE: &str = ".summary";
/// The prefix of the number of a run in names of metrics.
const INIT: &str = "init-";

/// Reads what the runs of one attempt log: nearly always one run, several one after the other where
/// the program begins several.
#[derive(Debug, Default)]
pub(crate) struct WandbRuns {
    objective: String,
    /// In the order in which they were found, which is the same for each agent.
    files: Vec<PathBuf>,
    /// The one that is being read, by its place. A later one is read when this one has ended, or
    /// when no process can write any more, so that the order of the readings never changes.
    current: usize,
    run: Option<WandbRun>,
    inits: Inits,
    has_remarked: bool,
}

/// Returns the folder of a run that a line of the library names: `wandb: Run data is saved locally
/// in /x/wandb/offline-run-20261130_133416-98knwfaa`.
pub(crate) fn folder_in(line: &str) -> Option<String> {
    if !line.contains("Run data is saved locally in ") {
        return None;
    }
    let line = console::strip_ansi_codes(line);
    Some(
        line.trim()
            .strip_prefix("wandb: Run data is saved locally in ")?
            .to_owned(),
    )
}

impl WandbRuns {
    /// Reads files for a sweep with this objective.
    pub(crate) fn new(objective: &str) -> Self {
        Self {
            objective: objective.to_owned(),
            ..Self::default()
        }
    }

    /// Reads the file of a further run, once those before it have ended.
    pub(crate) fn add(&mut self, path: PathBuf) {
        if self.run.is_none() {
            self.run = Some(WandbRun::new(&path));
        }
        self.files.push(path);
    }

    /// Returns the new points. With `last`, no process can write any more. A file that cannot be
    /// read is the program's responsibility: the user is warned, and it is tried again.
    pub(crate) async fn read(&mut self, last: bool) -> WandbUpdate {
        let mut seen = WandbUpdate::default();
        if let Err(error) = self.follow(last, &mut seen).await {
            seen.complaint = Some(format!(
                "what W&B's library writes cannot be read, so its metrics are not seen: {error}"
            ));
        }
        seen
    }

    async fn follow(&mut self, last: bool, seen: &mut WandbUpdate) -> io::Result<()> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let mut samples = run.read(seen).await?;
        if !seen.more && last {
            samples.extend(run.end());
        }
        let readings = samples
            .into_iter()
            .map(|sample| self.inits.reading(run.head.as_ref(), sample));
        seen.readings.extend(readings);
        let begins_next = !seen.more && run.ended && self.current + 1 < self.files.len();
        if begins_next {
            self.current += 1;
            let head = run.head.take();
            self.inits.begin_file(head);
            *run = WandbRun::new(&self.files[self.current]);
            seen.more = true;
        }
        if !self.has_remarked && self.inits.has_several(&self.objective) {
            self.has_remarked = true;
            let name = &self.objective;
            seen.remark = Some(format!(
                "the program calls wandb.init several times: the runs are kept apart (`{name}`, `{INIT}2/{name}`, …), and the objective is the mean of \
                 what each of them came to, unless `objective_over_inits: last` or `first` in the sweep file makes it that of one"
            ));
        }
        Ok(())
    }
}

/// Tells the runs that a program begins one after the other apart. Files that resume a run belong
/// to it.
#[derive(Debug, Default)]
struct Inits {
    /// The run of the file that is read; none before its first metric.
    current: Option<Init>,
    /// The number of runs that gave metrics.
    count: u32,
    /// Those of earlier files, by their ids.
    earlier: BTreeMap<String, Init>,
    /// The run that first gave a name has it; others have their number before it.
    owners: BTreeMap<String, Owner>,
}

/// A run.
#[derive(Clone, Copy, Debug)]
struct Init {
    /// From 1.
    number: u32,
    last_step: Option<i64>,
    /// The offset that is added to its steps; unknown before the first one of a file.
    offset: Option<i64>,
}

#[derive(Debug)]
struct Owner {
    number: u32,
    has_others: bool,
}

impl Inits {
    /// Continues with another file, behind that of a run.
    fn begin_file(&mut self, head: Option<RunHead>) {
        if let (Some(init), Some(head)) = (self.current.take(), head) {
            self.earlier.insert(
                head.id,
                Init {
                    offset: None,
                    ..init
                },
            );
        }
    }

    /// Returns a metric under the name that it has among those of all runs.
    fn reading(&mut self, head: Option<&RunHead>, sample: WandbSample) -> Reading {
        let Reading {
            mut name,
            step,
            value,
        } = sample.reading;
        let init = match &mut self.current {
            Some(init) => init,
            None => {
                let resumed = head
                    .filter(|head| head.resumes || head.is_resumed)
                    .and_then(|head| self.earlier.get(&head.id));
                let init = resumed.copied().unwrap_or(Init {
                    number: self.count + 1,
                    last_step: None,
                    offset: None,
                });
                self.count = self.count.max(init.number);
                self.current.insert(init)
            }
        };
        let number = init.number;
        let step = step.map(|step| init.place(step));
        let is_others = match self.owners.get_mut(&name) {
            Some(owner) => {
                owner.has_others |= owner.number != number;
                owner.number != number
            }
            None => {
                self.owners.insert(
                    name.clone(),
                    Owner {
                        number,
                        has_others: false,
                    },
                );
                false
            }
        };
        if is_others {
            name = format!("{INIT}{number}/{name}");
        }
        if sample.is_override {
            name.push_str(OVERRIDE);
        }
        Reading { name, step, value }
    }

    fn has_several(&self, name: &str) -> bool {
        self.owners.get(name).is_some_and(|owner| owner.has_others)
    }
}

impl Init {
    /// Returns the step of the run. Offline, the library counts from 0 again where a run is
    /// resumed.
    fn place(&mut self, step: i64) -> i64 {
        let begins_again = self.last_step.filter(|_| step == 0);
        let offset = *self
            .offset
            .get_or_insert(begins_again.map_or(0, |last| last.saturating_add(1)));
        let step = step.saturating_add(offset);
        self.last_step = self.last_step.max(Some(step));
        step
    }
}

/// Returns the name that a metric has in its run: without the number of the run, and without what
/// says that it is of the summary.
pub(crate) fn name_in_run(name: &str) -> &str {
    let name = name.strip_suffix(OVERRIDE).unwrap_or(name);
    match name
        .strip_prefix(INIT)
        .and_then(|rest| rest.split_once('/'))
    {
        Some((number, rest)) if number.parse::<u32>().is_ok() => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests;
