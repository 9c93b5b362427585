//! Sparklines: curves in one line of text.

use sweep_proto::v1::{Run, Sweep};

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws values as a line of at most `width` characters; values that are no numbers are left out.
pub(crate) fn spark(values: &[f64], width: usize) -> String {
    let values: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() || width == 0 {
        return String::new();
    }
    let cells = values.len().min(width);
    // The last value of each part: the curve ends at the present value.
    let picked: Vec<f64> = (1..=cells)
        .map(|cell| values[cell * values.len() / cells - 1])
        .collect();
    let low = picked.iter().copied().fold(f64::INFINITY, f64::min);
    let high = picked.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halved, so that the range of the largest numbers is one too.
    let range = high / 2.0 - low / 2.0;
    let level = |value: f64| {
        if range > 0.0 {
            ((value / 2.0 - low / 2.0) / range * 7.0).round() as usize
        } else {
            3
        }
    };
    picked
        .into_iter()
        .map(|value| LEVELS[level(value).min(7)])
        .collect()
}

/// Returns the best value after each run that ended with one, in the order in which they ended.
pub(crate) fn best_so_far<'a>(sweep: &Sweep, runs: impl Iterator<Item = &'a Run>) -> Vec<f64> {
    let usable =
        runs.filter(|run| run.violates.is_empty() && run.aside.is_empty() && run.ended_ms > 0);
    let mut ended: Vec<(i64, u64, f64)> = usable
        .filter_map(|run| {
            Some((
                run.ended_ms,
                run.run,
                run.value.filter(|value| value.is_finite())?,
            ))
        })
        .collect();
    ended.sort_by_key(|(ended, run, _)| (*ended, *run));
    let mut best: Option<f64> = None;
    let mut better = |value: f64| {
        let next = match best {
            None => value,
            Some(best) if sweep.goal == "maximize" => best.max(value),
            Some(best) => best.min(value),
        };
        best = Some(next);
        next
    };
    ended
        .into_iter()
        .map(|(_, _, value)| better(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_fits_and_ends_where_it_is_now() {
        assert_eq!(spark(&[0.0, 7.0], 10), "▁█");
        assert_eq!(spark(&[1.0, 1.0, f64::NAN], 10), "▄▄");
        assert_eq!(spark(&[f64::MIN, f64::MAX], 10), "▁█");
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        let drawn = spark(&long, 20);
        assert_eq!(
            (drawn.chars().count(), drawn.chars().last()),
            (20, Some('█'))
        );
        assert_eq!(spark(&[], 10), "");
    }

    #[test]
    fn the_best_so_far_only_gets_better() {
        let run = |run, ended_ms, value| Run {
            run,
            ended_ms,
            value: Some(value),
            ..Run::default()
        };
        let runs = [
            run(1, 30, 1.0),
            run(2, 10, 3.0),
            run(3, 20, 4.0),
            Run {
                violates: vec!["x".to_owned()],
                ..run(4, 5, 0.0)
            },
        ];
        let sweep = |goal: &str| Sweep {
            goal: goal.to_owned(),
            ..Sweep::default()
        };
        assert_eq!(
            best_so_far(&sweep("minimize"), runs.iter()),
            [3.0, 3.0, 1.0]
        );
        assert_eq!(
            best_so_far(&sweep("maximize"), runs.iter()),
            [3.0, 4.0, 4.0]
        );
    }
}
