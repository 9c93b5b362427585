//! The file of a sweep, and the bounds on its metrics.

use serde::Serialize;
use sweep_lifecycle::spec::{self, Bound, Constraint, SweepSpec};

use crate::store::SweepRow;

/// A bound on a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Limit {
    metric: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

/// Reads the file of a sweep in its newest revision. A file that was taken once is always taken; if not, the page does without.
pub(super) fn spec(row: &SweepRow) -> Option<SweepSpec> {
    let newest = row
        .revisions
        .last()
        .map_or(&row.yaml, |revision| &revision.yaml);
    spec::parse(newest).0
}

/// Returns the bounds of a sweep.
pub(super) fn limits(spec: &SweepSpec) -> Vec<Limit> {
    let limit = |constraint: &Constraint| {
        let (min, max) = match constraint.bound {
            Bound::Min(min) => (Some(min), None),
            Bound::Max(max) => (None, Some(max)),
        };
        Limit {
            metric: constraint.metric.clone(),
            min,
            max,
        }
    };
    spec.constraints.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_constraints() {
        let file = "method: random\nprogram: t.py\nmetric: {name: loss}\nconstraints: [{metric: gb, max: 40}]\nparameters: {n: {min: 1, max: 9}}\n";
        let (spec, mistakes) = spec::parse(file);
        let spec = spec.unwrap_or_else(|| panic!("{mistakes:?}"));
        assert_eq!(
            limits(&spec),
            [Limit {
                metric: "gb".into(),
                min: None,
                max: Some(40.0)
            }]
        );
    }
}
