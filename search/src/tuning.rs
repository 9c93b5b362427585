//! The constants of the Bayesian search, one struct a concern. They are the same for every problem.
//!
//! A field names its source, or its ablation: what a change of it did to the regret, which docs/explanation/experiments.md has in full. Of an "untested" field, and
//! of one that only bounds work, no ablation is recorded. Constants of one formula alone (jitter, tolerances) stay beside it; those of the floor of
//! exploration and of diverged runs stay beside their rules and are in docs/explanation/search.md.

/// The prior of the hyperparameters and of the warp. A pair is the mean and the standard deviation of a normal distribution.
#[derive(Debug)]
pub(crate) struct PriorTuning {
    /// Of log ℓ − ½ log d. The form: Hvarfner, Hellsten, Nardi (2024), Vanilla Bayesian optimization performs great in high dimensions; mean and spread
    /// are smaller than theirs, which found too little on Hartmann's six-dimensional function in 40 runs. Half a logarithm more or less: no better.
    pub(crate) log_length: (f64, f64),
    /// The addition to the mean of log ℓ where numbers in a list are taken for categories: their order matters more often than not. docs/explanation/search.md.
    pub(crate) log_length_of_levels: f64,
    /// Of log ν: most objectives are nearly the same when a run is repeated, compared with what the parameters do. Larger: no better.
    pub(crate) log_noise: (f64, f64),
    /// Of log σ²: the objective is standardised.
    pub(crate) log_signal: (f64, f64),
    /// Of log τ², the quadratic kernel with interactions. The kernel: 0.46 to 0.40 after 25 runs with eight workers (24 seeds).
    pub(crate) log_curve: (f64, f64),
    /// Of log ς², the quadratic kernel without interactions.
    pub(crate) log_alone: (f64, f64),
    /// The floors of the warp, below the best value, in units of the way from there to the median. The first sees orders of magnitude, the last is
    /// nearly straight. Which one suits is learnt: no single one was good for all problems.
    pub(crate) warp_floors: [f64; 5],
    /// The mean inflation where nothing was seen, in deviations: in the end the mean moves up by it. 0.414 to 0.378 after 25 runs with one worker on
    /// 16 held-out problems (with 1); nothing with one worker on `small`; needed after changes of the code.
    pub(crate) mean_inflation: f64,
    /// The number of values that were not sought out: the mean inflation starts after them. From the first value on it loses after 25 runs (0.42
    /// against 0.35 with eight workers).
    pub(crate) values_without_inflation: f64,
}

/// See [`PriorTuning`].
pub(crate) const PRIOR: PriorTuning = PriorTuning {
    log_length: (0.0, 0.8),
    log_length_of_levels: 0.7,
    log_noise: (-9.0, 2.5),
    log_signal: (0.0, 1.0),
    log_curve: (-1.5, 1.5),
    log_alone: (-1.5, 1.5),
    warp_floors: [0.1, 0.3, 1.0, 3.0, 10.0],
    mean_inflation: 1.5,
    values_without_inflation: 15.0,
};

/// The acquisition: how a point is scored.
#[derive(Debug)]
pub(crate) struct AcquisitionTuning {
    /// The share of the models' deviation in a score; 1 is the expected improvement. With `fantasy_deviation` 0.40 against 0.44 after 25 runs with
    /// eight workers, no difference with one. 0.15 to 0.5: worse with one worker, no better with eight.
    pub(crate) exploration_weight: f64,
    /// The same for suggestions that look for something else than what was good with older code. In other searches one in four of them loses after 25
    /// runs (0.39 against 0.35 with eight workers).
    pub(crate) exploration_weight_after_change: f64,
    /// The share of the deviation in what a member believes of a run in flight: with all of it, the luckiest belief leads too far. See
    /// `exploration_weight`; the mean alone (kriging believer) did not work.
    pub(crate) fantasy_deviation: f64,
    /// The power of the probability that a run does not fail and violates no constraint. 1 is the expected improvement that counts; more spares runs.
    pub(crate) feasibility_power: f64,
    /// The mean of the model of failures, whose labels are −1 and 1: rather that a run ends well. Untested.
    pub(crate) failure_mean: f64,
    /// How blurred the edge between failures and successes is. With an edge as sharp as the model believes it 12 % of the runs crashed; of the points
    /// that it called safe, 8 %.
    pub(crate) failure_blur: f64,
    /// The same for violations of constraints, which are measured, in units of their root mean square. Untested.
    pub(crate) violation_blur: f64,
    /// No two runs are tried at a time that are closer to each other along every coordinate. Untested.
    pub(crate) min_distance: f64,
}

/// See [`AcquisitionTuning`].
pub(crate) const ACQUISITION: AcquisitionTuning = AcquisitionTuning {
    exploration_weight: 0.8,
    exploration_weight_after_change: 2.0,
    fantasy_deviation: 0.7,
    feasibility_power: 8.0,
    failure_mean: -0.5,
    failure_blur: 0.6,
    violation_blur: 0.02,
    min_distance: 0.005,
};

/// The points before there is a model.
#[derive(Debug)]
pub(crate) struct StartupTuning {
    /// Dimensions for each point. One a dimension: 0.25 against 0.22 after 25 runs with one worker; 1.6: 0.31 against 0.25.
    pub(crate) dimensions_per_point: usize,
    /// The fewest points.
    pub(crate) points_min: usize,
    /// The most points.
    pub(crate) points_max: usize,
    /// Further points to choose from where one is likely to fail. docs/explanation/search.md.
    pub(crate) feasibility_candidates: u64,
    /// A point that is less likely than this to succeed is passed over. docs/explanation/search.md.
    pub(crate) feasible_min: f64,
}

/// See [`StartupTuning`].
pub(crate) const STARTUP: StartupTuning = StartupTuning {
    dimensions_per_point: 2,
    points_min: 3,
    points_max: 12,
    feasibility_candidates: 15,
    feasible_min: 0.8,
};

/// What results of older code are worth. The model: Bonilla, Chai, Williams (2008), Multi-task Gaussian process prediction; Kennedy and O'Hagan
/// (2000), Predicting the output from a complex computer code when fast approximations are available. The ablations: docs/explanation/experiments.md, "When the
/// code changes".
#[derive(Debug)]
pub(crate) struct TransferTuning {
    /// The prior of η, where ρ = tanh(μ + ση) is the correlation of two versions.
    pub(crate) eta: (f64, f64),
    /// μ: most changes keep most of what holds, one in ten turns it round.
    pub(crate) eta_middle: f64,
    /// σ.
    pub(crate) eta_spread: f64,
    /// The η of a change that turned most things round, where a fit starts too.
    pub(crate) eta_turned: f64,
    /// The prior of the logarithm of the variance of a version's level, relative to that of the function: levels are made to agree first.
    pub(crate) log_level: (f64, f64),
    /// The number of changes that are told apart; each costs two entries of θ. What came before counts as one version.
    pub(crate) changes_max: usize,
    /// The number of older values from which an alignment is learnt.
    pub(crate) older_values_max: usize,
    /// How well a value is known at best, in deviations of the older values.
    pub(crate) value_blur: f64,
    /// What a change leaves unexplained, in units of `value_blur`.
    pub(crate) residuals: [f64; 5],
    /// What a free number of an alignment costs in log probability: with few values more would fit anything. Untested.
    pub(crate) cost_per_number: f64,
    /// A line through fewer values than this says nothing.
    pub(crate) line_values_min: usize,
    /// A factor outside of these bounds is no change of unit.
    pub(crate) scales: (f64, f64),
    /// The newest code is probed where older code has this many values for each probe.
    pub(crate) values_per_probe: usize,
    /// Probes are among the best of the older points: one in this number.
    pub(crate) probed_share: usize,
    /// The number of results of the newest code after which every other suggestion rests on them alone. From the third, eighth or 12th on: no better.
    pub(crate) alone_from: usize,
    /// One suggestion in this number has `exploration_weight_after_change`. None, or every other one that rests on older code: no better.
    pub(crate) explore_every: usize,
}

/// See [`TransferTuning`].
pub(crate) const TRANSFER: TransferTuning = TransferTuning {
    eta: (0.0, 1.0),
    eta_middle: 1.5,
    eta_spread: 1.2,
    eta_turned: -2.0,
    log_level: (-5.0, 2.0),
    changes_max: 3,
    older_values_max: 100,
    value_blur: 0.02,
    residuals: [1.0, 3.0, 10.0, 30.0, 100.0],
    cost_per_number: 1.5,
    line_values_min: 3,
    scales: (0.02, 50.0),
    values_per_probe: 3,
    probed_share: 4,
    alone_from: 2,
    explore_every: 4,
};

/// What is computed for a suggestion. A pair is the most, with few values, and the least, with many.
#[derive(Debug)]
pub(crate) struct EffortTuning {
    /// With this many values everything is affordable. Beyond, the cost of a prediction grows with the square of their number, and less is computed: by
    /// then the hyperparameters are better known, too.
    pub(crate) values_in_full: f64,
    /// Draws of the hyperparameters. With 4, 8, 16 and 32 the regret after 25 runs with eight workers was 0.50, 0.49, 0.45 and 0.46; more than the least
    /// with many runs: no better, twice as slow.
    pub(crate) draws: (f64, usize),
    /// Candidates spread over the cube.
    pub(crate) spread: (f64, usize),
    /// Candidates around good points, for each width.
    pub(crate) local: (f64, usize),
    /// Candidates that climb.
    pub(crate) climbers: (f64, usize),
    /// Draws of the chain that are thrown away at first. Longer chains: no better.
    pub(crate) burn_in: usize,
    /// One draw of the chain in this number is kept.
    pub(crate) thinning: usize,
    /// The hyperparameters are learnt from no more observations than this.
    pub(crate) learnt_from_max: usize,
    /// One member in this number gives a rough score.
    pub(crate) members_per_rough_one: usize,
    /// Candidates that look promising by their rough score and are scored in full.
    pub(crate) finalists: usize,
    /// The distances of candidates from the good points around which they are.
    pub(crate) widths: [f64; 3],
    /// No two climbers start closer to each other along every coordinate.
    pub(crate) climbers_distance_min: f64,
    /// How often a climber alternates between the gradient and steps along what has cells.
    pub(crate) alternations: usize,
    /// Steps of an ascent.
    pub(crate) ascent_steps: usize,
    /// Halvings of a step.
    pub(crate) backtracks: usize,
    /// In a list of numbers with no more values than this, a climber looks at all of them: their order may not matter.
    pub(crate) listed_max: usize,
    /// With more dimensions than this only the surroundings of good points are searched: elsewhere a point promises much only because nothing is known
    /// of it.
    pub(crate) spread_dimensions_max: usize,
    /// A finite space with no more points than this is looked at whole.
    pub(crate) whole_space_max: u128,
    /// With more runs in flight than this, `members_in_flight` members are enough.
    pub(crate) in_flight_few: usize,
    /// See `in_flight_few`.
    pub(crate) members_in_flight: usize,
    /// No more of the runs in flight than this are conditioned on.
    pub(crate) conditioned_max: usize,
}

/// See [`EffortTuning`].
pub(crate) const EFFORT: EffortTuning = EffortTuning {
    values_in_full: 50.0,
    draws: (16.0, 3),
    spread: (1024.0, 192),
    local: (150.0, 40),
    climbers: (6.0, 3),
    burn_in: 5,
    thinning: 5,
    learnt_from_max: 100,
    members_per_rough_one: 3,
    finalists: 128,
    widths: [0.01, 0.05, 0.2],
    climbers_distance_min: 0.05,
    alternations: 2,
    ascent_steps: 25,
    backtracks: 8,
    listed_max: 16,
    spread_dimensions_max: 15,
    whole_space_max: 2000,
    in_flight_few: 100,
    members_in_flight: 4,
    conditioned_max: 256,
};
