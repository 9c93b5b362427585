//! Progress bars: a bar shows the same value at every refresh, and a refresh is no iteration.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::Reading;
use super::lines::Line;

/// The position of a bar, as tqdm, Keras and rich show it: `3/10`.
static POSITION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[\s|])(\d+)/(\d+)(?:$|[\s\[])").expect("it is a valid expression")
});

/// A bar as tqdm draws it, at the beginning of a line: what it counts, how far it is (or how far,
/// without an end), and its times in brackets.
static DRAWN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[^{}]{0,200}?(?:\d%\|[^|]{0,400}\|\s*[\d.]+[kMGTP]?/[\d.]+[kMGTP]?|(?:^|:|\s)[\d.]+[kMGTP]?[^\s\d\[]{1,20}) \[\d[\d:]*[^\]]*\]",
    )
    .expect("it is a valid expression")
});

/// Returns the length of a bar at the beginning of a line, and zero where there is none. A bar
/// leaves its line open: the next output follows it.
pub(super) fn drawn_length(line: &str) -> usize {
    DRAWN.find(line).map_or(0, |bar| bar.end())
}

/// Turns the values that patterns find in refreshes of bars into iterations: the last value of each
/// position of a bar, if it differs from the one before. Values with their own step and values of
/// other lines are passed through.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    /// The last refresh, which the next one may replace.
    pending: Option<Refresh>,
    /// The last value of each metric that came from a bar.
    last: BTreeMap<String, f64>,
}

#[derive(Debug)]
struct Refresh {
    position: Option<String>,
    readings: Vec<Reading>,
}

impl Bars {
    /// Takes in what patterns have found in a line, and returns the readings that count by now.
    pub(crate) fn read(&mut self, line: &Line, readings: Vec<Reading>) -> Vec<Reading> {
        if !line.overwritten && self.pending.is_none() {
            return readings;
        }
        let position = POSITION
            .captures(&line.text)
            .map(|found| format!("{}/{}", &found[1], &found[2]));
        let (mut counting, readings): (Vec<_>, Vec<_>) = readings
            .into_iter()
            .partition(|reading| reading.step.is_some());
        if !line.overwritten && position.is_none() {
            // The bar continues below it.
            counting.extend(self.settle());
            counting.extend(readings);
            return counting;
        }
        let is_same = position.is_some()
            && self
                .pending
                .as_ref()
                .is_some_and(|pending| pending.position == position);
        if !is_same {
            counting.extend(self.settle());
        }
        if !readings.is_empty() {
            self.pending = Some(Refresh { position, readings });
        }
        if !line.overwritten {
            counting.extend(self.finish());
        }
        counting
    }

    /// Returns the readings of the last refresh: no other one follows it.
    pub(crate) fn finish(&mut self) -> Vec<Reading> {
        let settled = self.settle();
        self.last.clear();
        settled
    }

    fn settle(&mut self) -> Vec<Reading> {
        let Some(refresh) = self.pending.take() else {
            return Vec::new();
        };
        let last = &mut self.last;
        let changes = |reading: &Reading| {
            last.insert(reading.name.clone(), reading.value) != Some(reading.value)
        };
        refresh.readings.into_iter().filter(changes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<f64> {
        let mut bars = Bars::default();
        let loss = Regex::new(r"loss=([\d.]+)").unwrap();
        let mut read = |text: &str, overwritten: bool| {
            let readings = loss.captures_iter(text).map(|found| Reading {
                name: "loss".to_owned(),
                step: None,
                value: found[1].parse().unwrap(),
            });
            bars.read(
                &Line {
                    text: text.to_owned(),
                    overwritten,
                },
                readings.collect(),
            )
        };
        let mut found = Vec::new();
        for line in text.split_inclusive(['\n', '\r']) {
            found.extend(read(line.trim_end(), line.ends_with('\r')));
        }
        found.extend(bars.finish());
        found.into_iter().map(|reading| reading.value).collect()
    }

    #[test]
    fn an_iteration_is_a_position_of_the_bar_and_not_a_refresh() {
        // As tqdm does: the first refresh at a position still shows the value before.
        let bar = "  0%| | 0/3 [00:00]\r  0%| | 0/3 [00:00, loss=0.9]\r 33%|#| 1/3 [00:01, loss=0.9]\r 33%|#| 1/3 [00:01, loss=0.5]\r\
                   33%|#| 1/3 [00:02, loss=0.5]\r 67%|#| 2/3 [00:02, loss=0.5]\r 67%|#| 2/3 [00:02, loss=0.4]\r100%|#| 3/3 [00:03, loss=0.4]\n";
        assert_eq!(values(bar), [0.9, 0.5, 0.4]);
    }

    #[test]
    fn what_is_printed_between_two_refreshes_ends_no_iteration() {
        let bar = " 1/3 [loss=0.5]\rsaved\n 1/3 [loss=0.5]\r 2/3 [loss=0.5]\r 2/3 [loss=0.4]\r 3/3 [loss=0.3]\n";
        assert_eq!(values(bar), [0.5, 0.4, 0.3]);
    }

    #[test]
    fn lines_and_bars_without_a_position_count_by_their_values() {
        assert_eq!(values("loss=0.5\nloss=0.5\n"), [0.5, 0.5], "printed twice");
        assert_eq!(
            values("loss=0.5\rloss=0.5\rloss=0.4\rdone\nloss=0.4\n"),
            [0.5, 0.4, 0.4]
        );
    }

    #[test]
    fn the_value_of_the_next_bar_counts_although_it_is_the_same() {
        assert_eq!(
            values(" 1/2 [loss=0.5]\r 2/2 [loss=0.4]\n 1/2 [loss=0.4]\r 2/2 [loss=0.3]\n"),
            [0.5, 0.4, 0.4, 0.3]
        );
    }

    #[test]
    fn a_step_of_its_own_is_passed_through() {
        let mut bars = Bars::default();
        let reading = Reading {
            name: "loss".to_owned(),
            step: Some(3),
            value: 0.5,
        };
        let line = Line {
            text: "3/10 step 3 loss=0.5".to_owned(),
            overwritten: true,
        };
        assert_eq!(bars.read(&line, vec![reading.clone()]), [reading]);
        assert_eq!(bars.finish(), []);
    }
}
