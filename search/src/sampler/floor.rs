//! The floor of exploration: some suggestions are far from all tried points, independently of the
//! models.
//!
//! At most every second suggestion explores, and the number of runs alone decides which. The rules
//! end by themselves: once the models predict, once each branch was tried, and while an improvement
//! is expected. The last rule never ends, but becomes rare.

use super::sobol;
use crate::acquisition::feasibility::Feasibility;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};
use crate::tuning::EXPLORATION;

/// One value of a parameter that is a choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Branch {
    /// The place of the parameter among the coordinates.
    pub(super) coordinate: usize,
    /// The canonical coordinate of the value.
    pub(super) middle: f64,
    /// How many runs have tried it.
    pub(super) runs: usize,
    /// How many should have.
    pub(super) runs_min: usize,
}

/// The points tried so far, and the branches that need more runs.
#[derive(Debug)]
pub(super) struct Floor {
    /// The number of runs that have ended or are being executed.
    turn: usize,
    /// Their points.
    tried: Vec<Vec<f64>>,
    branches: Vec<Branch>,
}

impl Floor {
    /// Looks at the points of all runs of a search.
    pub(super) fn new(cube: &UnitCube<'_>, tried: Vec<Vec<f64>>) -> Self {
        let branches = branches(cube, &tried);
        Self {
            turn: tried.len(),
            tried,
            branches,
        }
    }

    /// Returns whether the next suggestion may explore.
    pub(super) fn may_explore(&self) -> bool {
        self.turn.is_multiple_of(EXPLORATION.every)
    }

    /// Returns the place in a sequence of spread points that the next suggestion has, if all that
    /// may take one do: every second point of a Sobol sequence would leave half of the space out.
    pub(super) fn place(&self) -> u64 {
        (self.turn / EXPLORATION.every) as u64
    }

    /// Returns whether the next suggestion explores independently of the models.
    pub(super) fn must_explore(&self) -> bool {
        let root = self.turn.isqrt();
        root >= EXPLORATION.square_min && root * root == self.turn
    }

    /// Returns the branch that the next suggestion has to try: the one that lacks most runs.
    pub(super) fn neglected_branch(&self) -> Option<Branch> {
        let lacks = |branch: &&Branch| branch.runs_min.saturating_sub(branch.runs);
        self.branches
            .iter()
            .rev()
            .filter(|branch| self.may_explore() && lacks(branch) > 0)
            .max_by_key(lacks)
            .copied()
    }

    /// Returns whether suggestions leave the models aside, by how well they predict.
    pub(super) fn distrusts(&self, skill: f64) -> bool {
        skill < EXPLORATION.skill_min
    }

    /// Returns whether the next suggestion leaves an improvement aside, by how far the values are
    /// spread.
    pub(super) fn neglects(&self, improvement: f64, spread: f64) -> bool {
        self.may_explore() && improvement < EXPLORATION.negligible_share * spread
    }

    /// Returns the branch with the fewest runs; `None` where there is no choice.
    pub(super) fn least_tried_branch(&self) -> Option<Branch> {
        self.branches
            .iter()
            .min_by_key(|branch| branch.runs)
            .copied()
    }

    /// Returns a canonical point far from all that was tried, in a branch if one is given.
    pub(super) fn far_point(
        &self,
        cube: &UnitCube<'_>,
        branch: Option<&Branch>,
        feasibility: Option<&Feasibility>,
        scramble: u64,
    ) -> Vec<f64> {
        let point = |place: u64| {
            let mut point = sobol::point(place, cube.scales().len(), scramble);
            if let Some(branch) = branch {
                point[branch.coordinate] = branch.middle;
            }
            cube.snap(&mut point);
            point
        };
        let mut points: Vec<Vec<f64>> = (0..EXPLORATION.candidates).map(point).collect();
        let is_within = |point: &Vec<f64>| {
            branch.is_none_or(|branch| point[branch.coordinate] == branch.middle)
        };
        // A choice that is there under a condition may be inactive in all of them.
        if points.iter().any(is_within) {
            points.retain(is_within);
        }
        if let Some(feasibility) = feasibility {
            let logs = feasibility.log_probabilities(&points);
            let bound = logs
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max)
                .min(EXPLORATION.feasible_min.ln());
            let mut logs = logs.into_iter();
            points.retain(|_| logs.next().is_some_and(|log| log >= bound));
        }
        let apart = |point: &Vec<f64>| {
            self.tried
                .iter()
                .map(|other| distance(point, other))
                .fold(f64::INFINITY, f64::min)
        };
        let farthest = points
            .into_iter()
            .map(|point| (apart(&point), point))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        farthest.map_or_else(|| vec![0.5; cube.scales().len()], |(_, point)| point)
    }
}

/// Returns the values of categorical parameters and of those that others depend on, each with the
/// number of runs that tried it.
fn branches(cube: &UnitCube<'_>, tried: &[Vec<f64>]) -> Vec<Branch> {
    let mut found = Vec::new();
    for (coordinate, (scale, is_parent)) in cube.scales().zip(cube.parents()).enumerate() {
        let cells = |count: usize| {
            (0..count)
                .map(|place| (place as f64 + 0.5) / count as f64)
                .collect::<Vec<f64>>()
        };
        let middles = match scale {
            Scale::Nominal(middles) => middles.clone(),
            Scale::Ranked(order) if is_parent => cells(order.len()),
            Scale::Cells(count) if is_parent && *count <= EXPLORATION.branches_max as u64 => {
                cells(*count as usize)
            }
            _ => continue,
        };
        if middles.len() > EXPLORATION.branches_max {
            continue;
        }
        let runs_min = if is_parent {
            EXPLORATION.parent_runs_min
        } else {
            EXPLORATION.category_runs_min
        };
        let runs = |middle: f64| {
            tried
                .iter()
                .filter(|point| point[coordinate] == middle)
                .count()
        };
        found.extend(middles.into_iter().map(|middle| Branch {
            coordinate,
            middle,
            runs: runs(middle),
            runs_min,
        }));
    }
    found
}

/// Returns the squared distance of two points. A coordinate that is active in one of them alone
/// counts as half the range.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let gap = |(a, b): (&f64, &f64)| {
        if (*a == INACTIVE) == (*b == INACTIVE) {
            (a - b) * (a - b)
        } else {
            0.25
        }
    };
    a.iter().zip(b).map(gap).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;
    use crate::space::fixture::{choice, space_with};

    fn space() -> Space {
        space_with(choice(&["p", "q"]))
    }

    #[test]
    fn the_branch_that_lacks_most_runs_is_tried_first() {
        let space = space();
        let cube = UnitCube::new(&space);
        let tried = vec![
            vec![INACTIVE, 0.25, 0.5],
            vec![0.25, 0.75, 0.1],
            vec![INACTIVE, 0.25, 0.7],
            vec![INACTIVE, 0.25, 0.9],
        ];
        let floor = Floor::new(&cube, tried);
        let branch = floor.neglected_branch().unwrap();
        assert_eq!(
            (
                branch.coordinate,
                branch.middle,
                branch.runs,
                branch.runs_min
            ),
            (1, 0.75, 1, 3)
        );
        // An inner choice is reached through the outer one.
        for scramble in 0..20 {
            let inner = floor.branches[1];
            let point = floor.far_point(&cube, Some(&inner), None, scramble);
            assert_eq!((point[0], point[1]), (0.75, 0.75));
        }
    }

    #[test]
    fn no_more_than_every_second_suggestion_explores_but_for_squares() {
        let space = space();
        let cube = UnitCube::new(&space);
        let at = |turn: usize| Floor::new(&cube, vec![vec![INACTIVE, 0.25, 0.5]; turn]);
        for turn in 1..130 {
            let floor = at(turn);
            assert_eq!(floor.neglected_branch().is_some(), turn % 2 == 0);
            assert!(floor.distrusts(0.2) && !floor.distrusts(0.5) && !floor.neglects(0.1, 1.0));
            assert_eq!(floor.must_explore(), [64, 81, 100, 121].contains(&turn));
        }
    }
}
