use proptest::prelude::*;

use super::*;

const RULE: Predictive = Predictive {
    min_probability: 0.2,
    min_iter: None,
    max_iter: None,
    min_runs: 5,
};

/// A power law of `length` values from about 1 to about `end`.
fn curve(end: f64, length: u32) -> Vec<f64> {
    (1..=length)
        .map(|iteration| end + (1.0 - end) * 0.8 / f64::from(iteration))
        .collect()
}

fn finished(ends: &[f64], length: u32) -> Vec<(Vec<f64>, Option<f64>)> {
    let run = |end: &f64| {
        let curve = curve(*end, length);
        let value = curve.last().copied();
        (curve, value)
    };
    ends.iter().map(run).collect()
}

fn judge(
    rule: &Predictive,
    goal: Goal,
    series: &[f64],
    known: usize,
    others: &[(Vec<f64>, Option<f64>)],
) -> Option<Stop> {
    let best = others
        .iter()
        .filter_map(|(_, value)| *value)
        .reduce(|a, b| if goal.is_better(b, a) { b } else { a });
    let peers = others.iter().map(|(series, value)| Peer {
        series,
        value: *value,
    });
    rule.judge(
        &Reporting {
            goal,
            series,
            known,
            best,
        },
        peers,
    )
}

const ENDS: [f64; 6] = [0.2, 0.25, 0.3, 0.35, 0.4, 0.5];

#[test]
fn what_will_not_win_stops_with_its_prediction() {
    let others = finished(&ENDS, 52);
    let bad = curve(0.45, 52);
    let stop = judge(&RULE, Goal::Minimize, &bad[..11], 10, &others).unwrap();
    assert_eq!(
        stop.reason,
        "iteration 11: predicted 0.457 ± 0.084 at step 52, best 0.212: better with a probability of 0.1 %, judged by 6 finished runs"
    );
    assert!((stop.predicted.unwrap() - bad[51]).abs() < 0.01, "{stop:?}");
    let negative = |series: &[f64]| series.iter().map(|value| -value).collect::<Vec<_>>();
    let mirrored: Vec<_> = others
        .iter()
        .map(|(series, value)| (negative(series), value.map(|value| -value)))
        .collect();
    let mirrored = judge(&RULE, Goal::Maximize, &negative(&bad[..11]), 10, &mirrored).unwrap();
    assert_eq!(mirrored.predicted, stop.predicted.map(|value| -value));
    assert_eq!(
        mirrored.reason,
        stop.reason
            .replace("predicted ", "predicted -")
            .replace("best ", "best -")
    );
}

#[test]
fn what_may_win_goes_on() {
    let others = finished(&ENDS, 52);
    for end in [0.1, 0.19, 0.2, 0.21] {
        let good = curve(end, 52);
        for now in 1..=52 {
            assert_eq!(
                judge(&RULE, Goal::Minimize, &good[..now], now - 1, &others),
                None,
                "to {end} at {now}"
            );
        }
    }
}

#[test]
fn nobody_stops_early_in_a_run_or_in_a_sweep() {
    let bad = curve(0.9, 52);
    let judge = |rule: &Predictive, now: usize, runs: usize| {
        judge(
            rule,
            Goal::Minimize,
            &bad[..now],
            now - 1,
            &finished(&ENDS[..runs], 52),
        )
        .is_some()
    };
    assert_eq!(
        [
            judge(&RULE, 10, 6),
            judge(&RULE, 11, 6),
            judge(&RULE, 11, 5),
            judge(&RULE, 11, 4)
        ],
        [false, true, true, false]
    );
    assert!(judge(
        &Predictive {
            min_iter: Some(8),
            ..RULE
        },
        8,
        6
    ));
    assert!(!judge(
        &Predictive {
            min_iter: Some(12),
            ..RULE
        },
        11,
        6
    ));
    assert!(!judge(
        &Predictive {
            max_iter: Some(100),
            ..RULE
        },
        19,
        6
    ));
    assert!(judge(&RULE, 46, 6));
    assert!(!judge(&RULE, 47, 6), "it is nearly done");
    assert!(!judge(&RULE, 52, 6), "it is at its end");
}

#[test]
fn the_same_doubt_stops_a_run_late_and_not_early() {
    let others = finished(&ENDS, 52);
    let stops = |now: usize| {
        let flat = vec![0.24; now];
        judge(
            &Predictive {
                min_probability: 0.5,
                ..RULE
            },
            Goal::Minimize,
            &flat,
            now - 1,
            &others,
        )
    };
    let late = stops(46).unwrap();
    assert!(
        late.reason.contains("better with a probability of "),
        "{late:?}"
    );
    assert_eq!((11..26).map(stops).find(Option::is_some), None);
}

#[test]
fn what_still_falls_fast_goes_on_whatever_the_others_did() {
    let others = finished(&ENDS, 52);
    let falling: Vec<f64> = (1..=26)
        .map(|iteration| 1.2 - 0.15 * f64::from(iteration).log2())
        .collect();
    let flat = vec![falling[25]; 26];
    assert!(judge(&RULE, Goal::Minimize, &flat, 25, &others).is_some());
    assert_eq!(judge(&RULE, Goal::Minimize, &falling, 25, &others), None);
}

#[test]
fn only_finished_runs_and_new_iterations_count() {
    let (others, bad) = (finished(&ENDS, 52), curve(0.9, 52));
    let running: Vec<_> = others
        .iter()
        .map(|(series, _)| (series.clone(), None))
        .collect();
    assert_eq!(judge(&RULE, Goal::Minimize, &bad[..20], 19, &running), None);
    let mut series = bad[..20].to_vec();
    series.push(f64::NAN);
    assert_eq!(
        judge(&RULE, Goal::Minimize, &series, 20, &others),
        None,
        "a NaN is no iteration"
    );
    assert!(judge(&RULE, Goal::Minimize, &series, 19, &others).is_some());
}

#[test]
fn a_long_run_is_looked_at_now_and_then() {
    let (others, bad) = (finished(&ENDS, 6400), curve(0.9, 6400));
    let looks = (1..6400)
        .filter(|now| judge(&RULE, Goal::Minimize, &bad[..*now], now - 1, &others).is_some())
        .count();
    assert_eq!(
        looks, 45,
        "a hundredth of them, after the first fifth and before the last tenth"
    );
    assert!(
        judge(&RULE, Goal::Minimize, &bad[..1399], 1290, &others).is_some(),
        "a report may bring many"
    );
}

#[test]
fn one_diverged_run_does_no_harm() {
    let mut others = finished(&ENDS, 52);
    others.push((vec![1e9; 52], Some(1e9)));
    assert!(judge(&RULE, Goal::Minimize, &curve(0.45, 52)[..11], 10, &others).is_some());
    assert_eq!(
        judge(&RULE, Goal::Minimize, &curve(0.19, 52)[..11], 10, &others),
        None
    );
}

#[test]
fn flat_and_equal_curves_are_no_reason_to_stop() {
    let others = vec![(vec![0.5; 52], Some(0.5)); 8];
    assert_eq!(judge(&RULE, Goal::Minimize, &[0.5; 30], 29, &others), None);
    assert!(
        judge(&RULE, Goal::Minimize, &[0.9; 46], 45, &others)
            .is_none_or(|stop| stop.predicted.is_some())
    );
}

#[test]
fn what_has_been_reached_is_not_lost_again() {
    let mut others = finished(&ENDS, 52);
    for (series, value) in &mut others {
        series.truncate(30);
        series.extend([0.9; 22]);
        *value = Some(series.iter().copied().fold(f64::INFINITY, f64::min));
    }
    for now in 11..47 {
        let own = vec![0.6; now];
        let stop = judge(&RULE, Goal::Minimize, &own, now - 1, &others);
        assert!(
            stop.is_some_and(|stop| stop
                .predicted
                .is_some_and(|predicted| predicted < 0.600_001)),
            "at {now}"
        );
    }
}

proptest! {
    #[test]
    fn any_numbers_give_a_finite_prediction_or_none(
        own in prop::collection::vec(value(), 0..30),
        others in prop::collection::vec((prop::collection::vec(value(), 0..40), prop::option::weighted(0.9, value())), 0..12),
        known in 0_usize..30,
        maximize in any::<bool>(),
        min_iter in prop::option::of(0_u64..5),
        max_iter in prop::option::of(prop_oneof![0_u64..60, Just(u64::MAX)]),
    ) {
        let rule = Predictive { min_probability: 0.5, min_iter, max_iter, min_runs: 1 };
        let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
        let others: Vec<_> = others.into_iter().map(|(series, value)| (series, value.filter(|value| value.is_finite()))).collect();
        if let Some(stop) = judge(&rule, goal, &own, known.min(own.len()), &others) {
            prop_assert!(stop.predicted.is_some_and(f64::is_finite), "{stop:?}");
            prop_assert!(!stop.reason.contains("NaN"), "{stop:?}");
        }
    }

    #[test]
    fn the_unit_of_the_objective_does_not_matter(unit in -20_i32..20, offset in -3.0..3.0_f64, end in 0.3..0.9_f64, now in 11_usize..40) {
        let unit = 10_f64.powi(unit);
        let turn = |series: &[f64]| series.iter().map(|value| (value + offset) * unit).collect::<Vec<_>>();
        let others = finished(&ENDS, 52);
        let turned: Vec<_> = others.iter().map(|(series, value)| (turn(series), value.map(|value| (value + offset) * unit))).collect();
        let own = curve(end, 52);
        let plain = judge(&RULE, Goal::Minimize, &own[..now], now - 1, &others).is_some();
        prop_assert_eq!(plain, judge(&RULE, Goal::Minimize, &turn(&own[..now]), now - 1, &turned).is_some());
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..1.0, 2 => -1e3..1e3, 1 => Just(0.5), 1 => any::<f64>(), 1 => Just(f64::MAX), 1 => Just(-f64::MAX), 1 => Just(0.0)]
}
