//! The kinds of events, each with the format of the log in which it first appeared.
//!
//! To add a kind: raise `FORMAT` of the store unless that format is still unreleased, list the kind here with it, and extend the
//! fixture as `docs/explanation/compatibility.md` says. An older program then refuses the data instead of stopping at an event that it cannot read.

use super::Event;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// The value of `type` in the event's JSON.
    pub name: &'static str,
    /// The format of the log in which it first appeared.
    pub format: u32,
}

/// Lists the kinds. A variant of [`Event`] that is not in the list does not compile.
macro_rules! event_kinds {
    ($($variant:ident $name:literal $format:literal,)+) => {
        /// All kinds of events.
        pub const EVENT_KINDS: &[EventKind] = &[$(EventKind { name: $name, format: $format }),+];

        impl Event {
            /// Returns the name of its kind: the value of `type` in its JSON.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }
        }
    };
}

event_kinds! {
    SweepCreated "sweep_created" 1,
    SweepEdited "sweep_edited" 1,
    SweepStateChanged "sweep_state_changed" 1,
    SpaceExhausted "space_exhausted" 1,
    CodeSeen "code_seen" 1,
    CodePinned "code_pinned" 1,
    CodeMarked "code_marked" 1,
    EnvironmentSeen "environment_seen" 1,
    AgentRegistered "agent_registered" 1,
    AgentRemoved "agent_removed" 1,
    AgentQuarantined "agent_quarantined" 1,
    AgentProbed "agent_probed" 1,
    AgentReadmitted "agent_readmitted" 1,
    SweepStalled "sweep_stalled" 1,
    RunCreated "run_created" 1,
    RunAnnotated "run_annotated" 1,
    AttemptAssigned "attempt_assigned" 1,
    RunImported "run_imported" 1,
    AttemptStarted "attempt_started" 1,
    MetricsReported "metrics_reported" 1,
    StopRequested "stop_requested" 1,
    AttemptEnded "attempt_ended" 1,
    AttemptResumed "attempt_resumed" 1,
    ResultOrphaned "result_orphaned" 1,
    RunAbsolved "run_absolved" 1,
    RunRequeued "run_requeued" 1,
    RunEnded "run_ended" 1,
    EpochBegan "epoch_began" 2,
    EpochSettled "epoch_settled" 2,
    AgentLeaving "agent_leaving" 2,
    QueuedRunsCancelled "queued_runs_cancelled" 3,
    SweepArchived "sweep_archived" 3,
    RunsPruned "runs_pruned" 3,
    SweepDeleted "sweep_deleted" 3,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The kinds of each released format. They never change: a new kind belongs to a new format.
    const RELEASED: [(u32, &[&str]); 2] = [
        (
            1,
            &[
                "agent_probed",
                "agent_quarantined",
                "agent_readmitted",
                "agent_registered",
                "agent_removed",
                "attempt_assigned",
                "attempt_ended",
                "attempt_resumed",
                "attempt_started",
                "code_marked",
                "code_pinned",
                "code_seen",
                "environment_seen",
                "metrics_reported",
                "result_orphaned",
                "run_absolved",
                "run_annotated",
                "run_created",
                "run_ended",
                "run_imported",
                "run_requeued",
                "space_exhausted",
                "stop_requested",
                "sweep_created",
                "sweep_edited",
                "sweep_stalled",
                "sweep_state_changed",
            ],
        ),
        (2, &["agent_leaving", "epoch_began", "epoch_settled"]),
    ];

    #[test]
    fn the_kinds_of_a_released_format_never_change() {
        for (format, names) in RELEASED {
            let listed: BTreeSet<_> = EVENT_KINDS
                .iter()
                .filter(|kind| kind.format == format)
                .map(|kind| kind.name)
                .collect();
            assert_eq!(
                listed,
                names.iter().copied().collect(),
                "format {format}: give a new kind the format of `store::FORMAT`"
            );
        }
    }

    #[test]
    fn each_kind_is_listed_once() {
        let names: BTreeSet<_> = EVENT_KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), EVENT_KINDS.len());
    }
}
