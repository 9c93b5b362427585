//! Output that shows the objective in a form that nothing reads, and the pattern that would read
//! it.

use std::sync::LazyLock;

use regex::Regex;

use super::record;

/// A number as programs print it.
const NUMBER: &str = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)";
/// Longer lines are not looked at: patterns for them would be of no use.
const LINE_CHARACTERS_MAX: usize = 2000;
/// Warnings quote this much of a line.
const QUOTED_CHARACTERS_MAX: usize = 120;
/// The shortest prefix of a word that means the word, as `val` means `validation`.
const PREFIX_CHARACTERS_MIN: usize = 3;

static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Z]?[a-z]+|[A-Z]+|\d+").expect("it is a valid expression"));
static CELLS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[|│┃]").expect("it is a valid expression"));
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    // Behind a name: separators, quotes, brackets and borders of tables, then the number.
    Regex::new(&format!(
        r#"^(?:['"\])]?\s*(?:[:=|│┃]|-+>)\s*['"]?|['"]\s*,\s*|[\])]?\s+(?:is|of|=)?\s*)(?:np\.float\d+\()?{NUMBER}(?:$|[^\w.])"#
    ))
    .expect("it is a valid expression")
});

/// The line that MLflow prints at the end of a run: the server, then the path of its page.
static SERVER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"View run .* at: (https?://[^\s#]*[^\s#/])/?#/experiments/")
        .expect("it is a valid expression")
});

/// A line that shows the objective, and what reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The line.
    pub(crate) line: String,
    /// A regular expression for `metric_patterns`, whose first group is the number.
    pub(crate) pattern: String,
}

/// Looks for the objective in lines from which nothing was read.
#[derive(Debug)]
pub(crate) struct Hints {
    objective: String,
    words: Vec<String>,
    /// The heading of a table with the objective: the cells, and the objective's place among them.
    heading: Option<(usize, usize)>,
    /// The same of a table without borders.
    plain_heading: Option<(usize, usize)>,
}

impl Hints {
    pub(crate) fn new(objective: &str) -> Self {
        Self {
            objective: objective.to_owned(),
            words: words(objective),
            heading: None,
            plain_heading: None,
        }
    }

    /// Returns how a line shows the objective, if it does.
    pub(crate) fn find(&mut self, line: &str) -> Option<Hint> {
        if self.words.is_empty() || line.chars().nth(LINE_CHARACTERS_MAX).is_some() {
            return None;
        }
        let line = console::strip_ansi_codes(line);
        // W&B's library repeats at its end what it has logged.
        if line.trim_start().starts_with("wandb:") {
            return None;
        }
        let pattern = self.named(&line).or_else(|| self.in_table(&line))?;
        let reads = Regex::new(&pattern)
            .ok()?
            .captures(&line)?
            .get(1)?
            .as_str()
            .parse::<f64>()
            .is_ok();
        reads.then(|| Hint {
            line: line.trim().to_owned(),
            pattern,
        })
    }

    /// `val_loss: 0.25`, `Validation loss = 0.25`, `| val_loss | 0.25 |`.
    fn named(&self, line: &str) -> Option<String> {
        let found: Vec<_> = WORD.find_iter(line).collect();
        let count = self.words.len();
        (0..(found.len() + 1).saturating_sub(count)).find_map(|first| {
            let name = &found[first..first + count];
            let is_it = name
                .iter()
                .zip(&self.words)
                .all(|(found, word)| means(&found.as_str().to_lowercase(), word));
            let (start, end) = (name[0].start(), name[count - 1].end());
            // Part of a longer name, as `loss` of `val_loss`, or several words with more than a
            // separator between them.
            let is_part =
                |character: char| character.is_alphanumeric() || "_/.-".contains(character);
            let is_whole = !line[..start].ends_with(is_part) && !line[end..].starts_with(is_part);
            let joined = name.windows(2).all(|pair| {
                let between = &line[pair[0].end()..pair[1].start()];
                between == ". "
                    || (between.chars().count() <= 1
                        && between.chars().all(|character| " _/.-".contains(character)))
            });
            let value = VALUE.captures(&line[end..])?.get(1)?;
            // `0,9`: the pattern would read 0.
            let mut after = line[end + value.end()..].chars();
            if after.next() == Some(',')
                && after
                    .next()
                    .is_some_and(|character| character.is_ascii_digit())
            {
                return None;
            }
            let separator = escaped(&line[end..end + value.start()]);
            (is_it && is_whole && joined)
                .then(|| format!(r"\b{}{separator}{NUMBER}", regex::escape(&line[start..end])))
        })
    }

    /// A row below a heading that has the objective.
    fn in_table(&mut self, line: &str) -> Option<String> {
        let cells: Vec<_> = CELLS.split(line).map(str::trim).collect();
        if cells.len() < 3 {
            return self.in_plain_table(line);
        }
        if let Some(place) = cells.iter().position(|cell| self.is_it(cell)) {
            self.heading = Some((cells.len(), place));
            return None;
        }
        let (count, place) = self.heading.filter(|(count, _)| *count == cells.len())?;
        cells[place].parse::<f64>().ok().filter(|_| place < count)?;
        Some(format!(r"^(?:[^|│┃]*[|│┃]){{{place}}}\s*{NUMBER}\s*[|│┃]"))
    }

    /// The same of a table that has white space between its columns: `tabulate`'s, or a data frame,
    /// whose rows begin with a number more.
    fn in_plain_table(&mut self, line: &str) -> Option<String> {
        // Rows of comma-separated values have no extra number.
        let is_csv = line.contains(',');
        let cells: Vec<_> = if is_csv {
            line.split(',').map(str::trim).collect()
        } else {
            line.split_whitespace().collect()
        };
        let is_number = |cell: &&str| cell.parse::<f64>().is_ok();
        if let Some(place) = cells.iter().position(|cell| self.is_it(cell))
            && cells.len() > 1
            && !cells.iter().any(is_number)
        {
            self.plain_heading = Some((cells.len(), place));
            return None;
        }
        let (count, place) = self.plain_heading?;
        if !is_csv && let Some(pattern) = row_with_words(&cells, count, place) {
            return Some(pattern);
        }
        if !cells.iter().all(is_number) {
            // Only a rule of dashes may stand between heading and rows.
            self.plain_heading.take_if(|_| {
                !line
                    .trim()
                    .chars()
                    .all(|character| "-= \t".contains(character))
            });
            return None;
        }
        let extra = cells.len().checked_sub(count).filter(|extra| *extra <= 1)?;
        if is_csv {
            let pattern = format!(r"^(?:[^,]*,){{{place}}}\s*{NUMBER}\s*(?:,|$)");
            return (extra == 0).then_some(pattern);
        }
        let (before, after) = (place + extra, count - place - 1);
        let times = |cell: &str, count: usize| {
            if count == 0 {
                String::new()
            } else {
                format!("(?:{cell}){{{count}}}")
            }
        };
        Some(format!(
            r"^\s*{}{NUMBER}{}\s*$",
            times(r"[-+.\deE]+\s+", before),
            times(r"\s+[-+.\deE]+", after)
        ))
    }

    fn is_it(&self, cell: &str) -> bool {
        let cell = words(cell);
        cell.len() == self.words.len()
            && cell
                .iter()
                .zip(&self.words)
                .all(|(cell, word)| means(cell, word))
    }

    /// Returns a note to the user where a metric has the objective's name in another form:
    /// `eval_loss` for `eval/loss`.
    pub(crate) fn alike(&self, name: &str) -> Option<String> {
        let is_it = name != self.objective
            && !self.words.is_empty()
            && (words(name) == self.words || is_nested(name, &self.objective));
        is_it.then(|| {
            format!("`{}` has not been read, but `{name}` has: `metric: {{name: {name}}}` in the sweep file takes that", self.objective)
        })
    }

    /// Returns a note to the user where MLflow names the server that it has logged to, and that is
    /// not the one that the agent has started for it.
    pub(crate) fn elsewhere(&self, line: &str) -> Option<String> {
        let server = SERVER.captures(line)?.get(1)?.as_str();
        let is_ours = server.rsplit('/').next().is_some_and(|token| {
            token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        (!is_ours && !self.words.is_empty()).then(|| {
            format!(
                "the program logs to the MLflow server at {server}, which is not read: leave MLFLOW_TRACKING_URI as sweep sets it (without \
                 `mlflow.set_tracking_uri` in the program), or print the metric as well"
            )
        })
    }

    /// Returns the warning for the user about a line in which the objective has a value that is no
    /// number.
    pub(crate) fn no_number(&self, line: &str) -> Option<String> {
        record::has_no_number(line, &self.objective).then(|| {
            format!(
                "the value of `{}` is no number in the line `{}`; print a number, as in {{\"{}\": 0.21}}",
                self.objective,
                beginning(line.trim()),
                self.objective
            )
        })
    }

    /// Returns the warning for the user about a hint.
    pub(crate) fn words(&self, hint: &Hint) -> String {
        format!(
            "`{}` is not read from the line `{}`; {}",
            self.objective,
            beginning(&hint.line),
            self.remedy(hint)
        )
    }

    /// Returns what reads the objective.
    pub(crate) fn remedy(&self, hint: &Hint) -> String {
        let objective = &self.objective;
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let plain = objective
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_');
        let name = if plain {
            objective.clone()
        } else {
            quoted(objective)
        };
        format!(
            "add to the sweep file: metric_patterns: {{{name}: {}}}",
            quoted(&hint.pattern)
        )
    }
}

/// Returns the pattern of a row in which the objective is a number, most other cells are, and some
/// are not, as fastai's `00:07`.
fn row_with_words(cells: &[&str], count: usize, place: usize) -> Option<String> {
    let is_number = |cell: &&&str| cell.parse::<f64>().is_ok();
    let numbers = cells.iter().filter(is_number).count();
    let is_row = cells.len() == count
        && (numbers..2 * numbers).contains(&count)
        && numbers < count
        && cells.get(place).is_some_and(|cell| is_number(&cell));
    let part = |(index, cell): (usize, &&str)| match cell {
        _ if index == place => NUMBER.to_owned(),
        cell if cell.parse::<f64>().is_ok() => r"[-+.\deE]+".to_owned(),
        cell if cell.contains(|character: char| character.is_ascii_digit()) => {
            r"\S*\d\S*".to_owned()
        }
        _ => r"\S+".to_owned(),
    };
    let parts: Vec<_> = cells.iter().enumerate().map(part).collect();
    is_row.then(|| format!(r"^\s*{}\s*$", parts.join(r"\s+")))
}

/// The part of a line that is quoted in a warning.
fn beginning(line: &str) -> String {
    line.chars().take(QUOTED_CHARACTERS_MAX).collect()
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    WORD.find_iter(name)
        .map(|word| word.as_str().to_lowercase())
        .collect()
}

/// Returns whether a name is the objective's within another one: `metrics.val_loss`.
pub(crate) fn is_nested(name: &str, objective: &str) -> bool {
    name.strip_suffix(objective)
        .is_some_and(|outer| outer.ends_with(['.', '/']))
}

/// Whether a word of the output means a word of the objective: `validation` and `val`.
fn means(found: &str, word: &str) -> bool {
    let (short, long) = if found.len() < word.len() {
        (found, word)
    } else {
        (word, found)
    };
    found == word || short.chars().count() >= PREFIX_CHARACTERS_MIN && long.starts_with(short)
}

/// A separator as an expression: any white space matches any other.
fn escaped(separator: &str) -> String {
    let mut pattern = String::new();
    for (index, part) in separator.split(char::is_whitespace).enumerate() {
        if index > 0 && !pattern.ends_with(r"\s*") {
            pattern.push_str(r"\s*");
        }
        pattern.push_str(&regex::escape(part));
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(objective: &str, lines: &[&str]) -> Option<f64> {
        let mut hints = Hints::new(objective);
        let hint = lines.iter().find_map(|line| hints.find(line))?;
        let regex = Regex::new(&hint.pattern).unwrap();
        Some(
            regex
                .captures(&hint.line)
                .unwrap_or_else(|| panic!("{hint:?}"))[1]
                .parse()
                .unwrap(),
        )
    }

    #[test]
    fn a_line_that_shows_the_objective_is_found_with_a_pattern_that_reads_it() {
        for line in [
            "epoch 3 val_loss: 0.25",
            "val_loss=0.25",
            "Validation loss: 0.25 (best)",
            "Epoch 3 | Val Loss 0.25 | acc 0.9",
            "'val_loss': '0.25'",
            "│ val_loss │ 0.25 │",
            "\u{1b}[32mval_loss\u{1b}[0m: 0.25",
            "step 3: val-loss is 0.25",
            "[3]\tvalid_loss: 0.25",
            "[val_loss] 0.25",
            "(val_loss): 0.25",
            "Epoch [1/4] | Val. loss: 0.25",
            "val_loss -> 0.25",
            "OrderedDict([('step', 0), ('val_loss', 0.25)])",
        ] {
            assert_eq!(value("val_loss", &[line]), Some(0.25), "{line}");
        }
        assert_eq!(value("eval/loss", &["eval_loss = -1e-3"]), Some(-1e-3));
        assert_eq!(value("accuracy", &["acc: .91"]), Some(0.91));
        assert_eq!(
            value(
                "validation-rmse",
                &["[0]\ttrain-rmse:0.5\tvalidation-rmse:0.4"]
            ),
            Some(0.4)
        );
    }

    #[test]
    fn a_table_is_read_below_its_heading() {
        let table = [
            "| epoch | val_loss |",
            "|-------|----------|",
            "| 1     | 0.25     |",
        ];
        assert_eq!(value("val_loss", &table), Some(0.25));
        assert_eq!(
            value("epoch", &["┃ epoch ┃ val_loss ┃", "│ 3     │ 0.25     │"]),
            Some(3.0)
        );
        let fastai = [
            "epoch     train_loss  valid_loss  accuracy  time",
            "0         3.500000    0.900000    0.500000  00:07",
        ];
        assert_eq!(value("valid_loss", &fastai), Some(0.9));
        assert_eq!(value("accuracy", &fastai), Some(0.5));
        let prose = ["the loss and others", "we have 3 of 4"];
        assert_eq!(value("loss", &prose), None);
    }

    #[test]
    fn a_table_without_borders_is_read_below_its_heading() {
        assert_eq!(
            value(
                "val_loss",
                &[
                    "  epoch    val_loss",
                    "-------  ----------",
                    "      0        0.25"
                ]
            ),
            Some(0.25)
        );
        assert_eq!(
            value(
                "val_loss",
                &["   epoch  val_loss  acc", "0      0      0.25  0.5"]
            ),
            Some(0.25),
            "a data frame"
        );
        assert_eq!(
            value(
                "val_loss",
                &["  epoch    val_loss", "done", "      0        0.25"]
            ),
            None
        );
        assert_eq!(
            value("val_loss", &["watching val_loss", "3 epochs", "1 2 3 4"]),
            None
        );
        let csv = ["epoch,val_loss,acc", "0,0.25,0.5"];
        assert_eq!(value("val_loss", &csv), Some(0.25));
        assert_eq!(value("val_loss", &["epoch,val_loss", "0,0.25,0.5"]), None);
    }

    #[test]
    fn other_metrics_and_words_are_no_hints() {
        for line in [
            "train_loss: 0.25",
            "val_loss improved from 0.5 to 0.25",
            "val_loss",
            "val_loss: nan",
            "val_loss: 0,9",
            "the loss: 0.25",
            "val_loss_best: 0.25",
            "validate 3 losses",
            "wandb: val_loss 0.25",
            "",
        ] {
            assert_eq!(value("val_loss", &[line]), None, "{line}");
        }
        assert_eq!(value("loss", &["val_loss: 0.25"]), None);
        assert_eq!(value("", &["loss: 0.25"]), None);
    }

    #[test]
    fn an_mlflow_server_of_the_users_own_is_named() {
        let hints = Hints::new("loss");
        let line = |server: &str| {
            format!("🏃 View run gifted-cow-7 at: {server}/#/experiments/0/runs/2f0b")
        };
        let words = hints.elsewhere(&line("http://127.0.0.1:5099")).unwrap();
        assert!(words.starts_with("the program logs to the MLflow server at http://127.0.0.1:5099, which is not read: leave"), "{words}");
        assert_eq!(
            hints.elsewhere(&line(
                "http://127.0.0.1:4711/0123456789abcdef0123456789abcdef"
            )),
            None,
            "it is the agent's"
        );
    }

    #[test]
    fn the_remedy_can_be_pasted_into_the_sweep_file() {
        let mut hints = Hints::new("val/loss");
        let hint = hints.find("Val loss: 0.25").unwrap();
        let words = hints.words(&hint);
        assert!(
            words.starts_with(
                "`val/loss` is not read from the line `Val loss: 0.25`; add to the sweep file: metric_patterns: {'val/loss': '"
            ),
            "{words}"
        );
    }
}
