//! Suggestions from the models: the highest score, or a point by the rules of the floor.

use rand_chacha::ChaCha8Rng;

use super::floor::{Branch, Floor};
use super::history::History;
use super::random::{Free, generator};
use super::{Ask, Suggestion, parzen, sobol, start_up};
use crate::acquisition::maximize::{Candidate, maximize};
use crate::observation::{CodeLine, Observation};
use crate::space::enumeration::Enumeration;
use crate::space::unit_cube::UnitCube;
use crate::surrogate::{self, Surrogate};
use crate::tuning::{ACQUISITION, EFFORT};
use crate::why::{Kind, Prediction, Why, short};

/// Keeps the points of the floor apart from the candidates of the model.
const FLOOR_SEED: u64 = 0xf100_4e57_0f1e_a5ed;

/// Where a suggestion is looked for.
pub(super) struct Search<'a> {
    pub(super) ask: &'a Ask<'a>,
    pub(super) cube: &'a UnitCube<'a>,
    /// All points, where they can be counted.
    pub(super) points: Option<&'a Enumeration>,
    pub(super) free: Free<'a>,
}

impl Search<'_> {
    /// Returns the name of the parameter of a coordinate.
    fn name(&self, coordinate: usize) -> String {
        self.cube
            .paths()
            .nth(coordinate)
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Returns the value of a branch, as JSON.
    fn value(&self, branch: &Branch) -> String {
        let mut point = vec![0.5; self.cube.scales().len()];
        point[branch.coordinate] = branch.middle;
        let config = self.cube.config_at(&point);
        let path = self.cube.paths().nth(branch.coordinate);
        path.and_then(|path| config.0.get(path)).map_or_else(
            || "this value".to_owned(),
            |value| value.to_json().to_string(),
        )
    }
}

/// The models at one moment, conditioned on the runs in progress.
pub(crate) struct Model {
    pub(super) surrogate: Surrogate,
    /// Points that are being tried.
    waiting: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
}

impl Model {
    /// `alone`: ignores observations of older code.
    pub(crate) fn new(
        cube: &UnitCube<'_>,
        history: &History<'_>,
        alone: bool,
        suggested: &[Suggestion],
        seed: u64,
        index: u64,
    ) -> Option<Self> {
        let mut rng = generator(seed ^ surrogate::SEED, index);
        let newest: Vec<Observation>;
        let (observations, code) = if alone {
            newest = history
                .observations
                .iter()
                .filter(|seen| history.is_newest(&seen.code_version))
                .cloned()
                .collect();
            (newest.as_slice(), CodeLine::default())
        } else {
            (history.observations, history.code)
        };
        let mut surrogate = Surrogate::new(cube, history.goal, observations, code, &mut rng)?;
        let waiting = history
            .pending
            .iter()
            .map(|pending| &pending.config)
            .chain(suggested.iter().map(|suggestion| &suggestion.config));
        let waiting: Vec<_> = waiting.map(|config| cube.point_of(config)).collect();
        surrogate.believe_all(&waiting, &mut rng);
        Some(Self {
            surrogate,
            waiting,
            rng,
        })
    }

    /// Suggests by the first rule that applies: the floor, then the highest score. `explores`: the
    /// rules apply that look at how the models do.
    pub(super) fn suggest(
        &mut self,
        search: &mut Search<'_>,
        floor: &Floor,
        explores: bool,
        index: u64,
    ) -> Option<Suggestion> {
        let by_floor = self.explore(search, floor, explores, index);
        if by_floor.is_some() {
            return by_floor;
        }
        let Some(best) = self.best(search, index) else {
            let config = search.free.draw(index)?;
            return Some(Suggestion {
                config,
                why: Why::new(
                    Kind::Random,
                    "random draw, since every promising point is taken",
                ),
            });
        };
        let improvement = self.improvement(&best);
        let spread = self.surrogate.spread;
        if explores && improvement.is_some_and(|improvement| floor.neglects(improvement, spread)) {
            let [gain, way] = [improvement.unwrap_or_default(), spread].map(short);
            let reason = format!(
                "expected improvement {gain} is negligible (results are spread by {way}): far from all tried points"
            );
            let far = self.far(search, floor, floor.least_tried_branch(), reason, index);
            if far.is_some() {
                return far;
            }
        }
        let why = self.explain(&best);
        self.take(search, best, why)
    }

    /// Returns a suggestion by the rules of the floor that need no candidates.
    fn explore(
        &mut self,
        search: &mut Search<'_>,
        floor: &Floor,
        explores: bool,
        index: u64,
    ) -> Option<Suggestion> {
        if let Some(branch) = floor.neglected_branch() {
            let reason = format!(
                "`{}` has {} of at least {} runs with {}",
                search.name(branch.coordinate),
                branch.runs,
                branch.runs_min,
                search.value(&branch)
            );
            return self.far(search, floor, Some(branch), reason, index);
        }
        if !explores {
            return None;
        }
        let skill = self.surrogate.skill.filter(|skill| floor.distrusts(*skill));
        if self.surrogate.ensemble.members.is_empty() {
            if floor.may_explore() {
                return self.spread(search, floor, "no run counts yet");
            }
        } else if let Some(skill) = skill {
            let distrust = format!(
                "the model predicts {:.0} % of the differences between results",
                100.0 * skill.max(0.0)
            );
            return if floor.may_explore() {
                self.spread(search, floor, &distrust)
            } else {
                self.near_good_points(search, &distrust)
            };
        }
        if floor.must_explore() {
            return self.far(
                search,
                floor,
                floor.least_tried_branch(),
                "at 64, 81, 100, … runs: far from all tried points".to_owned(),
                index,
            );
        }
        None
    }

    /// Suggests the next point of the start-up.
    fn spread(
        &mut self,
        search: &mut Search<'_>,
        floor: &Floor,
        distrust: &str,
    ) -> Option<Suggestion> {
        let feasibility = self.surrogate.ensemble.feasibility.as_ref();
        let (mut point, place) = start_up::spread_point(
            search.cube,
            feasibility,
            search.ask.seed ^ FLOOR_SEED,
            floor.place(),
        );
        search.cube.snap(&mut point);
        self.take(
            search,
            point,
            Why::new(
                Kind::StartUp,
                format!("start-up continues since {distrust}, {place}"),
            ),
        )
    }

    /// Suggests a point by where the good points lie alone.
    fn near_good_points(&mut self, search: &mut Search<'_>, distrust: &str) -> Option<Suggestion> {
        let feasibility = self.surrogate.ensemble.feasibility.as_ref();
        let point = parzen::point(
            search.cube,
            &self.surrogate.counting_points(),
            feasibility,
            &mut self.rng,
        );
        self.take(
            search,
            point,
            Why::new(
                Kind::Dense,
                format!("where good results are dense, since {distrust}"),
            ),
        )
    }

    /// Suggests a point far from what was tried, in a branch if one is given; `None` where it is
    /// taken.
    fn far(
        &mut self,
        search: &mut Search<'_>,
        floor: &Floor,
        branch: Option<Branch>,
        reason: String,
        index: u64,
    ) -> Option<Suggestion> {
        let scramble = sobol::scramble_of_run(search.ask.seed ^ FLOOR_SEED, index);
        let point = floor.far_point(
            search.cube,
            branch.as_ref(),
            self.surrogate.ensemble.feasibility.as_ref(),
            scramble,
        );
        self.take(
            search,
            point,
            Why::new(Kind::Far, format!("exploration: {reason}")),
        )
    }

    /// Takes a point and believes in its outcome; `None` where it is taken already.
    fn take(&mut self, search: &mut Search<'_>, point: Vec<f64>, why: Why) -> Option<Suggestion> {
        let config = search.cube.config_at(&point);
        let key = config.key();
        if !search.free.holds(&key) {
            return None;
        }
        search.free.choose(key);
        self.expect(point);
        Some(Suggestion { config, why })
    }

    /// Returns the free point with the highest score.
    fn best(&mut self, search: &Search<'_>, index: u64) -> Option<Vec<f64>> {
        let candidates = match search
            .points
            .filter(|points| points.size() <= EFFORT.whole_space_max)
        {
            Some(points) => self.whole(search.cube, &search.free, points),
            None => self.search(search.cube, search.ask.seed, index),
        };
        // Several runs at one place teach little more than one, however certain the models are of
        // it.
        let (crowded, apart): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| self.is_crowded(&candidate.point));
        let mut points = apart
            .into_iter()
            .chain(crowded)
            .map(|candidate| candidate.point);
        points.find(|point| search.free.holds(&search.cube.config_at(point).key()))
    }

    /// Returns the expected improvement at a point, in the objective's unit; `None` without a value
    /// to improve upon.
    fn improvement(&self, point: &[f64]) -> Option<f64> {
        let has_values = !self.surrogate.ensemble.members.is_empty();
        has_values.then(|| {
            self.surrogate
                .ensemble
                .log_improvements(std::slice::from_ref(&point.to_vec()))[0]
                .exp()
        })
    }

    /// Records a point that is going to be tried.
    pub(super) fn expect(&mut self, point: Vec<f64>) {
        self.surrogate.believe(&point, &mut self.rng);
        self.waiting.push(point);
    }

    fn is_crowded(&self, point: &[f64]) -> bool {
        self.waiting.iter().any(|other| {
            other
                .iter()
                .zip(point)
                .all(|(a, b)| (a - b).abs() < ACQUISITION.min_distance)
        })
    }

    /// Returns candidates, the most promising first.
    pub(crate) fn search(&mut self, cube: &UnitCube<'_>, seed: u64, index: u64) -> Vec<Candidate> {
        let dimensions = cube.scales().len();
        let scramble = sobol::scramble_of_run(seed, index);
        let wide = dimensions > EFFORT.spread_dimensions_max && !self.surrogate.around.is_empty();
        let spread = if wide {
            0
        } else {
            self.surrogate.effort.spread as u64
        };
        let spread = (0..spread)
            .map(|place| sobol::point(place, dimensions, scramble))
            .collect();
        maximize(
            cube,
            spread,
            &self.surrogate.around,
            &self.surrogate.ensemble,
            self.surrogate.effort,
            &mut self.rng,
        )
    }

    fn whole(&self, cube: &UnitCube<'_>, free: &Free<'_>, points: &Enumeration) -> Vec<Candidate> {
        let all = points
            .configs()
            .filter(|config| free.holds(&config.key()))
            .map(|config| cube.point_of(&config))
            .collect::<Vec<_>>();
        let scores = self.surrogate.ensemble.scores(&all);
        let mut candidates: Vec<_> = scores
            .into_iter()
            .zip(all)
            .map(|(score, point)| Candidate { score, point })
            .collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates
    }

    fn explain(&self, point: &[f64]) -> Why {
        let Surrogate {
            ensemble,
            goal,
            best,
            ..
        } = &self.surrogate;
        let at = std::slice::from_ref(&point.to_vec()).to_vec();
        let success = ensemble
            .feasibility
            .as_ref()
            .map(|feasibility| feasibility.log_probabilities(&at)[0].exp());
        let likely = success.map(|success| format!("{:.0} % likely to succeed", 100.0 * success));
        let Some(best) = best.filter(|_| !ensemble.members.is_empty()) else {
            let reason = format!("nothing has succeeded yet: {}", likely.unwrap_or_default());
            return Why {
                success,
                ..Why::new(Kind::Explore, reason)
            };
        };
        let (mean, deviation) = self.surrogate.predict(&at)[0];
        let improvement = ensemble.log_improvements(&at)[0].exp();
        // The best value may be a lucky one: the model's own expectation of it is the yardstick.
        let seen = self.surrogate.at_seen();
        let (expected_best, unsure) = seen
            .iter()
            .map(|(_, mean, deviation)| (*mean, *deviation))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((best, 0.0));
        let kind = if mean <= expected_best + unsure {
            Kind::Exploit
        } else {
            Kind::Explore
        };
        let (mean, best) = (goal.minimized(mean), goal.minimized(best));
        let [gain, over, expected, spread] = [improvement, best, mean, deviation].map(short);
        let likely = likely
            .map(|likely| format!(", {likely}"))
            .unwrap_or_default();
        let reason = format!(
            "expected improvement {gain} over {over}, predicted {expected} ± {spread}{likely}"
        );
        Why {
            predicted: Some(Prediction { mean, deviation }),
            improvement: Some(improvement),
            success,
            ..Why::new(kind, reason)
        }
    }
}
