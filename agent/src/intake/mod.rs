//! Bytes in, metrics out: lines of output, the file that `SWEEP_METRICS` names, what W&B's library
//! writes, and the files of other frameworks.

mod bars;
pub(crate) mod frameworks;
pub(crate) mod hint;
pub(crate) mod metrics_file;
pub(crate) mod output;
pub(crate) mod printed;
pub(crate) mod wandb;

pub(crate) mod lines;
mod literal;
pub(crate) mod record;
mod repeats;
mod tail;

/// A value of a metric as a program gave it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// The metric.
    pub(crate) name: String,
    /// The program's own count, where it gave one.
    pub(crate) step: Option<i64>,
    /// May be NaN or infinite.
    pub(crate) value: f64,
}

/// Adds the readings of a nested map under the name that the sweep asks for, where W&B would have
/// written it with slashes: `val.loss` as `val/loss`.
pub(crate) fn add_asked(readings: &mut Vec<Reading>, asked: &str) {
    if !asked.contains('/') {
        return;
    }
    let dotted = asked.replace('/', ".");
    let added: Vec<_> = readings
        .iter()
        .filter(|reading| reading.name == dotted)
        .map(|reading| Reading {
            name: asked.to_owned(),
            ..reading.clone()
        })
        .collect();
    readings.extend(added);
}
