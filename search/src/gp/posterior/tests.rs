use super::super::kernel::Coordinate;
use super::*;

const THETA: [f64; 5] = [-1.5, -16.0, 0.0, -3.0, -3.0];

fn model() -> Posterior {
    let seen = ObservedPoints::once(vec![vec![0.1], vec![0.5], vec![0.6]], vec![1.0, -1.0, 0.5]);
    Posterior::new(Arc::new(Geometry(vec![Coordinate::Ordered])), &THETA, &seen).unwrap()
}

#[test]
fn the_model_goes_through_what_it_has_seen_and_is_unsure_elsewhere() {
    let mut model = model();
    let seen = model.predict(&[vec![0.1], vec![0.5], vec![0.6]]);
    assert!(
        (seen[1].0 + 1.0).abs() < 1e-3 && seen[1].1 < 0.01,
        "{seen:?}"
    );
    assert!(
        model
            .means_at_seen()
            .zip(&seen)
            .all(|(mean, (predicted, _))| (mean - predicted).abs() < 1e-9)
    );
    let far = model.predict(&[vec![1.0]])[0];
    assert!(far.1 > 0.5, "{far:?}");
    assert!(model.believe(&[1.0], far.0));
    let believed = model.predict(&[vec![1.0]])[0];
    assert!(
        (believed.0 - far.0).abs() < 1e-3 && believed.1 < 0.01,
        "{believed:?}"
    );
    let x = vec![vec![0.1], vec![0.5], vec![0.6], vec![1.0]];
    let seen = ObservedPoints {
        shares: vec![1.0, 1.0, 1.0, 0.0],
        ..ObservedPoints::once(x, vec![1.0, -1.0, 0.5, far.0])
    };
    let anew =
        Posterior::new(Arc::new(Geometry(vec![Coordinate::Ordered])), &THETA, &seen).unwrap();
    for point in [[0.3], [0.8]] {
        let (a, b) = (
            model.predict(&[point.to_vec()])[0],
            anew.predict(&[point.to_vec()])[0],
        );
        assert!(
            (a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6,
            "{a:?} {b:?}"
        );
    }
}

#[test]
fn the_skill_is_that_of_predicting_what_was_left_out() {
    let geometry = || Arc::new(Geometry(vec![Coordinate::Ordered]));
    let x: Vec<Vec<f64>> = (0..12).map(|place| vec![f64::from(place) / 12.0]).collect();
    let z: Vec<f64> = x.iter().map(|x| (5.0 * x[0]).sin()).collect();
    let model = Posterior::new(
        geometry(),
        &THETA,
        &ObservedPoints::once(x.clone(), z.clone()),
    )
    .unwrap();
    let without = |left: usize| {
        let of = |values: &[f64]| {
            values
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != left)
                .map(|(_, z)| *z)
                .collect::<Vec<_>>()
        };
        let places = (0..12)
            .filter(|place| *place != left)
            .map(|place| x[place].clone())
            .collect();
        let others = of(&z);
        let mean = others.iter().sum::<f64>() / 11.0;
        let predicted = Posterior::new(geometry(), &THETA, &ObservedPoints::once(places, others))
            .unwrap()
            .predict(&x[left..=left])[0]
            .0;
        ((z[left] - predicted).powi(2), (z[left] - mean).powi(2))
    };
    let (errors, total) = (0..12)
        .map(without)
        .fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    assert!(
        (model.skill() - (1.0 - errors / total)).abs() < 1e-6 && model.skill() > 0.9,
        "{}",
        model.skill()
    );
    let noise: Vec<f64> = (0..12)
        .map(|place| if place * 7 % 5 < 2 { 1.0 } else { -1.0 })
        .collect();
    assert!(
        Posterior::new(geometry(), &THETA, &ObservedPoints::once(x, noise))
            .unwrap()
            .skill()
            < 0.2
    );
}

#[test]
fn several_points_at_once_are_believed_as_one_after_the_other() {
    let (mut together, mut apart) = (model(), model());
    let (points, draws) = ([vec![0.3], vec![0.35], vec![0.9]], [0.5, -1.0, 0.7]);
    assert!(together.believe_all(&points, &draws));
    for (point, draw) in points.iter().zip(draws) {
        let (mean, deviation) = apart.predict(std::slice::from_ref(point))[0];
        assert!(apart.believe(point, mean + draw * deviation));
    }
    for at in [[0.2], [0.33], [0.7]] {
        let (a, b) = (
            together.predict(&[at.to_vec()])[0],
            apart.predict(&[at.to_vec()])[0],
        );
        assert!(
            (a.0 - b.0).abs() < 1e-4 && (a.1 - b.1).abs() < 1e-4,
            "{a:?} {b:?}"
        );
    }
    assert!(
        !together.believe_all(&[vec![0.5], vec![f64::NAN]], &[0.0, 0.0]),
        "nothing has changed"
    );
    assert!((together.predict(&[vec![0.2]])[0].0 - apart.predict(&[vec![0.2]])[0].0).abs() < 1e-4);
}

#[test]
fn a_difference_is_better_known_than_its_two_sides() {
    let model = model();
    let [a, b] = [vec![0.8], vec![0.81]];
    let apart = model.difference_deviations(std::slice::from_ref(&a), std::slice::from_ref(&b))[0];
    let sides = model.predict(&[a.clone(), b]);
    assert!(
        apart > 0.0 && apart < 0.3 * sides[0].1.min(sides[1].1),
        "{apart} {sides:?}"
    );
    let known = model.difference_deviations(&[vec![0.1]], &[vec![0.5]])[0];
    assert!(known < 0.01, "{known}");
    assert!(
        model.difference_deviations(std::slice::from_ref(&a), std::slice::from_ref(&a))[0] < 1e-6
    );
}

#[test]
fn the_gradients_are_those_of_the_prediction() {
    let model = model();
    let slope = model.slope(&[0.3]);
    let (low, high) = (
        model.predict(&[vec![0.3 - 1e-5]])[0],
        model.predict(&[vec![0.3 + 1e-5]])[0],
    );
    assert!(
        (slope.mean_slope[0] - (high.0 - low.0) / 2e-5).abs() < 1e-5,
        "{slope:?}"
    );
    assert!(
        (slope.deviation_slope[0] - (high.1 - low.1) / 2e-5).abs() < 1e-5,
        "{slope:?}"
    );
    let (mean, deviation) = model.predict(&[vec![0.3]])[0];
    assert!((slope.mean - mean).abs() < 1e-12 && (slope.deviation - deviation).abs() < 1e-12);
}
