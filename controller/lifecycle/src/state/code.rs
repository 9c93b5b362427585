//! The versions of the code that a sweep has seen.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, Timestamp};

/// The versions of the code of a sweep, and users' actions on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeHistory {
    /// The versions that its runs had to be executed with, in the order of their first appearance.
    pub versions: Vec<CodeVersion>,
    /// Users' actions on them, in order.
    pub steps: Vec<CodeStep>,
    /// The version that every attempt executes which begins from now on; `None`: agents execute what they have.
    pub pinned: Option<String>,
}

impl CodeHistory {
    /// Returns the number of a version of the code, from 1; `None` where it has not been seen.
    pub fn number(&self, version: &str) -> Option<u32> {
        let known = self.versions.iter();
        let index = known
            .map(|code| &code.version)
            .position(|known| known == version)?;
        u32::try_from(index + 1).ok()
    }

    /// Returns the version with a number; empty where there is none, as for 0.
    pub fn version(&self, number: u32) -> &str {
        let index = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        index
            .and_then(|index| self.versions.get(index))
            .map_or("", |code| code.version.as_str())
    }

    /// Adds a user's action, at the end.
    pub(crate) fn add_step(&mut self, version: &str, act: CodeAct, since: Timestamp) {
        self.steps.push(CodeStep {
            version: version.to_owned(),
            act,
            since,
        });
    }
}

/// A version of the code, at the place in [`CodeHistory::versions`] in which it first appeared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// The tree hash of what an agent executes, or any id that a program which asks for runs has chosen.
    pub version: String,
    /// Its description.
    pub about: CodeAbout,
    /// The agent that had it first; `None`: it came with imported runs.
    pub agent: Option<AgentId>,
    /// When it was seen first.
    pub since: Timestamp,
    /// The user's mark.
    #[serde(default)]
    pub mark: Option<CodeMark>,
}

/// The user's mark of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeMark {
    /// It gives what another version gives: the search takes both for one.
    SameAs(String),
    /// Its results are unusable: its runs are kept, but are no observations, and none of them is the best.
    Unusable,
}

/// A user's action on the code of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeStep {
    /// The version that it was about.
    pub version: String,
    /// The kind of action.
    pub act: CodeAct,
    /// When.
    pub since: Timestamp,
}

/// The kind of a user's action on a version of the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeAct {
    /// Every attempt that begins afterwards executes it.
    Pinned,
    /// Something is said of it.
    Marked(CodeMark),
    /// Its mark is removed.
    Unmarked,
}

/// An agent's description of its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeAbout {
    /// The commit that is checked out; empty where there is none.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The branch; empty where the head is detached.
    pub branch: String,
    /// Where the repository was fetched from.
    pub remote: String,
    /// Files that differ from the commit.
    pub files: u64,
    /// Lines added to it.
    pub added: u64,
    /// Lines removed from it.
    pub removed: u64,
    /// The path of the working folder in it; empty: its root.
    pub prefix: String,
    /// Files that are not part of the version, for the user.
    pub notes: Vec<String>,
    /// Outputs of programs in the working folder, which are not part of the version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}
