//! A Gaussian process learns from what has ended, and the point that promises most is tried next.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::floor::{Branch, Floor};
use super::random::{Free, generator};
use super::{Ask, Suggestion, Suggestions, parzen, random, sobol, start_up};
use crate::acquisition::maximize::{Candidate, maximize};
use crate::observation::{CodeLine, Goal, Observation, Outcome, Pending};
use crate::space::enumeration::Enumeration;
use crate::space::unit_cube::UnitCube;
use crate::surrogate::{self, Surrogate};
use crate::tuning::{ACQUISITION, EFFORT, TRANSFER};
use crate::why::{Kind, Prediction, Why, short};

/// Keeps the points of the floor apart from the candidates of the model.
const FLOOR_SEED: u64 = 0xf100_4e57_0f1e_a5ed;

/// The past observations that the sampler uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History<'a> {
    pub(crate) goal: Goal,
    pub(crate) observations: &'a [Observation],
    pub(crate) pending: &'a [Pending],
    pub(crate) code: CodeLine<'a>,
}

impl History<'_> {
    fn is_newest(&self, code_version: &str) -> bool {
        self.code.place(code_version) == self.code.newest()
    }

    /// Returns whether older code is ignored for the n-th suggestion from now. What it knows leads back to where it was good, and
    /// the new optimum may be elsewhere: every other suggestion is one that a new search would make, so that old results never cost more than
    /// twice the runs.
    fn looks_alone(&self, made: usize) -> bool {
        let newest = self.newest() + made;
        self.code.newest() > 0 && newest > TRANSFER.alone_from && newest % 2 == 1
    }

    /// Returns the exploration weight of the n-th suggestion from now. With many results of older code a model is sure of much that holds no more, and goes
    /// on refining what was good before.
    fn curiosity(&self, made: usize) -> f64 {
        let newest = self.newest() + made;
        let restless = self.code.newest() > 0
            && newest > TRANSFER.alone_from
            && newest % TRANSFER.explore_every == 2;
        if restless {
            ACQUISITION.exploration_weight_after_change
        } else {
            ACQUISITION.exploration_weight
        }
    }

    /// Returns whether the floor looks at how the models do. Versions of the code have their own rules for exploration, and beside the space an
    /// improvement may be out of reach.
    fn explores(&self) -> bool {
        self.code.newest() == 0
            && self
                .observations
                .iter()
                .any(|seen| !seen.outside && seen.outcome.value().is_some())
    }

    /// Returns the points of all runs, ended, being executed or only suggested.
    fn tried(&self, cube: &UnitCube<'_>, suggested: &[Suggestion]) -> Vec<Vec<f64>> {
        let known = self
            .observations
            .iter()
            .map(|seen| &seen.config)
            .chain(self.pending.iter().map(|pending| &pending.config));
        known
            .chain(suggested.iter().map(|suggestion| &suggestion.config))
            .map(|config| cube.point_of(config))
            .collect()
    }

    /// Returns how much there is of the newest code.
    fn newest(&self) -> usize {
        let seen = self
            .observations
            .iter()
            .filter(|seen| self.is_newest(&seen.code_version))
            .count();
        seen + self
            .pending
            .iter()
            .filter(|pending| self.is_newest(&pending.code_version))
            .count()
    }
}

/// Suggests in three steps:
///
/// A. start-up: the middle of the space first, since people choose ranges around what they believe in; then a scrambled Sobol sequence, by
///    the number of the run, until results differ;
/// B. an ensemble of models learns the values of what has ended (of a stopped run, the value predicted or reached), and others where runs fail
///    or violate constraints. Of what is pending, and what this call has suggested already, each model draws its own outcome;
/// C. of many candidates the free one with the highest expected improvement, averaged over the ensemble, times the probability that nothing
///    goes wrong, is taken; or a point where little was tried, by the rules of [`Floor`]; or, while the models predict badly, one where good
///    points are dense.
pub(crate) fn suggest(ask: &Ask<'_>, history: &History<'_>) -> Suggestions {
    let cube = UnitCube::new(ask.space);
    if cube.scales().len() == 0 {
        return random::suggest(ask);
    }
    let start = start_up::count(&cube);
    let has_contrast =
        surrogate::has_contrast(&cube, history.goal, history.observations, history.code);
    let feasibility =
        || surrogate::feasibility(&cube, history.goal, history.observations, history.code);
    let points = Enumeration::of_support(ask.space);
    let mut search = Search {
        ask,
        cube: &cube,
        points: points.as_ref(),
        free: Free::new(ask, points.as_ref()),
    };
    let mut models: BTreeMap<bool, Option<Model>> = BTreeMap::new();
    let mut found = Suggestions::default();
    let known = history.observations.len() + history.pending.len();
    let mut probes = probes(&cube, history).into_iter();
    for (made, index) in (ask.next_index..).take(ask.count).enumerate() {
        let again = |probe: &Suggestion| probe.config.key_again(history.code.version());
        let start_up = |reason: &str, free: &mut Free<'_>| {
            start_up::suggest(ask, &cube, feasibility, free, index, known + made, reason)
        };
        let suggestion = if let Some(probe) = probes.find(|probe| search.free.holds(&again(probe)))
        {
            search.free.choose(again(&probe));
            Some(probe)
        } else if known + made < start {
            start_up(
                &format!("start-up point {} of {start}", known + made + 1),
                &mut search.free,
            )
        } else if !has_contrast {
            start_up(
                "start-up goes on since no two results differ yet",
                &mut search.free,
            )
        } else {
            let alone = history.looks_alone(made);
            let model = models.entry(alone).or_insert_with(|| {
                Model::new(&cube, history, alone, &found.suggestions, ask.seed, index)
            });
            match model {
                None => start_up("too few results for a model yet", &mut search.free),
                Some(model) => {
                    model.surrogate.ensemble.curiosity = history.curiosity(made);
                    let floor = Floor::new(&cube, history.tried(&cube, &found.suggestions));
                    model.suggest(&mut search, &floor, history.explores(), index)
                }
            }
        };
        let Some(suggestion) = suggestion else {
            found.exhausted = true;
            return found;
        };
        // Its other users must see it, too.
        let others = models
            .iter_mut()
            .filter(|(alone, _)| **alone != history.looks_alone(made));
        others
            .filter_map(|(_, model)| model.as_mut())
            .for_each(|model| model.expect(cube.point_of(&suggestion.config)));
        found.suggestions.push(suggestion);
    }
    found.exhausted = search.free.is_exhausted();
    found
}

/// Where a suggestion is looked for.
struct Search<'a> {
    ask: &'a Ask<'a>,
    cube: &'a UnitCube<'a>,
    /// All points, where they can be counted.
    points: Option<&'a Enumeration>,
    free: Free<'a>,
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
}

/// Returns what good runs of older code have tried, as far as the newest code has not had its probes: the best one, and then the one among the
/// best that is farthest from those before, which says more than another one beside the best.
fn probes(cube: &UnitCube<'_>, history: &History<'_>) -> Vec<Suggestion> {
    let History {
        goal,
        observations,
        code,
        ..
    } = *history;
    let had = history.newest();
    let value = |seen: &Observation| match seen.outcome {
        Outcome::Value(value) => Some(goal.minimized(value)).filter(|value| value.is_finite()),
        Outcome::Stopped(_) | Outcome::Failed => None,
    };
    let older = observations
        .iter()
        .filter(|seen| !history.is_newest(&seen.code_version) && !seen.outside)
        .filter(|seen| {
            seen.violations
                .iter()
                .flatten()
                .all(|violation| *violation <= 0.0)
        });
    let mut older: Vec<(f64, &Observation)> = older
        .filter_map(|seen| Some((value(seen)?, seen)))
        .collect();
    // Where every run has its own code, nothing would be tried but probes.
    if code.newest() == 0
        || had >= code.probes
        || older.len() < TRANSFER.values_per_probe * code.probes * code.newest()
    {
        return Vec::new();
    }
    older.sort_by(|a, b| a.0.total_cmp(&b.0));
    older.truncate((older.len() / TRANSFER.probed_share).max(code.probes));
    let mut chosen: Vec<(Vec<f64>, &Observation)> = Vec::new();
    while chosen.len() < code.probes {
        let point = |seen: &Observation| cube.point_of(&seen.config);
        let apart = |seen: &Observation| {
            let own = point(seen);
            let square = |other: &Vec<f64>| {
                own.iter()
                    .zip(other)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum::<f64>()
            };
            chosen
                .iter()
                .map(|(other, _)| square(other))
                .fold(f64::INFINITY, f64::min)
        };
        // Of several as far, the better one.
        let Some((_, next)) = older
            .iter()
            .rev()
            .max_by(|a, b| apart(a.1).total_cmp(&apart(b.1)))
        else {
            break;
        };
        chosen.push((point(next), next));
    }
    let suggestion = |(place, (_, seen)): (usize, (Vec<f64>, &Observation))| {
        let reason = format!(
            "probe {} of {}: run {} was good with older code",
            place + 1,
            code.probes,
            seen.index
        );
        Suggestion {
            config: seen.config.clone(),
            why: Why::new(Kind::Probe, reason),
        }
    };
    chosen
        .into_iter()
        .enumerate()
        .skip(had)
        .map(suggestion)
        .collect()
}

/// What is known at one moment, with what is being tried.
pub(crate) struct Model {
    surrogate: Surrogate,
    /// Points that are being tried.
    waiting: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
}

impl Model {
    /// `alone`: leaves out of account what is of older code.
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

    /// Suggests by the first rule that applies: the floor, then the highest score. `explores`: the rules apply that look at how the models do.
    fn suggest(
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
                "expected improvement {gain} is negligible (results are spread by {way}): far from what was tried"
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
                "`{}` has {} of at least {} runs with this value",
                search.name(branch.coordinate),
                branch.runs,
                branch.runs_min
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
                "a suggestion in a while explores: far from what was tried".to_owned(),
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
                format!("start-up goes on since {distrust}, {place}"),
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
                Kind::Exploit,
                format!("where good results are dense, since {distrust}"),
            ),
        )
    }

    /// Suggests a point far from what was tried, in a branch if one is given; `None` where it is taken.
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
            Why::new(Kind::Explore, format!("exploration: {reason}")),
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
        // Who is sure of the best place would send everybody there: one is enough to find out.
        let (crowded, apart): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| self.is_crowded(&candidate.point));
        let mut points = apart
            .into_iter()
            .chain(crowded)
            .map(|candidate| candidate.point);
        points.find(|point| search.free.holds(&search.cube.config_at(point).key()))
    }

    /// Returns the expected improvement at a point, in the objective's unit; `None` without a value to improve upon.
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
    fn expect(&mut self, point: Vec<f64>) {
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
        let kind = if mean < best {
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
