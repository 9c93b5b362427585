//! The parameters of a sweep as axes to draw on.

use std::collections::BTreeMap;

use serde::Serialize;
use sweep_search::space::{Distribution, Parameter, Value};

use super::SweepSpec;

/// A parameter as an axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ParameterAxis {
    /// Its name.
    pub name: String,
    /// Where it stands, outermost first: a name alone does not distinguish its own dots from separators.
    pub path: Vec<String>,
    /// Whether equal factors are equal distances.
    pub log: bool,
    /// Where a number may lie, where that is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// Its values, where they are a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<serde_json::Value>,
    /// It has one value: nothing to see.
    pub constant: bool,
    /// It exists only beside certain values of others.
    pub conditional: bool,
}

/// Returns the axes of a sweep, in the order of its parameters.
pub fn axes(spec: &SweepSpec) -> Vec<ParameterAxis> {
    spec.space.parameters().iter().map(axis).collect()
}

/// Returns the parameters that have one value, by name.
pub fn constants(spec: &SweepSpec) -> BTreeMap<String, serde_json::Value> {
    axes(spec)
        .into_iter()
        .filter(|axis| axis.constant)
        .filter_map(|axis| {
            let low = || {
                axis.range
                    .map(|(low, _)| serde_json::Value::from(low as i64))
            };
            let value = axis.values.first().cloned().or_else(low)?;
            Some((axis.name, value))
        })
        .collect()
}

fn axis(parameter: &Parameter) -> ParameterAxis {
    let axis = ParameterAxis {
        name: parameter.path.to_string(),
        path: parameter.path.0.clone(),
        conditional: !parameter.when.is_empty(),
        ..ParameterAxis::default()
    };
    let listed = |values: &[Value]| values.iter().map(Value::to_json).collect();
    match &parameter.distribution {
        Distribution::Constant { value } => ParameterAxis {
            values: vec![value.to_json()],
            constant: true,
            ..axis
        },
        Distribution::Categorical { values, .. }
        | Distribution::CategoricalWithProbabilities { values, .. } => ParameterAxis {
            values: listed(values),
            constant: values.len() == 1,
            ..axis
        },
        Distribution::IntUniform { min, max } => ParameterAxis {
            range: Some((*min as f64, *max as f64)),
            constant: min == max,
            ..axis
        },
        Distribution::Uniform { min, max } | Distribution::QUniform { min, max, .. } => {
            ParameterAxis {
                range: Some((*min, *max)),
                ..axis
            }
        }
        Distribution::LogUniformValues { min, max }
        | Distribution::InvLogUniformValues { min, max }
        | Distribution::QLogUniformValues { min, max, .. } => ParameterAxis {
            range: Some((*min, *max)),
            log: true,
            ..axis
        },
        Distribution::LogUniform { min, max } | Distribution::QLogUniform { min, max, .. } => {
            ParameterAxis {
                range: Some((min.exp(), max.exp())),
                log: true,
                ..axis
            }
        }
        Distribution::InvLogUniform { min, max } => ParameterAxis {
            range: Some(((-max).exp(), (-min).exp())),
            log: true,
            ..axis
        },
        Distribution::Normal { .. } | Distribution::QNormal { .. } => axis,
        Distribution::LogNormal { .. } | Distribution::QLogNormal { .. } => {
            ParameterAxis { log: true, ..axis }
        }
        Distribution::Beta { .. } | Distribution::QBeta { .. } => ParameterAxis {
            range: Some((0.0, 1.0)),
            ..axis
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn axes_have_the_scale_of_their_distribution() {
        let file = "method: random\nprogram: t.py\nmetric: {name: loss}\nparameters:\n  \
                    lr: {distribution: log_uniform_values, min: 1e-4, max: 0.1}\n  opt: {values: [adam, 7]}\n  seed: {value: 3}\n  \
                    n: {min: 1, max: 9}\n  m: {min: 0.0, max: 1.0, when: {opt: adam}}\n  \
                    net: {parameters: {depth: {values: [1, 2]}}}\n  flat.name: {values: [1, 2]}\n";
        let (spec, mistakes) = parse(file);
        let spec = spec.unwrap_or_else(|| panic!("{mistakes:?}"));
        let axes = axes(&spec);
        let named = |name: &str| axes.iter().find(|axis| axis.name == name).unwrap();
        assert_eq!(
            (named("lr").log, named("lr").range),
            (true, Some((1e-4, 0.1)))
        );
        assert_eq!(
            named("opt").values,
            [serde_json::json!("adam"), serde_json::json!(7)]
        );
        assert!(named("seed").constant && !named("opt").constant);
        assert_eq!(named("n").range, Some((1.0, 9.0)));
        assert!(named("m").conditional);
        assert_eq!(
            (named("net.depth").path.len(), named("flat.name").path.len()),
            (2, 1)
        );
    }
}
