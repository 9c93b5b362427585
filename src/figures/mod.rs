//! Pictures of a sweep as SVG, for papers, reports and pull requests: the page draws the same in a browser.
//!
//! ```text
//! Sweep, runs, axes ─ history, parallel, importance, slice ─▶ Picture ─ png ─▶ PNG
//!                      └ scale: values to places and ticks
//! ```
//!
//! Pure functions over the messages of `sweep.v1`. Text out of sweeps goes through `printable` and is escaped by maud.

mod canvas;
mod history;
mod importance;
mod parallel;
mod png;
mod scale;
mod slice;

use std::collections::BTreeMap;

use serde_json::Value;
use sweep_proto::v1::{Run, Sweep};

use sweep_lifecycle::spec::{self, ParameterAxis};

pub(crate) use history::history;
pub(crate) use importance::importance;
pub(crate) use parallel::parallel;
pub(crate) use png::{PngError, png};
pub(crate) use slice::slice;

/// A picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// The name of its kind: `history`.
    pub(crate) name: &'static str,
    /// Its content, in words.
    pub(crate) caption: String,
    /// The picture, an SVG document with nothing but shapes and text in it.
    pub(crate) svg: String,
}

/// The subject of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    sweep: &'a Sweep,
    axes: Vec<ParameterAxis>,
    runs: Vec<Drawn<'a>>,
}

/// A run as it is drawn.
#[derive(Clone, Debug)]
struct Drawn<'a> {
    run: &'a Run,
    params: BTreeMap<String, Value>,
}

impl<'a> Subject<'a> {
    /// Looks at a sweep and its runs.
    pub(crate) fn new(sweep: &'a Sweep, runs: &'a [Run]) -> Self {
        // A file that was taken once is always taken; if not, there is nothing to say of its parameters.
        let axes = spec::parse(&sweep.yaml)
            .0
            .map(|file| spec::axes(&file))
            .unwrap_or_default();
        let drawn = |run: &'a Run| {
            let parsed: Value = serde_json::from_str(&run.params_json).unwrap_or_default();
            let params = axes
                .iter()
                .filter_map(|axis| Some((axis.name.clone(), inside(&parsed, &axis.path)?.clone())));
            Drawn {
                run,
                params: params.collect(),
            }
        };
        let runs = runs.iter().map(drawn).collect();
        Self { sweep, axes, runs }
    }

    /// Returns the names of the parameters that vary.
    pub(crate) fn varied(&self) -> impl Iterator<Item = &str> {
        self.axes
            .iter()
            .filter(|axis| !axis.constant)
            .map(|axis| axis.name.as_str())
    }

    fn axis(&self, name: &str) -> Option<&ParameterAxis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    fn maximizes(&self) -> bool {
        self.sweep.goal == "maximize"
    }

    /// Says whether one value of the objective is better than another.
    fn is_better(&self, value: f64, other: f64) -> bool {
        if self.maximizes() {
            value > other
        } else {
            value < other
        }
    }

    /// Returns the runs that have a value, in the order of their numbers.
    fn measured(&self) -> impl Iterator<Item = (&Drawn<'a>, f64)> {
        self.runs
            .iter()
            .filter_map(|drawn| Some((drawn, drawn.run.value.filter(|value| value.is_finite())?)))
    }

    /// Returns what people call the sweep: its name, or else its id.
    fn title(&self) -> &str {
        if self.sweep.name.is_empty() {
            &self.sweep.id
        } else {
            &self.sweep.name
        }
    }
}

impl Drawn<'_> {
    /// Says whether the run may be the best: it keeps to the constraints and the newest revision.
    fn counts(&self) -> bool {
        self.run.violates.is_empty() && self.run.aside.is_empty()
    }
}

fn inside<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests;
