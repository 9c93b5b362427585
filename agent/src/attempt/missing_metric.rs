//! Explains an objective that a successful program has not given.

use std::collections::BTreeMap;

use super::excerpt::OutputExcerpt;

/// Returns the separator between a name and a number behind it, as in `loss=0.2` and `loss: 0.2`; of
/// a plain name only.
fn shown(line: &str, name: &str) -> Option<char> {
    let is_part = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    // Others would have to be quoted in the sweep file.
    if !name.chars().all(is_part)
        || !name.starts_with(|first: char| first.is_alphabetic() || first == '_')
    {
        return None;
    }
    line.match_indices(name)
        .filter(|(start, _)| !line[..*start].ends_with(is_part))
        .find_map(|(start, _)| {
            let rest = line[start + name.len()..].trim_start();
            let separator = rest
                .chars()
                .next()
                .filter(|character| "=:".contains(*character))?;
            let number = rest[1..].trim_start();
            number
                .trim_start_matches(['-', '+', '.'])
                .starts_with(|character: char| character.is_ascii_digit())
                .then_some(separator)
        })
}

/// Explains that a program has not given its objective, and how to correct it.
pub(super) fn no_metric(
    objective: &str,
    seen: &BTreeMap<String, f64>,
    output: &OutputExcerpt,
) -> String {
    if let Some(remedy) = &output.unread {
        return format!(
            "exit status 0, but the sweep wants `{objective}`, which was not read; {remedy}"
        );
    }
    if let Some(separator) = output
        .tail
        .iter()
        .rev()
        .find_map(|line| shown(line, objective))
    {
        return format!(
            "exit status 0, but the sweep wants `{objective}`, which is only in the output before `{separator}` and a number: \
             `metric_patterns: {{{objective}: '\\b{}\\s*{separator}\\s*([-+.0-9eE]+)'}}` in the sweep file reads it",
            regex::escape(objective)
        );
    }
    if seen.is_empty() {
        return format!(
            "exit status 0, but no metric was seen and the sweep wants `{objective}`; print a line like {{\"{objective}\": 0.21}}, \
             append it to $SWEEP_METRICS, or give `metric_patterns`"
        );
    }
    let names: Vec<_> = seen
        .keys()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if seen.len() > names.len() {
        format!(" and {} more", seen.len() - names.len())
    } else {
        String::new()
    };
    let close = seen
        .keys()
        .map(|name| (distance(objective, name), name))
        .min()
        .filter(|(distance, name)| {
            *distance <= objective.chars().count().max(name.chars().count()) / 2
                || name.contains(objective)
                || objective.contains(name.as_str())
        });
    let hint = close
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    format!(
        "exit status 0, but the sweep wants `{objective}` and the program gave {}{more}{hint}",
        names.join(", ")
    )
}

/// Returns the number of letters that have to change, without case and separators.
fn distance(left: &str, right: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .take(256)
            .collect()
    };
    let (left, right) = (plain(left), plain(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::super::now::Now;
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        let seen = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), 1.0))
                .collect::<BTreeMap<_, _>>()
        };
        let no_metric = |objective: &str, seen: &BTreeMap<String, f64>| {
            no_metric(objective, seen, &OutputExcerpt::default())
        };
        assert!(
            no_metric("val_loss", &seen(&["acc", "loss", "val/loss"]))
                .ends_with("did you mean `val/loss`?")
        );
        assert!(
            no_metric("val_loss", &seen(&["acc", "loss"]))
                .ends_with("gave `acc`, `loss`; did you mean `loss`?")
        );
        assert!(no_metric("val_loss", &seen(&["epoch"])).ends_with("gave `epoch`"));
        assert!(no_metric("val_loss", &seen(&[])).contains("no metric was seen"));
    }

    #[test]
    fn what_stands_in_the_output_is_said_to_be_readable_and_how() {
        let message = |line: &str| {
            let mut output = OutputExcerpt::default();
            output.push(line.to_owned(), Now::ZERO);
            no_metric("loss", &BTreeMap::new(), &output)
        };
        for (line, separator) in [
            ("epoch=3 loss=0.25", '='),
            ("Epoch 3, val_loss: none, loss: -1e-3", ':'),
            ("loss:.5", ':'),
            ("loss = 2", '='),
        ] {
            let message = message(line);
            let line = format!("val_loss=low val_loss: 7 {line}");
            let pattern = message
                .split('\'')
                .nth(1)
                .unwrap_or_else(|| panic!("{message}"));
            assert!(
                message.contains(&format!("before `{separator}` and a number")),
                "{message}"
            );
            assert!(
                regex::Regex::new(pattern).unwrap().captures(&line).unwrap()[1]
                    .parse::<f64>()
                    .is_ok_and(|value| value < 7.0),
                "{pattern} in {line}"
            );
        }
        for line in [
            "val_loss=0.25",
            "the loss = low",
            "loss: nan",
            "lossless: 3",
            "train/loss=1",
            "loss",
            "loss=",
            "",
        ] {
            assert!(message(line).contains("no metric was seen"), "{line}");
        }
        assert_eq!(
            shown("it's: 1", "it's"),
            None,
            "the sweep file would need quotes"
        );
    }
}
