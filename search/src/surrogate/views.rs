//! The candidate transformations of the values, of which one is right: each warp of each alignment
//! of older code.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::alignment::{self, Alignment, alignments};
use super::ended::{EndedRuns, thinned};
use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::likelihood::Evidence;
use crate::gp::posterior::ObservedPoints;
use crate::gp::sample::{Views, sample};
use crate::gp::warp::Warp;
use crate::tuning::{EFFORT, PRIOR};

/// A candidate transformation of the values.
pub(super) struct ValueView {
    /// As they would be with the newest code.
    pub(super) values: Vec<f64>,
    /// The standard deviations of predicted values; empty where all were measured.
    pub(super) deviations: Vec<f64>,
    pub(super) warp: Warp,
    /// The alignment of the values of older code.
    pub(super) alignment: Alignment,
}

impl ValueView {
    pub(super) fn z(&self) -> Vec<f64> {
        self.values
            .iter()
            .map(|value| self.warp.warped(*value))
            .collect()
    }

    pub(super) fn variances(&self) -> Vec<f64> {
        self.values
            .iter()
            .zip(&self.deviations)
            .map(|(value, deviation)| self.warp.variance(*value, *deviation))
            .collect()
    }
}

/// Returns the views: each warp of each alignment of older code, the most probable alignment first.
pub(super) fn views(
    geometry: &Arc<Geometry>,
    valued: &[&EndedRuns<'_>],
    changes: usize,
) -> Vec<ValueView> {
    let mut y: Vec<f64> = valued.iter().filter_map(|ended| ended.value).collect();
    let mut deviations: Vec<f64> = valued.iter().map(|ended| ended.deviation).collect();
    let all_measured = deviations.iter().all(|deviation| *deviation == 0.0);
    let mut found = vec![Alignment::SAME];
    for before in 0..changes {
        let of = |is: &dyn Fn(usize) -> bool| {
            let places = || (0..y.len()).filter(|place| is(valued[*place].group));
            alignment::Values {
                x: places().map(|place| valued[place].point.clone()).collect(),
                y: places().map(|place| y[place]).collect(),
                deviations: places().map(|place| deviations[place]).collect(),
            }
        };
        found = alignments(
            geometry,
            &of(&|group| group <= before),
            &of(&|group| group == before + 1),
        );
        if before + 1 < changes {
            for place in (0..y.len()).filter(|place| valued[*place].group <= before) {
                (y[place], deviations[place]) =
                    (found[0].apply(y[place]), found[0].scale * deviations[place]);
            }
        }
    }
    let each = found.into_iter().flat_map(|alignment| {
        let aligned = |place: usize| {
            if valued[place].group < changes {
                alignment.apply(y[place])
            } else {
                y[place]
            }
        };
        let aligned: Vec<f64> = (0..y.len()).map(aligned).collect();
        let scaled = |place: usize| {
            if valued[place].group < changes {
                alignment.scale * deviations[place]
            } else {
                deviations[place]
            }
        };
        let scaled: Vec<f64> = if all_measured {
            Vec::new()
        } else {
            (0..y.len()).map(scaled).collect()
        };
        PRIOR.warp_floors.map(|floor| {
            let warp = Warp::new(&aligned, floor);
            // A level that all versions have in common would be taken for correlation.
            let warp = if changes == 0 {
                warp.doubting(aligned.len())
            } else {
                warp
            };
            ValueView {
                warp,
                values: aligned.clone(),
                deviations: scaled.clone(),
                alignment,
            }
        })
    });
    each.collect()
}

/// Draws hyperparameters, each with the place of a view.
pub(super) fn draws(
    geometry: &Geometry,
    seen: &ObservedPoints,
    views: &[ValueView],
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<(Vec<f64>, usize)> {
    let places = thinned(seen.x.len(), EFFORT.learnt_from_max);
    let pick = |all: &[f64]| places.iter().map(|place| all[*place]).collect::<Vec<_>>();
    let all_measured = views.iter().all(|view| view.deviations.is_empty());
    let variances: Vec<Vec<f64>> = if all_measured {
        Vec::new()
    } else {
        views.iter().map(|view| pick(&view.variances())).collect()
    };
    let middle = PRIOR.warp_floors.len() / 2;
    let learnt = ObservedPoints {
        x: places.iter().map(|place| seen.x[*place].clone()).collect(),
        z: Vec::new(),
        shares: pick(&seen.shares),
        variances: variances.get(middle).cloned().unwrap_or_default(),
        versions: places.iter().map(|place| seen.versions[*place]).collect(),
        changes: seen.changes,
    };
    let zs = views.iter().map(|view| pick(&view.z())).collect();
    let older = learnt
        .versions
        .iter()
        .filter(|version| **version < learnt.changes)
        .count() as f64;
    let jacobian = |view: &ValueView| {
        let Alignment {
            scale, log_prior, ..
        } = view.alignment;
        log_prior + older * scale.ln() + view.warp.log_jacobian(&pick(&view.values))
    };
    let views = Views {
        zs,
        variances,
        log_jacobians: views.iter().map(jacobian).collect(),
    };
    let evidence = Evidence::new(geometry, &learnt);
    let start = fit(&evidence, &views.zs[middle]);
    sample(&evidence, &views, &start, count, rng)
}
