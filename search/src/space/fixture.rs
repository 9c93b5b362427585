//! Parameters for unit tests.

use super::{Condition, Distribution, Parameter, Path, Space, Value};

/// Returns a parameter that is always active.
pub(crate) fn parameter(name: &str, distribution: Distribution) -> Parameter {
    Parameter {
        path: Path::flat(name),
        distribution,
        when: Vec::new(),
    }
}

/// Returns a parameter that is active where another one has this value.
pub(crate) fn conditional(
    name: &str,
    distribution: Distribution,
    (on, value): (&str, &str),
) -> Parameter {
    let when = vec![Condition {
        on: Path::flat(on),
        values: vec![Value::Str(value.to_owned())],
    }];
    Parameter {
        when,
        ..parameter(name, distribution)
    }
}

/// Returns a choice of one of these.
pub(crate) fn choice(values: &[&str]) -> Distribution {
    Distribution::Categorical {
        values: values
            .iter()
            .map(|value| Value::Str((*value).to_owned()))
            .collect(),
        ordered: None,
    }
}

/// Returns a space of a choice `b`, a parameter `a` that is active where `b` is `y`, and a number
/// `c` from 0 to 1.
pub(crate) fn space_with(a: Distribution) -> Space {
    Space::new(vec![
        conditional("a", a, ("b", "y")),
        parameter("b", choice(&["x", "y"])),
        parameter("c", Distribution::Uniform { min: 0.0, max: 1.0 }),
    ])
    .unwrap()
}
