//! Reads metrics from the output and the files of a program, and keeps them until they are sent.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{AttemptEvent, PENDING_MAX, Point, WatchedAttempt};
use crate::attempt::Input;
use crate::intake::wandb::name_in_run;
use crate::intake::{self, Reading, record};
use crate::monitor;

/// A value from the output that has no step is held back this long, in case a file has the same
/// metric with steps.
const FILES_DELAY: Duration = Duration::from_secs(3);
/// A hint is held back this long, in case the objective still arrives from a file.
const HINT_DELAY: Duration = Duration::from_secs(3);
/// The same where files are read: TensorBoard's writers write every two minutes.
const HINT_DELAY_WITH_FILES: Duration = Duration::from_secs(150);

impl WatchedAttempt {
    /// Reads what is new and returns whether there may be more.
    pub(super) async fn read(&mut self, last: bool) -> io::Result<bool> {
        if !last && self.pending.len() >= PENDING_MAX {
            return Ok(true);
        }
        let seen = self.output.read(last).await?;
        let mut output = seen.printed;
        let printed: BTreeSet<String> = output
            .readings
            .iter()
            .map(|reading| reading.name.clone())
            .collect();
        intake::add_asked(&mut output.readings, self.attempt.objective_name());
        let is_read = |readings: &[Reading], objective: &str| {
            readings.iter().any(|reading| reading.name == objective)
        };
        let looks = !self.has_hint
            && self.attempt.objective().is_none()
            && !is_read(&output.readings, self.attempt.objective_name());
        if looks {
            printed.iter().for_each(|name| self.hint_at_name(name));
        }
        for line in output.lines {
            self.frameworks.hear(&line);
            if looks {
                self.hint_at_line(&line);
            }
            self.attempt.handle(Input::Line(line), self.began.elapsed());
        }
        if let Some(complaint) = seen.complaint {
            self.note(complaint);
        }
        let mut metrics = self.metrics.read(last).await?;
        intake::add_asked(&mut metrics.readings, self.attempt.objective_name());
        if metrics.restarted {
            (self.counts.metrics, self.skip.metrics) = (0, 0);
        }
        self.counts.metrics += metrics.repeated;
        if let Some(complaint) = metrics.complaint {
            self.note(complaint);
        }
        // A pattern or a bar says no step: where a file has the same metric, the file's points
        // count.
        let is_weak = |name: &String| printed.contains(name) && !output.named.contains(name);
        for reading in output
            .readings
            .iter()
            .filter(|reading| !is_weak(&reading.name))
            .chain(&metrics.readings)
        {
            remember(&mut self.given, &reading.name);
        }
        self.waiting.extend(output.readings);
        for reading in metrics.readings {
            self.counts.metrics += 1;
            self.take(reading, self.counts.metrics > self.skip.metrics);
        }
        let more = self.read_files(last).await;
        if last || !self.waits_for_files() {
            for reading in std::mem::take(&mut self.waiting) {
                self.counts.output += 1;
                let is_in_files = self.given_by_frameworks.contains(&reading.name)
                    || self.given_by_wandb.contains(&reading.name);
                if !is_in_files || self.given.contains(&reading.name) {
                    remember(&mut self.given, &reading.name);
                    self.take(reading, self.counts.output > self.skip.output);
                }
            }
        }
        let more = seen.more || metrics.more || more;
        self.tell_hint(last && !more);
        Ok(more)
    }

    /// Returns whether a metric that a pattern or a bar has given for the first time may still come
    /// from a file, which is found and read later.
    fn waits_for_files(&mut self) -> bool {
        let sources = [&self.given, &self.given_by_frameworks, &self.given_by_wandb];
        let is_new = |name: &&String| sources.iter().all(|names| !names.contains(*name));
        let new: BTreeSet<String> = self
            .waiting
            .iter()
            .map(|reading| &reading.name)
            .filter(is_new)
            .cloned()
            .collect();
        let now = self.began.elapsed();
        let may_come = new
            .into_iter()
            .any(|name| now < *self.waiting_since.entry(name).or_insert(now) + FILES_DELAY);
        may_come && self.waiting.len() < PENDING_MAX
    }

    /// Keeps what a line from which nothing was read says of the objective.
    fn hint_at_line(&mut self, line: &str) {
        let words = match (self.has_hint, record::find(line).any) {
            (true, _) => return,
            (false, true) => match self.hints.no_number(line) {
                None => return,
                words => words,
            },
            (false, false) => self.hints.elsewhere(line),
        };
        if let Some(words) = words {
            self.attempt
                .handle(Input::Unread(words.clone()), self.began.elapsed());
            self.keep_hint(words);
        } else if let Some(hint) = self.hints.find(line) {
            self.attempt.handle(
                Input::Unread(self.hints.remedy(&hint)),
                self.began.elapsed(),
            );
            self.keep_hint(self.hints.words(&hint));
        }
    }

    /// Keeps what the name of another metric says of the objective.
    fn hint_at_name(&mut self, name: &str) {
        if let Some(words) = self.hints.alike(name).filter(|_| !self.has_hint) {
            self.keep_hint(words);
        }
    }

    fn keep_hint(&mut self, words: String) {
        self.has_hint = true;
        self.kept_hint = Some((self.began.elapsed(), words));
    }

    /// Tells the hint, unless the objective comes by another way: files are written later than what
    /// is printed.
    fn tell_hint(&mut self, at_end: bool) {
        if self.attempt.objective().is_some() {
            self.kept_hint = None;
        }
        let has_files = !self.given_by_wandb.is_empty() || !self.given_by_frameworks.is_empty();
        let delay = if has_files {
            HINT_DELAY_WITH_FILES
        } else {
            HINT_DELAY
        };
        let now = self.began.elapsed();
        if let Some((_, words)) = self
            .kept_hint
            .take_if(|(since, _)| at_end || now >= *since + delay)
        {
            let _ = self.seen.try_send(AttemptEvent::Unread(words));
        }
    }

    /// Reads what is new in files of W&B's library and of frameworks, and returns whether there may
    /// be more.
    async fn read_files(&mut self, last: bool) -> bool {
        // What an agent before this one has read of the files comes first, so that a name belongs
        // to the same source again.
        let mut more = self.again
            && self.counts.frameworks < self.skip.frameworks
            && self.read_frameworks(last).await;
        let wandb = self.wandb.read(last).await;
        if let Some(complaint) = wandb.complaint {
            self.note(complaint);
        }
        if let Some(remark) = wandb.remark {
            self.remark(remark);
        }
        for reading in wandb.readings {
            self.counts.wandb += 1;
            let name = name_in_run(&reading.name);
            if !self.given.contains(name) && !self.given_by_frameworks.contains(name) {
                remember(&mut self.given_by_wandb, name);
                self.take(reading, self.counts.wandb > self.skip.wandb);
            }
        }
        more |= self.read_frameworks(last).await;
        wandb.more || more
    }

    /// Reads what is new in files of frameworks and returns whether there may be more.
    async fn read_frameworks(&mut self, last: bool) -> bool {
        let seen = self.frameworks.read(self.program.tree(), last).await;
        for complaint in seen.complaints {
            self.note(complaint);
        }
        for remark in seen.remarks {
            self.remark(remark);
        }
        if !self.attempt.is_wanted_to_end() {
            seen.torn.into_iter().for_each(|text| self.note(text));
        }
        let objective = self.attempt.objective_name();
        let is_missing = self.attempt.objective().is_none()
            && self.waiting.iter().all(|reading| reading.name != objective);
        let files = seen.unread_files.into_iter().filter(|_| is_missing);
        for text in seen.unread.into_iter().chain(files) {
            if self.attempt.objective().is_some() || self.has_hint {
                self.note(text);
            } else {
                self.has_hint = true;
                self.attempt
                    .handle(Input::Unread(text.clone()), self.began.elapsed());
                let _ = self.seen.try_send(AttemptEvent::Unread(text));
            }
        }
        for reading in seen.readings {
            self.counts.frameworks += 1;
            if !self.given.contains(&reading.name) && !self.given_by_wandb.contains(&reading.name) {
                remember(&mut self.given_by_frameworks, &reading.name);
                self.take(reading, self.counts.frameworks > self.skip.frameworks);
            }
        }
        seen.wandb_files
            .into_iter()
            .for_each(|path| self.wandb.add(path));
        seen.more
    }

    /// Sends out readings that the program has not given.
    pub(super) fn put(&mut self, readings: Vec<Reading>) {
        // What was sent out before counts as read, however far the files have been read again.
        let counts = self.counts.max(self.skip);
        self.pending
            .extend(readings.into_iter().map(|reading| Point {
                reading,
                wall_ms: wall_ms(),
                counts,
            }));
    }

    fn take(&mut self, reading: Reading, is_new: bool) {
        if reading.name.starts_with(monitor::PREFIX) {
            self.theirs.insert(reading.name.clone());
        }
        let input = Input::Metric {
            name: reading.name.clone(),
            value: reading.value,
        };
        self.attempt.handle(input, self.began.elapsed());
        if is_new {
            self.pending.push(Point {
                reading,
                wall_ms: wall_ms(),
                counts: self.counts,
            });
        }
    }
}

fn remember(names: &mut BTreeSet<String>, name: &str) {
    if !names.contains(name) {
        names.insert(name.to_owned());
    }
}

fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
