//! Predictions along one parameter or over two, with all others held.

use super::effects::places;
use super::recommend::recommend;
use crate::observation::{CodeLine, Goal, Observation};
use crate::sampler::random::generator;
use crate::space::unit_cube::{INACTIVE, UnitCube};
use crate::space::{Config, Path, Space, Value};
use crate::surrogate::{self, Surrogate};

/// Values of one parameter.
const ALONE_MAX: usize = 48;
/// Values of each of two.
const TOGETHER_MAX: usize = 24;

/// Predictions along one parameter or over two.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The values of the first parameter.
    pub x: Vec<Value>,
    /// Those of the second; none where there is one parameter.
    pub y: Vec<Value>,
    /// At each of them, the values of `x` within those of `y`.
    pub points: Vec<SlicePoint>,
    /// Where the other parameters are held.
    pub through: Config,
}

/// A prediction at a point, in the objective's unit and sense.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicePoint {
    /// The expected value.
    pub mean: f64,
    /// How unsure the model is of it: one standard deviation, the noise of a single run left out.
    pub deviation: f64,
    /// How likely a run there ends well.
    pub success: f64,
}

/// Which slice is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// Along this parameter.
    pub x: &'a str,
    /// And over this one.
    pub y: Option<&'a str>,
    /// Where the other parameters are held; `None`: where the recommended run has them.
    pub through: Option<&'a Config>,
}

/// Why there is no slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// No parameter has that name.
    #[error("there is no parameter `{0}`")]
    Unknown(String),
    /// It has one value.
    #[error("parameter `{0}` does not vary")]
    Constant(String),
    /// The same twice.
    #[error("`{0}` twice: two different parameters are wanted")]
    Same(String),
    /// A model needs more.
    #[error(
        "too few runs have a result for a model: it takes {} at least",
        surrogate::VALUES_MIN
    )]
    TooFew,
}

/// Asks the model. A function of its arguments alone.
///
/// # Errors
/// See [`SliceError`].
pub fn slice(
    space: &Space,
    goal: Goal,
    observations: &[Observation],
    code: CodeLine<'_>,
    seed: u64,
    cut: Cut<'_>,
) -> Result<Slice, SliceError> {
    let cube = UnitCube::new(space);
    let x = coordinate(space, &cube, cut.x)?;
    let y = cut
        .y
        .map(|name| coordinate(space, &cube, name))
        .transpose()?;
    if y.as_ref().is_some_and(|y| y.0 == x.0) {
        return Err(SliceError::Same(cut.x.to_owned()));
    }
    // The draws that the next suggestion would be made with.
    let mut rng = generator(seed ^ surrogate::SEED, observations.len() as u64);
    let model = Surrogate::new(&cube, goal, observations, code, &mut rng)
        .filter(|model| !model.ensemble.members.is_empty());
    let model = model.ok_or(SliceError::TooFew)?;
    let held = cut.through.cloned().or_else(|| {
        let run = recommend(goal, observations, code, Some(&model))?.index;
        observations
            .iter()
            .find(|seen| seen.index == run)
            .map(|seen| seen.config.clone())
    });
    let mut through = held.ok_or(SliceError::TooFew)?;
    for (_, path) in std::iter::once(&x).chain(&y) {
        allow(space, path, &mut through);
    }
    let base: Vec<f64> = cube
        .point_of(&through)
        .into_iter()
        .map(|u| if u == INACTIVE { 0.5 } else { u })
        .collect();
    let max = if y.is_some() { TOGETHER_MAX } else { ALONE_MAX };
    let across = row(&cube, &base, &x, max);
    let up = y.as_ref().map(|y| row(&cube, &base, y, max));
    let points = grid(
        &cube,
        &base,
        (x.0, &across),
        y.as_ref().map(|y| y.0).zip(up.as_ref()),
    );
    let values = |row: &[(f64, Value)]| row.iter().map(|(_, value)| value.clone()).collect();
    Ok(Slice {
        x: values(&across),
        y: up.map(|up| values(&up)).unwrap_or_default(),
        points: expected(&model, goal, &points),
        through,
    })
}

fn expected(model: &Surrogate, goal: Goal, points: &[Vec<f64>]) -> Vec<SlicePoint> {
    let success = match &model.ensemble.feasibility {
        Some(feasibility) => feasibility
            .log_probabilities(points)
            .into_iter()
            .map(f64::exp)
            .collect(),
        None => vec![1.0; points.len()],
    };
    let all = model.predict(points).into_iter().zip(success);
    all.map(|((mean, deviation), success)| SlicePoint {
        mean: goal.minimized(mean),
        deviation,
        success,
    })
    .collect()
}

fn coordinate(space: &Space, cube: &UnitCube<'_>, name: &str) -> Result<(usize, Path), SliceError> {
    let known = space
        .parameters()
        .iter()
        .find(|parameter| parameter.path.to_string() == name);
    let known = known.ok_or_else(|| SliceError::Unknown(name.to_owned()))?;
    let place = cube
        .paths()
        .position(|path| *path == known.path)
        .ok_or_else(|| SliceError::Constant(name.to_owned()))?;
    Ok((place, known.path.clone()))
}

/// Gives the parameters that a parameter depends on values with which it exists.
fn allow(space: &Space, path: &Path, config: &mut Config) {
    let Some(parameter) = space.get(path) else {
        return;
    };
    for condition in &parameter.when {
        allow(space, &condition.on, config);
        if let (false, Some(value)) = (condition.holds(config), condition.values.first()) {
            config.0.insert(condition.on.clone(), value.clone());
        }
    }
}

/// Where along a coordinate is looked, with the values there, each once.
fn row(
    cube: &UnitCube<'_>,
    base: &[f64],
    (coordinate, path): &(usize, Path),
    max: usize,
) -> Vec<(f64, Value)> {
    let Some(scale) = cube.scales().nth(*coordinate) else {
        return Vec::new();
    };
    let value = |place: f64| {
        let mut point = base.to_vec();
        point[*coordinate] = place;
        Some((place, cube.config_at(&point).0.get(path).cloned()?))
    };
    let mut row: Vec<_> = places(scale, max).into_iter().filter_map(value).collect();
    row.dedup_by(|a, b| a.1.identity() == b.1.identity());
    row
}

fn grid(
    cube: &UnitCube<'_>,
    base: &[f64],
    (x, across): (usize, &[(f64, Value)]),
    up: Option<(usize, &Vec<(f64, Value)>)>,
) -> Vec<Vec<f64>> {
    let at = |moves: &[(usize, f64)]| {
        let mut point = base.to_vec();
        moves
            .iter()
            .for_each(|(coordinate, place)| point[*coordinate] = *place);
        cube.snap(&mut point);
        point
    };
    match up {
        None => across.iter().map(|(place, _)| at(&[(x, *place)])).collect(),
        Some((y, up)) => up
            .iter()
            .flat_map(|(upper, _)| {
                across
                    .iter()
                    .map(move |(place, _)| [(x, *place), (y, *upper)])
            })
            .map(|moves| at(&moves))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Outcome;
    use crate::space::Distribution;
    use crate::space::fixture::{choice, conditional, parameter};

    fn space() -> Space {
        Space::new(vec![
            parameter(
                "lr",
                Distribution::LogUniformValues {
                    min: 1e-4,
                    max: 1.0,
                },
            ),
            parameter("n", Distribution::IntUniform { min: 1, max: 8 }),
            parameter("word", choice(&["a", "b"])),
            parameter(
                "fixed",
                Distribution::Constant {
                    value: Value::Int(3),
                },
            ),
            conditional(
                "depth",
                Distribution::Uniform { min: 0.0, max: 1.0 },
                ("word", "b"),
            ),
        ])
        .unwrap()
    }

    /// The best learning rate is 0.01; where it is above 0.2, runs fail.
    fn seen() -> Vec<Observation> {
        let space = space();
        let cube = UnitCube::new(&space);
        let one = |index: u64| {
            let point: Vec<f64> = [0.618, 0.755, 0.414, 0.303]
                .map(|step| (index as f64 * step).fract())
                .to_vec();
            let config = cube.config_at(&point[..cube.scales().len()]);
            let lr = config.0[&Path::flat("lr")].as_f64().unwrap();
            let word = if config.0[&Path::flat("word")] == Value::Str("b".to_owned()) {
                0.2
            } else {
                0.0
            };
            let outcome = if lr > 0.2 {
                Outcome::Failed
            } else {
                Outcome::Value((lr.log10() + 2.0).powi(2) + word)
            };
            Observation::new(index, config, outcome)
        };
        (1..=50).map(one).collect()
    }

    fn cut<'a>(x: &'a str, y: Option<&'a str>) -> Result<Slice, SliceError> {
        slice(
            &space(),
            Goal::Minimize,
            &seen(),
            CodeLine::default(),
            1,
            Cut {
                x,
                y,
                through: None,
            },
        )
    }

    #[test]
    fn a_known_curve_and_the_cliff_beside_it_are_recovered() {
        let along = cut("lr", None).unwrap();
        assert_eq!(
            (along.x.len(), along.y.len(), along.points.len()),
            (ALONE_MAX, 0, ALONE_MAX)
        );
        let best = (0..ALONE_MAX)
            .min_by(|a, b| along.points[*a].mean.total_cmp(&along.points[*b].mean))
            .unwrap();
        let lr = along.x[best].as_f64().unwrap();
        assert!(
            (lr.log10() + 2.0).abs() < 0.3,
            "the best is said to be at {lr}"
        );
        assert!(
            along.points[best].success > 0.9 && along.points[ALONE_MAX - 1].success < 0.3,
            "{along:?}"
        );
        assert!(
            along
                .points
                .iter()
                .all(|point| point.deviation >= 0.0 && point.mean.is_finite())
        );
        assert_eq!(along, cut("lr", None).unwrap());
    }

    #[test]
    fn two_parameters_make_a_grid() {
        let over = cut("lr", Some("word")).unwrap();
        assert_eq!(
            (over.x.len(), over.y.len(), over.points.len()),
            (TOGETHER_MAX, 2, 2 * TOGETHER_MAX)
        );
        let (a, b) = over.points.split_at(TOGETHER_MAX);
        assert!(
            a[12].mean < b[12].mean,
            "word b is worse: {} {}",
            a[12].mean,
            b[12].mean
        );
        assert_eq!(
            cut("n", None).unwrap().x,
            (1..=8).map(Value::Int).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_parameter_that_depends_on_another_one_is_looked_at_where_it_exists() {
        let along = cut("depth", None).unwrap();
        assert_eq!(along.x.len(), ALONE_MAX);
        assert_eq!(
            along.through.0[&Path::flat("word")],
            Value::Str("b".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_cut_says_why() {
        let message = |x: &str, y: Option<&str>| cut(x, y).unwrap_err().to_string();
        assert_eq!(message("rl", None), "there is no parameter `rl`");
        assert_eq!(message("fixed", None), "parameter `fixed` does not vary");
        assert_eq!(
            message("lr", Some("lr")),
            "`lr` twice: two different parameters are wanted"
        );
        let few = slice(
            &space(),
            Goal::Minimize,
            &[],
            CodeLine::default(),
            1,
            Cut {
                x: "lr",
                y: None,
                through: None,
            },
        );
        assert_eq!(few.unwrap_err(), SliceError::TooFew);
    }
}
