//! Which runs the table shows, and in which order.

use std::cmp::Ordering;

use sweep_proto::v1::Run;

/// Which runs are shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Filter {
    #[default]
    All,
    Open,
    Finished,
    Stopped,
    Failed,
    Cancelled,
}

impl Filter {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::All => Self::Open,
            Self::Open => Self::Finished,
            Self::Finished => Self::Stopped,
            Self::Stopped => Self::Failed,
            Self::Failed => Self::Cancelled,
            Self::Cancelled => Self::All,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Open => "open",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn fits(self, run: &Run) -> bool {
        match self {
            Self::All => true,
            Self::Open => matches!(run.state.as_str(), "queued" | "assigned" | "running"),
            _ => run.state == self.word(),
        }
    }
}

/// The sort order of runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Order {
    #[default]
    Number,
    State,
    Value,
    Ended,
}

impl Order {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Number => Self::State,
            Self::State => Self::Value,
            Self::Value => Self::Ended,
            Self::Ended => Self::Number,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::State => "state",
            Self::Value => "value",
            Self::Ended => "end",
        }
    }

    /// Compares two runs; those without a value or an end come last, whichever way.
    pub(crate) fn compare(self, a: &Run, b: &Run, descending: bool) -> Ordering {
        let turned = |order: Ordering| if descending { order.reverse() } else { order };
        let first = match self {
            Self::Number => turned(a.run.cmp(&b.run)),
            Self::State => turned(a.state.cmp(&b.state)),
            Self::Value => match (value(a), value(b)) {
                (Some(a), Some(b)) => turned(a.total_cmp(&b)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
            Self::Ended => (a.ended_ms == 0)
                .cmp(&(b.ended_ms == 0))
                .then(turned(a.ended_ms.cmp(&b.ended_ms))),
        };
        first.then(a.run.cmp(&b.run))
    }
}

/// Returns what the table shows as the value of a run.
pub(crate) fn value(run: &Run) -> Option<f64> {
    run.value.or(run.best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_a_value_come_last_whichever_way() {
        let run = |run, value| Run {
            run,
            value,
            ..Run::default()
        };
        let order = |descending| {
            let mut runs = [run(1, None), run(2, Some(2.0)), run(3, Some(1.0))];
            runs.sort_by(|a, b| Order::Value.compare(a, b, descending));
            runs.map(|run| run.run)
        };
        assert_eq!(order(false), [3, 2, 1]);
        assert_eq!(order(true), [2, 3, 1]);
    }
}
