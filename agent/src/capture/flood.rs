//! Notices that a program writes into the folder of its code: each file that it writes makes
//! another version.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// This many versions within this time are no manual edits.
const VERSIONS_MAX: usize = 50;
const WITHIN: Duration = Duration::from_secs(3600);

/// The versions of late.
#[derive(Debug, Default)]
pub(super) struct VersionCount {
    /// When each was seen first.
    seen: BTreeMap<String, Instant>,
}

impl VersionCount {
    /// Counts a version. Returns whether there are more than users make by hand.
    pub(super) fn is_flooded_by(&mut self, version: &str, now: Instant) -> bool {
        self.seen
            .retain(|_, first| now.duration_since(*first) < WITHIN);
        self.seen.entry(version.to_owned()).or_insert(now);
        self.seen.len() > VERSIONS_MAX
    }

    /// Begins again.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }
}

/// Says what is wrong and what helps; `changed` names files in which the last two versions differ.
pub(super) fn complaint(changed: &[String]) -> String {
    let minutes = WITHIN.as_secs() / 60;
    let changed = if changed.is_empty() {
        String::new()
    } else {
        format!(" (changed last: {})", changed.join(", "))
    };
    format!(
        "the working folder has had more than {VERSIONS_MAX} versions of the code within {minutes} min{changed}, so a program seems to write into it; no more \
         code is sent until you name what it writes in .gitignore or .sweepignore, or restart the agent"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_fifty_versions_within_an_hour_are_a_flood() {
        let (mut count, began) = (VersionCount::default(), Instant::now());
        let minute = |minute: u32| began + Duration::from_secs(60) * minute;
        for number in 0..50 {
            assert!(!count.is_flooded_by(&number.to_string(), minute(number)));
        }
        assert!(
            !count.is_flooded_by("49", minute(50)),
            "it was there before"
        );
        assert!(count.is_flooded_by("50", minute(51)));
        assert!(
            !count.is_flooded_by("51", minute(62)),
            "the first ones were more than an hour ago"
        );
        count.clear();
        assert!(!count.is_flooded_by("52", minute(62)));
    }
}
