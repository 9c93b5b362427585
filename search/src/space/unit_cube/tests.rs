use super::*;
use crate::space::{Parameter, Step};

const U: [f64; 7] = [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999];

type Golden = (Distribution, [Value; 7], Option<[f64; 7]>);

fn letters() -> Vec<Value> {
    ["a", "b", "c"]
        .map(|letter| Value::Str(letter.into()))
        .to_vec()
}

fn letter(places: [usize; 7]) -> [Value; 7] {
    places.map(|place| letters()[place].clone())
}

/// Reference values of the W&B sweeps engine (github.com/wandb/sweeps): its quantiles at [`U`], and
/// its distribution function at those quantiles.
#[rustfmt::skip]
fn golden() -> Vec<Golden> {
    vec![
        (Distribution::Categorical { values: letters(), ordered: None }, letter([0, 0, 0, 1, 2, 2, 2]), None),
        (Distribution::CategoricalWithProbabilities { values: letters(), probabilities: vec![0.2, 0.3, 0.5] }, letter([0, 0, 1, 2, 2, 2, 2]), None),
        (Distribution::IntUniform { min: 1, max: 10 }, [1, 1, 3, 5, 8, 9, 10].map(Value::Int), Some([0.1, 0.1, 0.3, 0.5, 0.8, 0.9, 1.0])),
        (Distribution::Uniform { min: 0.0, max: 2.5 }, [0.0025, 0.25, 0.625, 1.25, 1.875, 2.25, 2.4975].map(Value::Float), Some([0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999])),
        (Distribution::QUniform { min: 0.0, max: 10.0, q: Step::Int(3) }, [0, 0, 3, 6, 6, 9, 9].map(Value::Int), Some([0.0, 0.0, 0.3, 0.6, 0.6, 0.9, 0.9])),
        (Distribution::QUniform { min: 0.0, max: 1.0, q: Step::Float(0.25) }, [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0].map(Value::Float), Some([0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0])),
        (Distribution::LogUniform { min: -5.0, max: -1.0 }, [0.006764952762601162, 0.010051835744633584, 0.01831563888873418, 0.04978706836786394, 0.13533528323661267, 0.24659696394160652, 0.3664108625221595].map(Value::Float), Some([0.0009999999999998899, 0.10000000000000009, 0.25, 0.5, 0.75, 0.9000000000000001, 0.999])),
        (Distribution::LogUniformValues { min: 1e-05, max: 0.1 }, [1.0092528860766835e-05, 2.511886431509579e-05, 9.999999999999991e-05, 0.0010000000000000002, 0.010000000000000004, 0.03981071705534976, 0.0990831944892769].map(Value::Float), Some([0.0009999999999999187, 0.09999999999999996, 0.24999999999999992, 0.5, 0.75, 0.9, 0.9990000000000001])),
        (Distribution::InvLogUniform { min: -3.0, max: 2.0 }, [0.13601365416684916, 0.22313016014842982, 0.4723665527410147, 1.6487212707001282, 5.754602676005731, 12.182493960703473, 19.985359889857122].map(Value::Float), Some([0.0010000000000000009, 0.09999999999999998, 0.25, 0.5, 0.75, 0.9, 0.999])),
        (Distribution::InvLogUniformValues { min: 0.9, max: 0.999 }, [0.9000939289149181, 0.9094415818704474, 0.9237899945231448, 0.9482088377567465, 0.9732731522645582, 0.9886286463291266, 0.9988957497845629].map(Value::Float), Some([0.001000000000000889, 0.09999999999999931, 0.2500000000000002, 0.5000000000000003, 0.7500000000000009, 0.9000000000000015, 0.9990000000000002])),
        (Distribution::QLogUniform { min: 0.0, max: 5.0, q: Step::Int(2) }, [2, 2, 4, 12, 42, 90, 148].map(Value::Int), Some([0.13862943611198905, 0.13862943611198905, 0.2772588722239781, 0.4969813299576001, 0.7475339236566736, 0.899961934066053, 0.9994424547528229])),
        (Distribution::QLogUniformValues { min: 32.0, max: 256.0, q: Step::Int(8) }, [32, 40, 56, 88, 152, 208, 256].map(Value::Int), Some([0.0, 0.1073093649624541, 0.2691183073525345, 0.48647720621243223, 0.7493091711478619, 0.9001465727136975, 1.0])),
        (Distribution::QLogUniformValues { min: 32.0, max: 256.0, q: Step::Float(8.0) }, [32.0, 40.0, 56.0, 88.0, 152.0, 208.0, 256.0].map(Value::Float), Some([0.0, 0.1073093649624541, 0.2691183073525345, 0.48647720621243223, 0.7493091711478619, 0.9001465727136975, 1.0])),
        (Distribution::Normal { mu: 3.0, sigma: 2.0 }, [-3.1804646123356264, 0.43689686891079926, 1.6510204996078366, 3.0, 4.348979500392163, 5.563103131089201, 9.180464612335626].map(Value::Float), Some([0.0009999999999999998, 0.10000000000000009, 0.25, 0.5, 0.75, 0.8999999999999999, 0.999])),
        (Distribution::QNormal { mu: 3.0, sigma: 2.0, q: Step::Int(1) }, [-3, 0, 2, 3, 4, 6, 9].map(Value::Int), Some([0.0013498980316300933, 0.06680720126885807, 0.3085375387259869, 0.5, 0.6914624612740131, 0.9331927987311419, 0.9986501019683699])),
        (Distribution::LogNormal { mu: 0.0, sigma: 1.0 }, [0.04549138524765353, 0.2776062418520099, 0.5094162838632775, 1.0, 1.9630310841582572, 3.6022244792791573, 21.982183979582828].map(Value::Float), Some([0.0010000000000000026, 0.10000000000000003, 0.25, 0.5, 0.75, 0.8999999999999999, 0.999])),
        (Distribution::QLogNormal { mu: 0.0, sigma: 1.0, q: Step::Float(0.5) }, [0.0, 0.5, 0.5, 1.0, 2.0, 3.5, 22.0].map(Value::Float), Some([0.0, 0.24410859578558275, 0.24410859578558275, 0.5, 0.7558914042144173, 0.8948540088998852, 0.9990027244264854])),
        (Distribution::Beta { a: 2.0, b: 5.0 }, [0.008255492787746678, 0.09259525891312873, 0.16116291679032652, 0.26444998329566005, 0.3894794852007245, 0.5103163065514917, 0.818613866919134].map(Value::Float), Some([0.0009999999999999996, 0.09999999999999996, 0.24999999999999994, 0.5, 0.7500000000000001, 0.9000000000000001, 0.999])),
        (Distribution::QBeta { a: 2.0, b: 5.0, q: Step::Float(0.1) }, [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.8].map(Value::Float), Some([0.0, 0.11426500000000002, 0.3446400000000002, 0.579825, 0.7667200000000001, 0.890625, 0.9984])),
    ]
}

#[test]
fn quantiles_are_those_of_wandb() {
    for (distribution, quantiles, _) in golden() {
        for (u, expected) in U.iter().zip(quantiles) {
            match (distribution.quantile(*u), expected) {
                (Value::Float(got), Value::Float(expected)) => {
                    assert_near(got, expected, &distribution);
                }
                (got, expected) => assert_eq!(got, expected, "{distribution:?} at {u}"),
            }
        }
    }
}

#[test]
fn distribution_functions_are_those_of_wandb() {
    for (distribution, quantiles, cdf) in golden() {
        for (value, expected) in quantiles.iter().zip(cdf.into_iter().flatten()) {
            assert_near(distribution.cdf(value).unwrap(), expected, &distribution);
        }
    }
}

fn assert_near(got: f64, expected: f64, distribution: &Distribution) {
    let error = (got - expected).abs();
    assert!(
        error <= 1e-11 * expected.abs(),
        "{distribution:?}: {got} is not {expected}"
    );
}

#[test]
fn the_edges_stay_in_the_range() {
    for (distribution, ..) in golden() {
        for u in [0.0, 1.0, -3.0, 7.0, f64::NAN, f64::MIN_POSITIVE] {
            if let Some(number) = distribution.quantile(u).as_f64() {
                assert!(number.abs() < 1e6, "{distribution:?} at {u}: {number}");
            }
        }
    }
    assert_eq!(
        Distribution::IntUniform { min: 1, max: 10 }.quantile(0.0),
        Value::Int(1)
    );
    assert_eq!(
        Distribution::Categorical {
            values: letters(),
            ordered: None
        }
        .quantile(0.0),
        letters()[0]
    );
    assert_eq!(
        Distribution::IntUniform {
            min: -5,
            max: i64::MAX - 10
        }
        .quantile(1.0),
        Value::Int(i64::MAX - 10)
    );
    let certain = Distribution::CategoricalWithProbabilities {
        values: letters(),
        probabilities: vec![0.0, 1.0, 0.0],
    };
    assert_eq!(
        [0.0, 0.5, 1.0].map(|u| certain.quantile(u)),
        [1, 1, 1].map(|place| letters()[place].clone())
    );
    let wide = Distribution::Uniform {
        min: -f64::MAX,
        max: f64::MAX,
    };
    assert_eq!(wide.quantile(0.5), Value::Float(0.0));
    assert!((wide.cdf(&Value::Float(0.0)).unwrap() - 0.5).abs() < 1e-12);
}

#[test]
fn what_is_no_value_of_the_parameter_has_no_probability() {
    let text = Value::Str("x".into());
    assert!(
        golden()
            .iter()
            .all(|(distribution, ..)| distribution.cdf(&text).is_none())
    );
}

#[test]
fn numbers_in_a_list_are_ranked_and_words_are_not() {
    assert_eq!(ranks(&[64, 16, 32].map(Value::Int)), Some(vec![1, 2, 0]));
    assert_eq!(ranks(&letters()), None);
    assert_eq!(
        ranks(&[Value::Int(1), Value::Float(1.0), Value::Int(2)]),
        None
    );
}

#[test]
fn unbounded_distributions_stay_within_plausible_quantiles() {
    let space = space_of(vec![
        Distribution::Normal {
            mu: 0.3,
            sigma: 0.1,
        },
        Distribution::LogNormal {
            mu: 0.0,
            sigma: 1.0,
        },
        Distribution::QNormal {
            mu: 0.0,
            sigma: 10.0,
            q: Step::Int(1),
        },
        Distribution::QLogNormal {
            mu: 0.0,
            sigma: 1.0,
            q: Step::Float(0.01),
        },
    ]);
    let cube = UnitCube::new(&space);
    let ends = [0.0, 1.0].map(|u| {
        cube.config_at(&[u; 4])
            .0
            .values()
            .filter_map(Value::as_f64)
            .collect::<Vec<_>>()
    });
    let expected = [[-0.009, 0.045, -31.0, 0.05], [0.609, 21.98, 31.0, 21.98]];
    for (end, expected) in ends.iter().zip(expected) {
        assert!(
            end.iter()
                .zip(expected)
                .all(|(end, expected)| (end - expected).abs() < 6e-3),
            "{ends:?}"
        );
    }
    // What was imported from farther away lies beyond the edge.
    let far = cube.point_of(&Config([(Path::flat("p0"), Value::Float(1.12))].into()));
    assert!((1.5..=1.0 + BEYOND).contains(&far[0]), "{far:?}");
}

fn space_of(distributions: Vec<Distribution>) -> Space {
    let parameter = |(index, distribution)| Parameter {
        path: Path::flat(format!("p{index}")),
        distribution,
        when: Vec::new(),
    };
    Space::new(
        distributions
            .into_iter()
            .enumerate()
            .map(parameter)
            .collect(),
    )
    .unwrap()
}

proptest::proptest! {
    #[test]
    fn a_canonical_point_gives_back_its_configuration(points in proptest::collection::vec(0.0f64..=1.0, 20)) {
        let mut distributions: Vec<_> = golden().into_iter().map(|row| row.0).collect();
        distributions.push(Distribution::Categorical { values: [64, 16, 32].map(Value::Int).to_vec(), ordered: None });
        let space = space_of(distributions);
        let cube = UnitCube::new(&space);
        let mut point = points.clone();
        cube.snap(&mut point);
        let config = cube.config_at(&points);
        let back = cube.config_at(&cube.point_of(&config));
        for (path, value) in &config.0 {
            match (value, &back.0[path]) {
                (Value::Float(value), Value::Float(back)) => {
                    proptest::prop_assert!((value - back).abs() <= 1e-9 * value.abs().max(1e-9), "{path}: {value} {back}");
                }
                (value, back) => proptest::prop_assert_eq!(value, back),
            }
        }
        for (snapped, encoded) in point.iter().zip(cube.point_of(&config)) {
            proptest::prop_assert!((snapped - encoded).abs() < 1e-9);
        }
    }

    #[test]
    fn quantiles_rise(u in 0.0f64..=1.0, v in 0.0f64..=1.0) {
        for (distribution, ..) in golden() {
            let (Some(low), Some(high)) = (distribution.quantile(u.min(v)).as_f64(), distribution.quantile(u.max(v)).as_f64()) else { continue };
            proptest::prop_assert!(low <= high, "{:?}", distribution);
            let (low, high) = (distribution.cdf(&Value::Float(low)).unwrap(), distribution.cdf(&Value::Float(high)).unwrap());
            proptest::prop_assert!(0.0 <= low && low <= high && high <= 1.0, "{:?}", distribution);
        }
    }
}
