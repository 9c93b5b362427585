//! Says how a sweep file was understood: each parameter in words, and an example of a configuration.

use serde_json::{Map, Value};
use sweep_search::space::unit_cube::UnitCube;

use super::changes::{text, words};
use super::model::SweepSpec;

/// How one parameter was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSummary {
    /// Its name, with dots where it is nested.
    pub name: String,
    /// How it varies: "0.001 to 0.1, logarithmic".
    pub values: String,
    /// When it exists: "optimizer is sgd"; empty: always.
    pub condition: String,
}

/// Returns how each parameter was understood.
pub fn parameter_summaries(spec: &SweepSpec) -> Vec<ParameterSummary> {
    let summary = |parameter: &sweep_search::space::Parameter| {
        let condition = parameter.when.iter().map(|condition| {
            let values: Vec<_> = condition.values.iter().map(text).collect();
            format!("{} is {}", condition.on, values.join(" or "))
        });
        ParameterSummary {
            name: parameter.path.to_string(),
            values: words(&parameter.distribution),
            condition: condition.collect::<Vec<_>>().join(" and "),
        }
    };
    spec.space.parameters().iter().map(summary).collect()
}

/// Returns a configuration in the middle of the space, as a program would see it.
pub fn example_configuration(spec: &SweepSpec) -> Map<String, Value> {
    let cube = UnitCube::new(&spec.space);
    let middle = vec![0.5; cube.scales().len()];
    match cube.config_at(&middle).to_nested().to_json() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
