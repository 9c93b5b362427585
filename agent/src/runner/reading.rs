//! Reads what a program says of itself, in its output and in files, and keeps what is to be sent out.

use std::collections::BTreeSet;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{PENDING_MAX, Point, Seen, Watch};
use crate::attempt::Input;
use crate::intake::wandb::name_in_run;
use crate::intake::{self, Reading};
use crate::monitor;

impl Watch {
    /// Reads what is new and returns whether there may be more.
    pub(super) async fn read(&mut self, last: bool) -> io::Result<bool> {
        if !last && self.pending.len() >= PENDING_MAX {
            return Ok(true);
        }
        let mut output = self.output.read(last).await?;
        intake::add_asked(&mut output.readings, self.attempt.objective_name());
        let is_read = |readings: &[Reading], objective: &str| readings.iter().any(|reading| reading.name == objective);
        let looks = !self.has_hint && self.attempt.objective().is_none() && !is_read(&output.readings, self.attempt.objective_name());
        for line in output.lines {
            if looks && !self.has_hint {
                self.hint(&line);
            }
            self.attempt.handle(Input::Line(line), self.began.elapsed());
        }
        if let Some(complaint) = output.complaint {
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
        for reading in output.readings.iter().chain(&metrics.readings) {
            remember(&mut self.given, &reading.name);
        }
        for reading in output.readings {
            self.counts.output += 1;
            self.take(reading, self.counts.output > self.skip.output);
        }
        for reading in metrics.readings {
            self.counts.metrics += 1;
            self.take(reading, self.counts.metrics > self.skip.metrics);
        }
        // What an agent before this one has read of the files comes first, so that a name belongs to the same source again.
        let mut more = self.again && self.counts.frameworks < self.skip.frameworks && self.read_frameworks(last).await;
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
        Ok(output.more || metrics.more || wandb.more || more)
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
        for text in seen.unread {
            if self.attempt.objective().is_some() || self.has_hint {
                self.note(text);
            } else {
                self.has_hint = true;
                let _ = self.seen.try_send(Seen::Unread(text));
            }
        }
        for reading in seen.readings {
            self.counts.frameworks += 1;
            if !self.given.contains(&reading.name) && !self.given_by_wandb.contains(&reading.name) {
                remember(&mut self.given_by_frameworks, &reading.name);
                self.take(reading, self.counts.frameworks > self.skip.frameworks);
            }
        }
        seen.wandb_files.into_iter().for_each(|path| self.wandb.add(path));
        seen.more
    }

    /// Sends out readings that the program has not given.
    pub(super) fn put(&mut self, readings: Vec<Reading>) {
        // What was sent out before counts as read, however far the files have been read again.
        let counts = self.counts.max(self.skip);
        self.pending.extend(readings.into_iter().map(|reading| Point { reading, wall_ms: wall_ms(), counts }));
    }

    fn take(&mut self, reading: Reading, is_new: bool) {
        if reading.name.starts_with(monitor::PREFIX) {
            self.theirs.insert(reading.name.clone());
        }
        let input = Input::Metric { name: reading.name.clone(), value: reading.value };
        self.attempt.handle(input, self.began.elapsed());
        if is_new {
            self.pending.push(Point { reading, wall_ms: wall_ms(), counts: self.counts });
        }
    }
}

fn remember(names: &mut BTreeSet<String>, name: &str) {
    if !names.contains(name) {
        names.insert(name.to_owned());
    }
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
