//! Recognises that a program has refused its command line: argparse, click, typer, tyro, absl,
//! fire, jsonargparse, Hydra, clap, getopt and others.

use super::screen::{HYDRA_END, is_box_border, is_noise, without_box};

/// A `usage:` line further back than this many lines belongs to something else.
const USAGE_LINES: u64 = 300;
/// The lines behind an error in which `Usage:` or a hint at `--help` has to follow.
const FOLLOW_LINES: u64 = 12;
/// The lines of an error of Hydra.
const HYDRA_LINES: u64 = 60;
/// The prefix of Hydra's message that the program failed, not its configuration.
const HYDRA_JOB: &str = "Error executing job with overrides";
/// Prefixes of Hydra's errors about overrides.
const HYDRA_HEADS: [&str; 17] = [
    "Ambiguous value for argument",
    "Could not append to config",
    "Could not delete from config",
    "Could not find '",
    "Could not override '",
    "Error loading config",
    "Error merging override",
    "Error parsing override '",
    "In '",
    "Key '",
    "LexerNoViableAltException: ",
    "Multiple values for ",
    "Value '",
    "You must specify '",
    "mismatched input",
    "no viable alternative",
    "token recognition error",
];
/// Titles of rich's boxes that hold a usage error.
const BOX_TITLES: [&str; 6] = [
    "error",
    "invalid",
    "missing",
    "parsing",
    "required",
    "unrecognized",
];
/// Lines of a box that are told.
const BOX_LINES_MAX: usize = 8;
/// Texts that need no further evidence.
const ANYWHERE: [&str; 6] = [
    ": illegal option -- ",
    ": unrecognized option '",
    ": invalid option -- '",
    "flag provided but not defined: ",
    "are not used by the HfArgumentParser",
    "ERROR: Could not consume arg: ",
];

/// An error about the command line, as the output names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsageError {
    /// The number of its line.
    pub(super) line: u64,
    /// The error in one line, with a remedy where one is known.
    pub(super) text: String,
}

/// Reads output line by line.
#[derive(Debug, Default)]
pub(super) struct UsageReader {
    count: u64,
    /// The last line that begins with `usage:`, and whether it is Hydra's.
    usage: Option<u64>,
    is_hydras: bool,
    /// An error that counts once `Usage:` or a hint at `--help` follows.
    pending: Option<UsageError>,
    open: Open,
    /// An error of Hydra, of which the end has not come.
    hydra: Option<(u64, Vec<String>)>,
    /// The last line that is not indented.
    before: Option<String>,
    /// The last line that says that the program of Hydra has failed.
    hydra_job: Option<u64>,
    found: Option<UsageError>,
}

/// The kind of message that the following lines belong to.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    /// A box that holds an error.
    Box(Vec<String>),
    /// The error follows the line that announces it.
    Announced,
}

impl UsageReader {
    /// Reads a line without escape codes.
    pub(super) fn push(&mut self, line: &str) {
        self.count += 1;
        let text = line.trim();
        match std::mem::take(&mut self.open) {
            Open::Box(lines) => return self.read_box(lines, text),
            Open::Announced if text.is_empty() => {
                self.open = Open::Announced;
                return;
            }
            Open::Announced => return self.find(text),
            Open::Nothing => {}
        }
        if line.starts_with(['╭', '┌']) {
            let title = text.to_lowercase();
            let is_error =
                !title.contains("traceback") && BOX_TITLES.iter().any(|word| title.contains(word));
            if is_error {
                self.open = Open::Box(Vec::new());
            }
            return;
        }
        self.read_hydra(line, text);
        let lower = text.get(..6).unwrap_or_default().to_ascii_lowercase();
        if lower == "usage:" || text.starts_with("Usage of ") {
            self.usage = Some(self.count);
            self.is_hydras = false;
        }
        self.is_hydras |= text.contains("[--hydra-help]");
        let asks_for_help = text.contains("try '--help'") || text.contains("--help' for ");
        let is_near = |error: &UsageError| self.count - error.line <= FOLLOW_LINES;
        if (lower == "usage:" || asks_for_help)
            && let Some(pending) = self.pending.take().filter(is_near)
        {
            self.found = Some(pending);
        }
        self.read_error(text);
    }

    fn read_error(&mut self, text: &str) {
        let has_usage = self
            .usage
            .is_some_and(|usage| self.count - usage <= USAGE_LINES);
        // `train.py: error: unrecognized arguments: --x=1`
        let of_program = text
            .split_once(": error: ")
            .filter(|(program, _)| !program.contains(char::is_whitespace))
            .map(|(_, error)| error);
        let plain = ["Error: ", "error: ", "ERROR: "]
            .iter()
            .find_map(|before| text.strip_prefix(before));
        if let Some(rest) = text.strip_prefix("FATAL Flags parsing error:") {
            if rest.trim().is_empty() {
                self.open = Open::Announced;
            } else {
                self.find(rest.trim());
            }
        } else if ANYWHERE.iter().any(|words| text.contains(words)) {
            self.find(plain.unwrap_or(text));
        } else if let Some(error) = of_program.or(plain) {
            if has_usage {
                self.find(error);
            } else {
                self.pending = Some(UsageError {
                    line: self.count,
                    text: self.with_remedy(error),
                });
            }
        }
    }

    fn read_box(&mut self, mut lines: Vec<String>, text: &str) {
        let content = without_box(text);
        if text.starts_with(['╰', '└']) || !text.starts_with('│') {
            if !lines.is_empty() {
                self.find(lines.join(" ").trim());
            }
        } else {
            // What follows a rule is advice.
            let is_over = lines.last().is_some_and(String::is_empty);
            if !is_over && is_border_or_blank(content) && !lines.is_empty() {
                lines.push(String::new());
            } else if !is_over && !content.is_empty() && lines.len() < BOX_LINES_MAX {
                lines.push(content.to_owned());
            }
            self.open = Open::Box(lines);
        }
    }

    fn read_hydra(&mut self, line: &str, text: &str) {
        if text.starts_with(HYDRA_JOB) {
            self.hydra_job = Some(self.count);
        }
        if text.starts_with(HYDRA_END) {
            let is_near = |line: u64| self.count - line <= HYDRA_LINES;
            let of_program = self.hydra_job.take().is_some_and(is_near);
            let known = self.hydra.take().filter(|(line, _)| is_near(*line));
            // One that is not known is named by its last line.
            let lines = known
                .map(|(_, lines)| lines)
                .or_else(|| Some(vec![self.before.take()?]));
            if let Some(lines) = lines.filter(|_| !of_program) {
                self.is_hydras = lines
                    .iter()
                    .any(|line| HYDRA_GRAMMAR.iter().any(|words| line.contains(words)));
                self.find(&lines.join("; "));
            }
            return;
        }
        if !line.starts_with([' ', '\t']) && !is_noise(line) {
            self.before = Some(text.to_owned());
        }
        let is_head = HYDRA_HEADS.iter().any(|head| line.starts_with(head))
            || line.starts_with("extraneous input");
        let count = self.count;
        // Its details: indented lines show where, and others say more.
        let is_detail =
            !text.is_empty() && !line.starts_with([' ', '\t']) && !text.starts_with("See https://");
        match &mut self.hydra {
            Some((begin, lines))
                if is_detail
                    && count - *begin == lines.len() as u64
                    && lines.len() < HYDRA_DETAILS =>
            {
                lines.push(text.trim_end_matches('.').to_owned());
            }
            Some((begin, _)) if count - *begin <= HYDRA_LINES => {}
            hydra if is_head => *hydra = Some((count, vec![text.trim_end_matches('.').to_owned()])),
            _ => {}
        }
    }

    fn find(&mut self, error: &str) {
        self.found = Some(UsageError {
            line: self.count,
            text: self.with_remedy(error),
        });
        self.pending = None;
    }

    fn with_remedy(&self, error: &str) -> String {
        let takes_no_value = TAKES_NO_VALUE.iter().any(|words| error.contains(words));
        // argparse names an option that has a negative with it, and no other: `argument
        // --amp/--no-amp: ignored explicit argument`.
        let has_no_negative =
            error.contains("ignored explicit argument") && !error.contains("/--no-");
        let is_unknown_negative = NOT_KNOWN.iter().any(|words| {
            error
                .find(words)
                .is_some_and(|at| error[at..].contains("--no-"))
        });
        let remedy = if has_no_negative || is_unknown_negative {
            "; `${args_no_boolean_flags}` in `command` passes `--x` for true and nothing for false: the program's default applies then"
        } else if takes_no_value {
            "; `${args_flags}` in `command` passes booleans as `--x` and `--no-x`"
        } else if self.is_hydras {
            "; `${args_hydra}` in `command` passes parameters as Hydra reads them"
        } else {
            ""
        };
        let error = if remedy.is_empty() {
            error
        } else {
            error.trim_end_matches('.')
        };
        format!("{error}{remedy}")
    }

    /// Returns the last error about the command line. `exits_so`: the program has ended with the
    /// exit status that parsers of command lines use, so that an error without `usage:` beside it
    /// counts.
    pub(super) fn found(&self, exits_so: bool) -> Option<&UsageError> {
        self.found
            .as_ref()
            .or(self.pending.as_ref().filter(|_| exits_so))
    }
}

/// Messages of parsers about a value behind an option that is a flag.
const TAKES_NO_VALUE: [&str; 4] = [
    "does not take a value",
    "ignored explicit argument",
    "Unrecognized options: True",
    "Unrecognized options: False",
];
/// How parsers report an option they do not know.
const NOT_KNOWN: [&str; 3] = ["unrecognized arguments", "No such option", "no such option"];
/// Lines of an error of Hydra that are told.
const HYDRA_DETAILS: usize = 3;
/// Messages of Hydra about a value that it cannot read.
const HYDRA_GRAMMAR: [&str; 7] = [
    "Ambiguous value",
    "Error parsing override",
    "LexerNoViableAlt",
    "mismatched input",
    "extraneous input",
    "token recognition",
    "no viable alternative",
];

fn is_border_or_blank(content: &str) -> bool {
    content.is_empty() || is_box_border(content) || is_noise(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(output: &str) -> Option<String> {
        let mut reader = UsageReader::default();
        output.lines().for_each(|line| reader.push(line));
        reader.found(false).map(|error| error.text.clone())
    }

    #[test]
    fn each_parser_of_command_lines_is_understood() {
        for (output, error) in [
            (
                "usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --nope=3\n",
                "unrecognized arguments: --nope=3",
            ),
            (
                "Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n\nError: No such option '--nope'. (Did you mean '--n'?)\n",
                "No such option '--nope'. (Did you mean '--n'?)",
            ),
            (
                "Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n╭─ Error ─────────────╮\n│ Invalid value for '--lr': Input should be a │\n\
                 │ valid number                                │\n╰─────────────────────╯\n",
                "Invalid value for '--lr': Input should be a valid number",
            ),
            (
                "╭─ Unrecognized options ──────╮\n│ Unrecognized options: --nope=3 │\n│ ────────────────── │\n│ For full helptext, run train.py --help │\n╰─────╯\n",
                "Unrecognized options: --nope=3",
            ),
            (
                "FATAL Flags parsing error: flag --lr=abc: could not convert string to float: 'abc'\nPass --helpshort or --helpfull to see help on flags.\n",
                "flag --lr=abc: could not convert string to float: 'abc'",
            ),
            (
                "FATAL Flags parsing error:\n  Unknown command line flag 'nope'\n",
                "Unknown command line flag 'nope'",
            ),
            (
                "{\"val_loss\": 1.1}\nERROR: Could not consume arg: --nope=3\nUsage: train.py -\n",
                "Could not consume arg: --nope=3",
            ),
            (
                "usage: t [-h]\ntip: For details run: t fit --help\nerror: unrecognized arguments: --nope=1\n",
                "unrecognized arguments: --nope=1",
            ),
            (
                "error: unexpected argument '--nope' found\n\nUsage: train --lr <LR>\n\nFor more information, try '--help'.\n",
                "unexpected argument '--nope' found",
            ),
            (
                "Usage: t [OPTIONS]\n\nError: Option '--bn' does not take a value.\n",
                "Option '--bn' does not take a value; `${args_flags}` in `command` passes booleans as `--x` and `--no-x`",
            ),
            (
                "usage: t [-h] [--amp]\nt: error: argument --amp: ignored explicit argument 'False'\n",
                "argument --amp: ignored explicit argument 'False'; `${args_no_boolean_flags}` in `command` passes `--x` for true and nothing for false: the program's default applies then",
            ),
            (
                "usage: t [-h] [--amp | --no-amp]\nt: error: argument --amp/--no-amp: ignored explicit argument 'False'\n",
                "argument --amp/--no-amp: ignored explicit argument 'False'; `${args_flags}` in `command` passes booleans as `--x` and `--no-x`",
            ),
            (
                "usage: t [-h] [--amp]\nt: error: unrecognized arguments: --no-amp\n",
                "unrecognized arguments: --no-amp; `${args_no_boolean_flags}` in `command` passes `--x` for true and nothing for false: the program's default applies then",
            ),
            (
                "usage: train.py [--help] [--hydra-help]\n  [overrides ...]\ntrain.py: error: unrecognized arguments: --lr=1\n",
                "unrecognized arguments: --lr=1; `${args_hydra}` in `command` passes parameters as Hydra reads them",
            ),
            (
                "train.sh: illegal option -- x\n",
                "train.sh: illegal option -- x",
            ),
            (
                "flag provided but not defined: -nope\nUsage of train:\n",
                "flag provided but not defined: -nope",
            ),
        ] {
            assert_eq!(found(output).as_deref(), Some(error), "{output}");
        }
    }

    #[test]
    fn unlike_errors_of_hydra_are_unlike_causes() {
        let end = "\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n";
        let of = |text: &str| found(&format!("{text}{end}"));
        assert_eq!(
            of("Could not override 'nosuch'.\nTo append to your config use +nosuch=1\nKey 'nosuch' is not in struct\n    full_key: nosuch\n    object_type=dict\n")
                .as_deref(),
            Some("Could not override 'nosuch'; To append to your config use +nosuch=1; Key 'nosuch' is not in struct")
        );
        assert_eq!(
            of("In 'config': Could not find 'model/foo'\n\nAvailable options in 'model':\n\tresnet\n").as_deref(),
            Some("In 'config': Could not find 'model/foo'")
        );
        let parsing =
            of("Error parsing override 'lr=a:b{'\nextraneous input '{' expecting <EOF>\nSee https://hydra.cc/docs for details\n").unwrap();
        assert!(
            parsing.starts_with("Error parsing override 'lr=a:b{'; extraneous input '{' expecting <EOF>; `${args_hydra}`"),
            "{parsing}"
        );
        let unread =
            of("no viable alternative at input '{'lr''\nSee https://hydra.cc/docs for details\n")
                .unwrap();
        assert!(
            unread.starts_with("no viable alternative at input '{'lr''; `${args_hydra}`"),
            "{unread}"
        );
        assert_eq!(
            of("Something new of Hydra\n    detail\n").as_deref(),
            Some("Something new of Hydra")
        );
        let job = "Error executing job with overrides: ['lr=1']\nTraceback (most recent call last):\n  File \"t.py\", line 7, in main\nKey 'x'\n";
        assert_eq!(of(job), None, "the program's own");
    }

    #[test]
    fn an_error_without_usage_counts_with_the_exit_status_of_parsers() {
        let mut reader = UsageReader::default();
        reader.push("Error: Option '--use-bn' does not take a value.");
        assert_eq!(reader.found(false), None);
        assert!(
            reader
                .found(true)
                .is_some_and(|error| error.text.contains("${args_flags}"))
        );
    }

    #[test]
    fn a_program_that_talks_of_errors_is_no_usage_error() {
        for output in [
            "error: cannot read data.csv\n",
            "Error: CUDA is busy\nTraceback\n",
            "loss: 0.5\n",
            "╭─ Traceback (most recent call last) ─╮\n│ x │\n╰──╯\n",
        ] {
            assert_eq!(found(output), None, "{output}");
        }
    }
}
