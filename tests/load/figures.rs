//! Measured figures.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tonic::Code;

use crate::processor::processor_time;
use crate::server::Server;

/// Buckets of a doubling of time: a percentile is exact to a sixteenth.
const PARTS: u64 = 16;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The agents are to end.
    pub(crate) stop: AtomicBool,
    /// How often the controller has been started again.
    pub(crate) turn: AtomicUsize,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// All runs, those before and after the measurement included.
    runs: u64,
    calls: BTreeMap<&'static str, Histogram>,
    failures: BTreeMap<(&'static str, String), u64>,
    back: BTreeMap<usize, usize>,
    measured: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    begun: Instant,
    lasted: Option<Duration>,
    runs: u64,
    points: u64,
    /// The processor time of the controller and of this process before, then during the measurement.
    used: [Duration; 2],
    memory: Vec<f64>,
    disk: f64,
}

/// Counts times by their size.
#[derive(Debug, Default)]
struct Histogram {
    count: u64,
    longest: Duration,
    buckets: BTreeMap<u64, u64>,
}

impl Figures {
    pub(crate) fn runs(&self) -> u64 {
        self.counted().runs
    }

    pub(crate) fn begin(&self, server: &Server) -> Result<()> {
        let mut counted = self.counted();
        counted.calls.clear();
        let used = [server.processor_time()?, processor_time("self")?];
        let memory = vec![server.memory()?];
        counted.measured = Some(Measured {
            begun: Instant::now(),
            lasted: None,
            runs: 0,
            points: 0,
            used,
            memory,
            disk: server.disk()?,
        });
        Ok(())
    }

    pub(crate) fn sample(&self, server: &Server) -> Result<()> {
        if let Some(measured) = &mut self.counted().measured {
            measured.memory.push(server.memory()?);
        }
        Ok(())
    }

    pub(crate) fn end(&self, server: &Server) -> Result<()> {
        if let Some(measured) = &mut self.counted().measured {
            measured.lasted = Some(measured.begun.elapsed());
            let used = [server.processor_time()?, processor_time("self")?];
            measured.used = [0, 1].map(|who| used[who].saturating_sub(measured.used[who]));
            measured.disk = server.disk()? - measured.disk;
        }
        Ok(())
    }

    pub(crate) fn answered(&self, call: &'static str, took: Duration) {
        self.counted().calls.entry(call).or_default().add(took);
    }

    pub(crate) fn failed(&self, call: &'static str, code: Code) {
        *self
            .counted()
            .failures
            .entry((call, format!("{code:?}")))
            .or_default() += 1;
    }

    pub(crate) fn ended(&self, points: u64) {
        let mut counted = self.counted();
        counted.runs += 1;
        if let Some(measured) = counted
            .measured
            .as_mut()
            .filter(|measured| measured.lasted.is_none())
        {
            measured.runs += 1;
            measured.points += points;
        }
    }

    /// An agent was served by the controller that was started for this turn.
    pub(crate) fn is_back(&self, turn: usize) {
        *self.counted().back.entry(turn).or_default() += 1;
    }

    pub(crate) fn back(&self, turn: usize) -> usize {
        self.counted().back.get(&turn).copied().unwrap_or_default()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let counted = self.counted();
        let Some(measured) = &counted.measured else {
            return Ok(());
        };
        let seconds = measured.lasted.unwrap_or_default().as_secs_f64();
        writeln!(
            f,
            "{} runs in {seconds:.1} s: {:.0} runs/s, {:.0} points/s",
            measured.runs,
            measured.runs as f64 / seconds,
            measured.points as f64 / seconds
        )?;
        let [controller, own] = measured.used.map(|used| used.as_secs_f64() / seconds);
        writeln!(
            f,
            "processors: controller {controller:.2}, this program {own:.2}"
        )?;
        let (first, last) = (
            measured.memory.first().copied().unwrap_or_default(),
            measured.memory.last().copied().unwrap_or_default(),
        );
        writeln!(
            f,
            "controller's memory: {first:.0} MB, then {last:.0} MB; {:.0} MB more on disk",
            measured.disk
        )?;
        writeln!(
            f,
            "\n| call | count | p50 | p99 | longest |\n|---|---|---|---|---|"
        )?;
        for (name, calls) in &counted.calls {
            let [p50, p99, longest] = [calls.quantile(0.5), calls.quantile(0.99), calls.longest]
                .map(|time| time.as_secs_f64() * 1e3);
            writeln!(
                f,
                "| `{name}` | {} | {p50:.1} ms | {p99:.1} ms | {longest:.1} ms |",
                calls.count
            )?;
        }
        for ((call, code), count) in &counted.failures {
            writeln!(f, "{count} × {call}: {code}")?;
        }
        Ok(())
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros())
            .unwrap_or(u64::MAX)
            .max(PARTS);
        let doublings = u64::from(micros.ilog2());
        let bucket = doublings * PARTS + (micros >> (doublings - u64::from(PARTS.ilog2()))) % PARTS;
        *self.buckets.entry(bucket).or_default() += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    /// Returns a time that this share of the calls did not exceed, rounded up to a bucket.
    fn quantile(&self, share: f64) -> Duration {
        let mut left = (self.count as f64 * share).ceil() as u64;
        for (bucket, count) in &self.buckets {
            left = left.saturating_sub(*count);
            if left == 0 {
                let (doublings, part) = (bucket / PARTS, bucket % PARTS);
                return Duration::from_micros(((PARTS + part + 1) << doublings) / PARTS)
                    .min(self.longest);
            }
        }
        self.longest
    }
}
