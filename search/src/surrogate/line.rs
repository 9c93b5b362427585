//! Which versions of the code the models tell apart.

use crate::observation::CodeLine;
use crate::tuning::TRANSFER;

/// The versions that the models tell apart, by number: the newest has the largest.
#[derive(Clone, Debug)]
pub(crate) struct Groups<'a> {
    line: CodeLine<'a>,
    /// The places in the line at which each begins. A version without values is no group, except
    /// the newest.
    starts: Vec<usize>,
}

impl<'a> Groups<'a> {
    /// `valued` are the versions of the runs with a value.
    pub(crate) fn new<'b>(line: CodeLine<'a>, valued: impl Iterator<Item = &'b str>) -> Self {
        let mut starts: Vec<usize> = valued.map(|version| line.place(version)).collect();
        starts.push(line.newest());
        starts.sort_unstable();
        starts.dedup();
        starts.drain(..starts.len().saturating_sub(TRANSFER.changes_max + 1));
        Self { line, starts }
    }

    /// Returns the group that a version belongs to.
    pub(crate) fn of(&self, version: &str) -> usize {
        let place = self.line.place(version);
        self.starts
            .iter()
            .rposition(|start| *start <= place)
            .unwrap_or(0)
    }

    /// Returns how many changes there are: one less than there are groups.
    pub(crate) fn changes(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_past_counts_as_one_version_and_what_has_no_value_as_none() {
        let names: Vec<String> = (0..7).map(|number| number.to_string()).collect();
        let line = CodeLine {
            versions: &names,
            probes: 2,
        };
        let groups = Groups::new(line, ["0", "1", "2", "4", "5"].into_iter());
        assert_eq!(groups.changes(), 3);
        assert_eq!(
            ["0", "1", "2", "3", "4", "5", "6", "else"].map(|version| groups.of(version)),
            [0, 0, 0, 0, 1, 2, 3, 0]
        );
        let one = Groups::new(CodeLine::default(), ["", "a"].into_iter());
        assert_eq!((one.changes(), one.of("a")), (0, 0));
    }
}
