//! The agreement of older versions of the code with the newest.

use rand_chacha::ChaCha8Rng;

use crate::observation::{CodeLine, Goal, Observation};
use crate::space::unit_cube::UnitCube;
use crate::surrogate::Surrogate;

/// With fewer values of a version there is nothing to compare.
const VALUES_MIN: usize = 3;
/// No more versions than this are compared, the newest ones: each costs a model.
const COMPARED_MAX: usize = 10;

/// The agreement between an older version of the code and the newest, by the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The older version.
    pub version: String,
    /// The correlation of the two, as posterior mean and standard deviation: 1 where only level and
    /// unit differ, 0 where the older one carries no information about the newest, below 0 where
    /// good points have become bad.
    pub correlation: (f64, f64),
    /// The mean difference between the newest code and the older one at the same points, in the
    /// objective's unit. Positive: the newest gives larger values.
    pub shift: f64,
}

/// Compares each older version with the newest, the newest ones first. Empty where the newest has
/// too few values.
pub(super) fn agreements(
    cube: &UnitCube<'_>,
    goal: Goal,
    observations: &[Observation],
    code: CodeLine<'_>,
    rng: &mut ChaCha8Rng,
) -> Vec<Agreement> {
    let valued = |version: &str| -> Vec<Observation> {
        let is_finite = |seen: &&Observation| seen.outcome.value().is_some_and(f64::is_finite);
        observations
            .iter()
            .filter(|seen| seen.code_version == version)
            .filter(is_finite)
            .cloned()
            .collect()
    };
    let Some((newest, older)) = code.versions.split_last() else {
        return Vec::new();
    };
    let now = valued(newest);
    if now.is_empty() {
        return Vec::new();
    }
    let compare = |(version, mut then): (&String, Vec<Observation>)| {
        let alone = Surrogate::new(cube, goal, &then, CodeLine::default(), rng)?;
        let points: Vec<_> = now.iter().map(|seen| cube.point_of(&seen.config)).collect();
        let shifts =
            now.iter()
                .zip(alone.predict(&points))
                .map(|(seen, (predicted, deviation))| {
                    let deviation = deviation.hypot(seen.outcome.deviation());
                    (
                        seen.outcome.value().unwrap_or(0.0) - goal.minimized(predicted),
                        1.0 / (deviation * deviation).max(f64::MIN_POSITIVE),
                    )
                });
        // Where the older code is better known its word counts for more.
        let (sum, total) = shifts.fold((0.0, 0.0), |(sum, total), (shift, weight)| {
            (sum + shift * weight, total + weight)
        });
        then.extend(now.iter().cloned());
        let both = [version.clone(), newest.clone()];
        let model = Surrogate::new(
            cube,
            goal,
            &then,
            CodeLine {
                versions: &both,
                probes: 0,
            },
            rng,
        )?;
        let correlations = model.correlations();
        let count = correlations.len() as f64;
        let mean = correlations.iter().sum::<f64>() / count;
        let deviation = (correlations
            .iter()
            .map(|one| (one - mean).powi(2))
            .sum::<f64>()
            / count)
            .sqrt();
        (count > 0.0 && total > 0.0).then(|| Agreement {
            version: version.clone(),
            correlation: (mean, deviation),
            shift: sum / total,
        })
    };
    let enough = older
        .iter()
        .rev()
        .map(|version| (version, valued(version)))
        .filter(|(_, seen)| seen.len() >= VALUES_MIN);
    enough.take(COMPARED_MAX).filter_map(compare).collect()
}
