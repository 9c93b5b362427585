//! Numbers and durations as people read them, alike on the page, in reports and in the terminal.

use std::time::Duration;

/// Writes a number with up to `digits` significant digits.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.abs().to_string();
    }
    let rounded = rounded(value, digits);
    if (1e-4..1e9).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Rounds a number to `digits` significant digits.
pub fn rounded(value: f64, digits: usize) -> f64 {
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    text.parse().unwrap_or(value)
}

/// Writes a duration: `8.2 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_are_asked_for() {
        for (value, digits, text) in [
            (0.0, 6, "0"),
            (0.1 + 0.2, 6, "0.3"),
            (0.012_345_678_9, 6, "0.0123457"),
            (1e-7, 6, "1e-7"),
            (-60.0, 6, "-60"),
            (1e12, 6, "1e12"),
            (0.123456789, 5, "0.12346"),
            (-2.5, 5, "-2.5"),
            (12_345_678.0, 5, "12346000"),
            (1e10, 5, "1e10"),
            (1.5e-7, 5, "1.5e-7"),
            (-0.0, 5, "0"),
        ] {
            assert_eq!(significant(value, digits), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (ms, text) in [
            (40, "0.0 s"),
            (8240, "8.2 s"),
            (59_900, "59 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (356_400_000, "4 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
