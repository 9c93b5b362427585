//! Bayesian optimisation: models learn from the runs that have ended, and the point with the
//! highest score is tried next.

use std::collections::BTreeMap;

use super::floor::Floor;
use super::history::History;
use super::model::{Model, Search};
use super::probes::probes;
use super::random::Free;
use super::{Ask, Suggestion, Suggestions, random, start_up};
use crate::space::enumeration::Enumeration;
use crate::space::unit_cube::UnitCube;
use crate::surrogate;

/// Suggests in three steps:
///
/// A. Start-up, until results differ: the middle of the space first, since people choose ranges
///    around likely values, and then a scrambled Sobol sequence by the number of the run.
/// B. Models: an ensemble learns the values of the runs that have ended (of a stopped run the
///    predicted one), others learn where runs fail or violate constraints. Each model draws its own
///    outcome for runs in progress and for earlier suggestions of this call.
/// C. Choice: the free candidate with the highest score is taken. Exceptions are a point far from
///    all tried points, by the rules of [`Floor`], and one where good points are dense, while the
///    models do not predict.
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
                "start-up continues since no two results differ yet",
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
                    model.surrogate.ensemble.exploration_weight = history.exploration_weight(made);
                    let floor = Floor::new(&cube, history.tried(&cube, &found.suggestions));
                    let found = model.suggest(&mut search, &floor, history.explores(), index);
                    found.map(|mut suggestion| {
                        if alone {
                            let results = history.newest_results();
                            suggestion.why.reason +=
                                &format!("; by the newest code's results alone: {results}");
                        }
                        suggestion
                    })
                }
            }
        };
        let Some(suggestion) = suggestion else {
            found.exhausted = true;
            return found;
        };
        // The other model has to see it as well.
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
