//! The messages of a `.wandb` file (`wandb_internal.proto` of W&B's library), as far as they
//! matter.

use prost::Message;

use super::super::record;

/// The keys that the library adds to the history and the summary.
const OWN: [&str; 4] = ["_step", "_runtime", "_timestamp", "_wandb"];

/// `wandb_internal.Record`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WandbRecord {
    #[prost(message, optional, tag = "2")]
    pub(super) history: Option<HistoryRecord>,
    #[prost(message, optional, tag = "3")]
    pub(super) summary: Option<SummaryChange>,
    #[prost(message, optional, tag = "17")]
    pub(super) run: Option<RunHead>,
    #[prost(message, optional, tag = "18")]
    pub(super) exit: Option<ExitRecord>,
}

/// `RunRecord`: precedes everything that is logged.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RunHead {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// The server has resumed it.
    #[prost(bool, tag = "18")]
    pub(super) is_resumed: bool,
    /// The program asks for a run to be resumed.
    #[prost(bool, tag = "24")]
    pub(super) resumes: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HistoryRecord {
    #[prost(message, repeated, tag = "1")]
    pub(super) item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    pub(super) step: Option<StepRecord>,
}

/// `SummaryRecord`: what changes in the summary.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryChange {
    #[prost(message, repeated, tag = "1")]
    pub(super) update: Vec<Item>,
    #[prost(message, repeated, tag = "2")]
    pub(super) remove: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Item {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    /// The way to the value, of one key where nothing is nested.
    #[prost(string, repeated, tag = "2")]
    pub(super) nested_key: Vec<String>,
    #[prost(string, tag = "16")]
    pub(super) value_json: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StepRecord {
    #[prost(int64, tag = "1")]
    pub(super) num: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExitRecord {
    #[prost(int32, tag = "1")]
    pub(super) exit_code: i32,
}

impl Item {
    /// Returns the keys that lead to the value.
    pub(super) fn path(&self) -> &[String] {
        if self.nested_key.is_empty() {
            std::slice::from_ref(&self.key)
        } else {
            &self.nested_key
        }
    }

    /// Returns the number that it holds, unless it is the library's own.
    pub(super) fn number(&self) -> Option<f64> {
        record::value(&self.value_json).filter(|_| !is_own(self.path()))
    }
}

impl HistoryRecord {
    /// Returns the count of the program, or of the library.
    pub(super) fn step(&self) -> Option<i64> {
        let own = self
            .item
            .iter()
            .find(|item| item.path() == ["_step"])
            .and_then(|item| record::value(&item.value_json));
        own.map(|step| step as i64)
            .or(self.step.as_ref().map(|step| step.num))
    }
}

/// Returns whether the library has added the value by itself.
pub(super) fn is_own(path: &[String]) -> bool {
    path.first()
        .is_some_and(|first| OWN.contains(&first.as_str()))
}

/// Returns the name of a value as W&B shows it: nested ones with dots. `None`: it is no metric.
pub(super) fn name_of(path: &[String]) -> Option<String> {
    Some(path.join(".")).filter(|name| !is_own(path) && record::is_name(name))
}
