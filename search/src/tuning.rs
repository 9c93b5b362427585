//! The constants of the Bayesian search, one struct for each concern. They are the same for every
//! problem.
//!
//! Each field names its source or its ablation: the regret with another value, which
//! docs/explanation/experiments.md has in full. "Untested" means that no ablation is recorded;
//! fields of [`EffortTuning`] without a remark only bound work. The formulas are in
//! docs/explanation/model.md, the rules of exploration in docs/explanation/search.md. Tolerances of
//! a single formula, such as the jitter, stay beside it.

/// The prior of the hyperparameters and of the warp. A pair is the mean and the standard deviation
/// of a normal distribution.
#[derive(Debug)]
pub(crate) struct PriorTuning {
    /// Of log ℓ − ½ log d. The form: Hvarfner, Hellsten, Nardi (2024), Vanilla Bayesian
    /// optimization performs great in high dimensions. Mean and spread are smaller than theirs,
    /// which found too little on Hartmann's six-dimensional function in 40 runs. Larger or smaller
    /// by half a logarithm: no better.
    pub(crate) log_length: (f64, f64),
    /// The addition to the mean of log ℓ where numbers in a list are taken for categories, since
    /// their order usually matters. Untested; docs/explanation/search.md has the reason.
    pub(crate) log_length_of_levels: f64,
    /// Of log ν: the noise of a repeated run is usually small, compared with the effects of the
    /// parameters. Larger: no better.
    pub(crate) log_noise: (f64, f64),
    /// Of log σ²: the objective is standardised.
    pub(crate) log_signal: (f64, f64),
    /// Of log τ², the quadratic kernel with interactions. With this kernel the regret after 25 runs
    /// with eight workers falls from 0.46 to 0.40 (24 seeds).
    pub(crate) log_curve: (f64, f64),
    /// Of log ς², the quadratic kernel without interactions. Its ablation is that of `log_curve`.
    pub(crate) log_alone: (f64, f64),
    /// The floors of the warp, below the best value, in units of the way from there to the median.
    /// The first resolves orders of magnitude, the last is nearly linear. The suitable one is
    /// learnt: no single one was good for all problems.
    pub(crate) warp_floors: [f64; 5],
    /// The mean inflation far from all observations, in deviations: with many values, the mean
    /// moves up by it. 0.414 to 0.378 after 25 runs with one worker on 16 held-out problems (with
    /// 1); no gain with one worker on `small`; needed after changes of the code.
    pub(crate) mean_inflation: f64,
    /// The number of values that are not yet biased by the search: the mean inflation starts after
    /// them. From the first value on it loses after 25 runs (0.42 against 0.35 with eight workers).
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

/// The acquisition function: the score of a point.
#[derive(Debug)]
pub(crate) struct AcquisitionTuning {
    /// The factor of the models' deviation in a score; 1 is the expected improvement. Together with
    /// `fantasy_deviation` 0.40 against 0.44 after 25 runs with eight workers, no difference with
    /// one. 0.15 to 0.5: worse with one worker, no better with eight.
    pub(crate) exploration_weight: f64,
    /// The same for suggestions that explore after a change of the code. In other searches, one in
    /// four of them loses after 25 runs (0.39 against 0.35 with eight workers).
    pub(crate) exploration_weight_after_change: f64,
    /// The factor of the deviation in a member's assumed outcome of a run in progress. With 1, the
    /// luckiest draw leads too far: see `exploration_weight`. With 0 (kriging believer) the search
    /// did not work.
    pub(crate) fantasy_deviation: f64,
    /// The power of the probability that a run neither fails nor violates a constraint. 1 is the
    /// constrained expected improvement (Gardner, Kusner, Xu, Weinberger, Cunningham 2014); more
    /// spares runs. Untested.
    pub(crate) feasibility_power: f64,
    /// The prior mean of the model of failures, whose labels are −1 and 1: success is likelier.
    /// Untested.
    pub(crate) failure_mean: f64,
    /// The standard deviation of the blurred threshold between failures and successes. With a
    /// threshold as sharp as the model's, 12 % of the runs crashed; of the points that it called
    /// safe, 8 %.
    pub(crate) failure_blur: f64,
    /// The same for violations of constraints, which are measured, in units of their root mean
    /// square. Untested.
    pub(crate) violation_blur: f64,
    /// The least distance of two runs in progress along at least one coordinate. Untested.
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
    /// Dimensions for each point. One: 0.25 against 0.22 after 25 runs with one worker. 1.6 points
    /// for each dimension: 0.31 against 0.25.
    pub(crate) dimensions_per_point: usize,
    /// The fewest points. Untested.
    pub(crate) points_min: usize,
    /// The most points. Untested.
    pub(crate) points_max: usize,
    /// Further points to choose from where one is likely to fail. Untested.
    pub(crate) feasibility_candidates: u64,
    /// A point that is less likely than this to succeed is skipped. Untested.
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

/// The rules of exploration. Their ablations are in docs/explanation/experiments.md, "Rules for
/// hard problems".
#[derive(Debug)]
pub(crate) struct ExplorationTuning {
    /// The rules apply to at most one suggestion in this number; while the models do not predict,
    /// the others come from [`DENSITY`]. With densities in one of four: 0.330 ± 0.086 in place of
    /// 0.117 ± 0.025 at 80 % chance level with noise. In all: equal, but nothing explores.
    pub(crate) every: usize,
    /// Models that predict less than this share of the variance, each result from all others, are
    /// not followed. Chosen on the problems with noise and plateaus.
    pub(crate) skill_min: f64,
    /// The most members that the skill is averaged over, and the most values: with more, the skill
    /// is certain, and its cost grows with the cube of their number.
    pub(crate) skill_members: usize,
    /// See `skill_members`.
    pub(crate) skill_values_max: usize,
    /// The skill counts from this many values on, or with `noise_share_min`. From the first model
    /// on: 0.149 ± 0.031 in place of 0.239 on the plateau with noise, but 0.216 in `small` after 25
    /// runs.
    pub(crate) skill_values_min: usize,
    /// The skill counts where the models find this share of noise in the variance of the values.
    pub(crate) noise_share_min: f64,
    /// An expected improvement below this share of the way from the best value to the median is
    /// negligible. Untested.
    pub(crate) negligible_share: f64,
    /// A suggestion always explores where the number of runs is the square of a number from this
    /// one on. From 5 on it loses in `small`: 0.117 / 0.106 after 50 / 60 runs.
    pub(crate) square_min: usize,
    /// The fewest runs of each value of a parameter that others depend on. Untested.
    pub(crate) parent_runs_min: usize,
    /// The fewest runs of each other category. Untested.
    pub(crate) category_runs_min: usize,
    /// A list of more values than this is no choice between branches. Untested.
    pub(crate) branches_max: usize,
    /// Points of which the one farthest from all tried points is taken. Untested.
    pub(crate) candidates: u64,
    /// A point that is less likely than this to succeed is skipped, if others are likelier.
    /// Untested.
    pub(crate) feasible_min: f64,
}

/// See [`ExplorationTuning`].
pub(crate) const EXPLORATION: ExplorationTuning = ExplorationTuning {
    every: 2,
    skill_min: 0.3,
    skill_members: 4,
    skill_values_max: 100,
    skill_values_min: 20,
    noise_share_min: 0.05,
    negligible_share: 1e-3,
    square_min: 8,
    parent_runs_min: 3,
    category_runs_min: 1,
    branches_max: 12,
    candidates: 32,
    feasible_min: 0.8,
};

/// The densities of good and of other points, where the models do not predict. Bergstra, Bardenet,
/// Bengio, Kégl (2011), Algorithms for hyper-parameter optimization, section 4; Falkner, Klein,
/// Hutter (2018), BOHB, section 3.2. Without them 0.499 / 0.336 / 0.190 at 80 % chance level with
/// noise, and −0.81 / −1.77 / −2.14 on Hartmann with noise; docs/explanation/experiments.md.
#[derive(Debug)]
pub(crate) struct DensityTuning {
    /// The inverse share of good points, rounded up. Optuna's default.
    pub(crate) good_share: usize,
    /// The most good points. Optuna's default.
    pub(crate) good_max: usize,
    /// Draws from the density of the good points, of which the one with the highest ratio is taken.
    /// Optuna's default.
    pub(crate) draws: usize,
    /// The width of the kernel of a single point, as a share of the range. It falls with the power
    /// −1/(d + 4) of the number of points: Scott (1992), Multivariate density estimation. Untested.
    pub(crate) width: f64,
    /// The inverse of the least width of a kernel, unless there are fewer points. Optuna's default.
    pub(crate) narrowest: usize,
    /// The number of times that a normal draw outside of the range is repeated.
    pub(crate) redraws: usize,
}

/// See [`DensityTuning`].
pub(crate) const DENSITY: DensityTuning = DensityTuning {
    good_share: 10,
    good_max: 25,
    draws: 24,
    width: 0.2,
    narrowest: 100,
    redraws: 32,
};

/// The limit above which a value has diverged. Chosen on the problems with diverging runs:
/// docs/explanation/benchmarks.md, "Kinds of problems".
#[derive(Debug)]
pub(crate) struct DivergenceTuning {
    /// The number of first values that show the scale of the objective. Later ones come from the
    /// regions that the search preferred, and may all be alike.
    pub(crate) reference: usize,
    /// A value has diverged if its distance to the best one is this many times the spread of all
    /// ordinary values, and their size.
    pub(crate) jump: f64,
    /// The same where only one value is ordinary.
    pub(crate) lone_jump: f64,
    /// The inverse of the least share of ordinary values in the reference. A search that approaches
    /// zero soon has a few values that are far smaller than all others.
    pub(crate) ordinary_share: usize,
}

/// See [`DivergenceTuning`].
pub(crate) const DIVERGENCE: DivergenceTuning = DivergenceTuning {
    reference: 20,
    jump: 1e4,
    lone_jump: 1e6,
    ordinary_share: 4,
};

/// The weight of results of older code. The model: Bonilla, Chai, Williams (2008), Multi-task
/// Gaussian process prediction; Kennedy and O'Hagan (2000), Predicting the output from a complex
/// computer code when fast approximations are available. The ablations:
/// docs/explanation/experiments.md, "Code changes".
#[derive(Debug)]
pub(crate) struct TransferTuning {
    /// The prior of η, where ρ = tanh(μ + ση) is the correlation of two versions.
    pub(crate) eta: (f64, f64),
    /// μ. Most changes keep the shape of the objective; one in ten inverts it.
    pub(crate) eta_middle: f64,
    /// σ.
    pub(crate) eta_spread: f64,
    /// The η of a change that inverted most of the objective. A second fit starts there.
    pub(crate) eta_turned: f64,
    /// The prior of the logarithm of the variance of a version's level, relative to that of the
    /// function. It is small, since levels are aligned first.
    pub(crate) log_level: (f64, f64),
    /// The number of changes that are told apart; each adds two entries to θ. Older versions count
    /// as one.
    pub(crate) changes_max: usize,
    /// The most older values from which an alignment is learnt.
    pub(crate) older_values_max: usize,
    /// The least uncertainty of a value, in deviations of the older values.
    pub(crate) value_blur: f64,
    /// The candidates for the residuals of an alignment, in units of `value_blur`.
    pub(crate) residuals: [f64; 5],
    /// The cost of a free number of an alignment in log probability: with few values, more numbers
    /// would fit anything. Untested.
    pub(crate) cost_per_number: f64,
    /// The fewest values for a line.
    pub(crate) line_values_min: usize,
    /// The factors that may be a change of unit.
    pub(crate) scales: (f64, f64),
    /// The newest code is probed where older code has this many values for each probe.
    pub(crate) values_per_probe: usize,
    /// Probes are among the best of the older points: one in this number.
    pub(crate) probed_share: usize,
    /// The number of results of the newest code after which every other suggestion is based on them
    /// alone. From the third, eighth or 12th on: no better.
    pub(crate) alone_from: usize,
    /// One suggestion in this number has `exploration_weight_after_change`. None, or every other
    /// one that uses older code: no better.
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

/// The computation for a suggestion. A pair is the most, with few values, and the least, with many.
#[derive(Debug)]
pub(crate) struct EffortTuning {
    /// The number of values up to which everything is affordable. Beyond, the cost of a prediction
    /// grows with the square of their number, and less is computed; by then the hyperparameters are
    /// better known, too.
    pub(crate) values_in_full: f64,
    /// Draws of the hyperparameters. With 4, 8, 16 and 32 the regret after 25 runs with eight
    /// workers was 0.50, 0.49, 0.45 and 0.46; more than the least with many runs: no better, twice
    /// as slow.
    pub(crate) draws: (f64, usize),
    /// Candidates spread over the cube.
    pub(crate) spread: (f64, usize),
    /// Candidates around good points, for each width.
    pub(crate) local: (f64, usize),
    /// Candidates that climb.
    pub(crate) climbers: (f64, usize),
    /// Draws of the chain that are dropped at first. Longer chains: no better.
    pub(crate) burn_in: usize,
    /// One draw of the chain in this number is kept.
    pub(crate) thinning: usize,
    /// The most observations from which the hyperparameters are learnt.
    pub(crate) learnt_from_max: usize,
    /// One member in this number gives a rough score.
    pub(crate) members_per_rough_one: usize,
    /// The candidates with the best rough scores that are scored in full.
    pub(crate) finalists: usize,
    /// The number of best observations of the newest code, and of older code, around which
    /// candidates are drawn.
    pub(crate) around: usize,
    /// The distances of candidates from the good points around which they are.
    pub(crate) widths: [f64; 3],
    /// The least distance between the starts of two climbers along at least one coordinate.
    pub(crate) climbers_distance_min: f64,
    /// The number of alternations of a climber between the gradient and steps along coordinates
    /// with cells.
    pub(crate) alternations: usize,
    /// Steps of an ascent.
    pub(crate) ascent_steps: usize,
    /// Halvings of a step.
    pub(crate) backtracks: usize,
    /// In a list of no more numbers than this, a climber tries all of them, since their order may
    /// not matter.
    pub(crate) listed_max: usize,
    /// With more dimensions than this only the surroundings of good points are searched: elsewhere
    /// the scores are high only because the models are uncertain.
    pub(crate) spread_dimensions_max: usize,
    /// A finite space of no more points than this is scored completely.
    pub(crate) whole_space_max: u128,
    /// With more runs in progress than this, `members_in_flight` members are enough.
    pub(crate) in_flight_few: usize,
    /// See `in_flight_few`.
    pub(crate) members_in_flight: usize,
    /// The most runs in progress that the models are conditioned on.
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
    around: 5,
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
