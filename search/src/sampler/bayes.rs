//! A Gaussian process learns from what has ended, and the point that promises most is tried next.

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
