//! The constants of a sweep: parameters that have one value. Pages show them after the varied ones, and count many.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Map, Value};
use sweep_lifecycle::spec;

use super::html::{Escaped, counted, value_text};
use super::limits;
use super::rows;
use crate::store::SweepRow;

/// More constants than these are counted on a line.
const CONSTANTS_IN_LINE_MAX: usize = 3;

/// The parameters of a run by name.
pub(super) type Parameters = BTreeMap<String, Value>;

/// The constants of a sweep by name.
#[derive(Debug, Default)]
pub(super) struct ConstantParameters(Parameters);

impl ConstantParameters {
    /// Reads the newest file of a sweep.
    pub(super) fn of(row: &SweepRow) -> Self {
        let constants = limits::spec(row).map(|file| spec::constants(&file));
        let object: Map<String, Value> = constants.into_iter().flatten().collect();
        Self(rows::params(&Value::Object(object).to_string()))
    }

    /// Returns the parameters of a configuration: the varied ones, and the constants. A value from an earlier revision is varied.
    pub(super) fn split(&self, json: &str) -> (Parameters, Parameters) {
        rows::params(json)
            .into_iter()
            .partition(|(name, value)| self.0.get(name) != Some(value))
    }

    /// Returns the parameters of a run on a line, constants last: `lr=0.1 layers=2 and 45 constants`.
    pub(super) fn line(&self, json: &str) -> Markup {
        let (varied, fixed) = self.split(json);
        let is_counted = !varied.is_empty() && fixed.len() > CONSTANTS_IN_LINE_MAX;
        let listed = fixed.iter().filter(|_| !is_counted);
        html! {
            span.params {
                @for (name, value) in varied.iter().chain(listed) { span { (Escaped(name)) "=" b { (Escaped(&value_text(value))) } } " " }
                @if is_counted { span.soft { "and " (counted(fixed.len() as u64, "constant")) } }
            }
        }
    }
}
