//! A past of a sweep, the same for each call.

use sweep_search::observation::{CodeLine, Goal, Observation, Outcome};
use sweep_search::space::unit_cube::{INACTIVE, UnitCube};
use sweep_search::space::{Condition, Distribution, Parameter, Path, Space, Taken, Value};
use sweep_search::suggest::{Method, Request, suggest};

/// A space and observations in it.
pub(crate) struct History {
    pub(crate) space: Space,
    pub(crate) observations: Vec<Observation>,
}

impl History {
    /// Random draws from a space of `n` dimensions.
    pub(crate) fn new(runs: usize, dimensions: usize) -> Self {
        let space = space(dimensions);
        let none = Taken::new();
        let request = Request {
            space: &space,
            method: Method::Random,
            goal: Goal::Minimize,
            seed: 1,
            observations: &[],
            pending: &[],
            code: CodeLine::default(),
            taken: &none,
            next_index: 1,
            count: runs,
        };
        let drawn = suggest(&request)
            .suggestions
            .into_iter()
            .map(|suggestion| suggestion.config);
        let cube = UnitCube::new(&space);
        let seen = |(index, config)| {
            let value = loss(&cube.point_of(&config));
            Observation::new(index, config, Outcome::Value(value))
        };
        let observations = (1..).zip(drawn).map(seen).collect();
        Self {
            space,
            observations,
        }
    }
}

/// A bowl along each coordinate, each flatter than the one before: smooth, with an optimum inside.
fn loss(point: &[f64]) -> f64 {
    let bowl = |(place, at): (usize, &f64)| {
        let middle = 0.2 + 0.6 * (place as f64 * 0.618).fract();
        let distance = if *at == INACTIVE { 0.3 } else { at - middle };
        distance * distance / (1.0 + place as f64)
    };
    point.iter().enumerate().map(bowl).sum()
}

/// Every eight parameters: three logarithmic ones, an integer, a categorical, one that is there
/// only with one category, and two uniform ones.
fn space(dimensions: usize) -> Space {
    // Zeros in front keep the order of the places.
    let name = |place: usize| Path::flat(format!("p{place:02}"));
    let category = |name: &str| Value::Str(name.to_owned());
    let parameter = |place: usize| {
        let distribution = match place % 8 {
            0 | 5 | 6 => Distribution::LogUniformValues {
                min: 1e-5,
                max: 1e-1,
            },
            1 => Distribution::IntUniform { min: 1, max: 8 },
            2 => Distribution::Categorical {
                values: ["adam", "sgd", "lion"].map(category).to_vec(),
                ordered: None,
            },
            _ => Distribution::Uniform { min: 0.0, max: 1.0 },
        };
        let when = if place % 8 == 3 {
            vec![Condition {
                on: name(place - 1),
                values: vec![category("sgd")],
            }]
        } else {
            Vec::new()
        };
        Parameter {
            path: name(place),
            distribution,
            when,
        }
    };
    Space::new((0..dimensions).map(parameter).collect())
        .expect("its conditions name the parameter before")
}
