//! How the search uses the results of older code.

use std::collections::BTreeSet;

use super::*;

/// Returns the regret after a number of runs of new code, over that of a new search with as many
/// (medians of several seeds).
fn change_pays(
    objective: fn(&[f64]) -> f64,
    changed: fn(&[f64]) -> f64,
    runs: usize,
) -> (f64, f64) {
    let mut regrets = (Vec::new(), Vec::new());
    for seed in 0..5 {
        let new = |config: &Config| Outcome::Value(changed(&numbers(config)));
        let mut restarted = Sweep::new(uniform(&[(0.0, 1.0); 3]), Method::Bayes, seed);
        restarted.run(runs, 1, new);
        let mut on = Sweep::new(uniform(&[(0.0, 1.0); 3]), Method::Bayes, seed);
        on.change_code();
        on.run(25, 1, |config| Outcome::Value(objective(&numbers(config))));
        on.change_code();
        on.run(25 + runs, 1, new);
        on.observations.drain(..25);
        regrets.0.push(on.best());
        regrets.1.push(restarted.best());
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (median(regrets.0), median(regrets.1))
}

#[test]
fn what_was_learnt_with_older_code_helps_as_far_as_it_holds() {
    for changed in [
        bowl,
        |x: &[f64]| bowl(x) + 5.0,
        |x: &[f64]| 7.0 * bowl(x) + 1.0,
        |x: &[f64]| bowl(&[x[0] + 0.2, x[1], x[2]]),
    ] {
        let (on, restarted) = change_pays(bowl, changed, 6);
        assert!(on < restarted, "{on} is not better than {restarted}");
    }
    // What was good is bad, and that is found out.
    let (on, restarted) = change_pays(bowl, |x| -bowl(x), 15);
    assert!(on < restarted + 0.05, "{on} is worse than {restarted}");
}

#[test]
fn the_best_of_older_code_is_tried_again_first() {
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 2]), Method::Bayes, 3);
    let distance =
        |config: &Config| Outcome::Value(numbers(config).iter().map(|x| (x - 0.3).powi(2)).sum());
    sweep.change_code();
    sweep.run(20, 1, distance);
    let best = crate::analysis::best(Goal::Minimize, &sweep.observations)
        .unwrap()
        .clone();
    sweep.change_code();
    let found = sweep.ask(4).suggestions;
    assert_eq!(found[0].config, best.config);
    let kinds: Vec<_> = found
        .iter()
        .map(|suggestion| suggestion.why.kind == Kind::Probe)
        .collect();
    assert_eq!(kinds, [true, true, false, false]);
    assert_eq!(
        found[0].why.reason,
        format!("probe 1 of 2: run {} was good with older code", best.index)
    );
    sweep.run(22, 2, distance);
    assert_ne!(
        sweep.ask(1).suggestions[0].why.kind,
        Kind::Probe,
        "it has had its probes"
    );
    // A program that changes its own code with every run gets something else to try.
    for _ in 0..20 {
        sweep.change_code();
        sweep.run(sweep.observations.len() + 1, 1, distance);
    }
    let tried: BTreeSet<_> = sweep.observations[22..]
        .iter()
        .map(|seen| seen.config.key())
        .collect();
    assert!(tried.len() > 12, "{} different ones of 20", tried.len());
}
