//! Calls of W&B's library that always fail here, and what to do instead.

/// The line that Python prints before the frames of an error; in notebooks without a colon, behind
/// the name of the error.
const TRACEBACK: &str = "Traceback (most recent call last)";
/// Frames of W&B's library: the file, after the folder in which it is installed, and the function.
const FRAMES: [(&str, &str, Call); 3] = [
    ("wandb/sdk/wandb_sweep.py", ", in sweep", Call::Sweep),
    ("wandb/wandb_agent.py", ", in agent", Call::Sweep),
    ("wandb/sdk/wandb_init.py", ", in init", Call::Init),
];

/// A call of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// `wandb.sweep` or `wandb.agent`.
    Sweep,
    /// `wandb.init`.
    Init,
}

/// A call that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedCall {
    /// The number of the line with the error.
    pub(super) line: u64,
    pub(super) kind: &'static str,
    pub(super) blame: &'static str,
    /// The call, the error, and the remedy.
    pub(super) text: String,
}

/// Reads output line by line.
#[derive(Debug, Default)]
pub(super) struct WandbCalls {
    count: u64,
    is_in_trace: bool,
    /// The outermost call in the trace.
    call: Option<Call>,
    found: Option<FailedCall>,
}

impl WandbCalls {
    /// Reads a line without escape codes.
    pub(super) fn push(&mut self, line: &str) {
        self.count += 1;
        // Launchers put the rank before each line.
        if line.trim_end().trim_end_matches(':').ends_with(TRACEBACK) {
            (self.is_in_trace, self.call) = (true, None);
            return;
        }
        if !self.is_in_trace {
            return;
        }
        if let Some((_, frame)) = line.split_once("File ") {
            let is_of = |(file, function, _): &&(&str, &str, Call)| {
                frame.contains(file) && frame.contains(function)
            };
            self.call = self
                .call
                .or(FRAMES.iter().find(is_of).map(|(.., call)| *call));
        } else if let Some(call) = self
            .call
            .filter(|_| line.contains("rror: ") && !line.starts_with([' ', '\t']))
        {
            self.found = call.failed(self.count, line.trim());
            self.is_in_trace = false;
        }
    }

    /// Returns the last call that has failed.
    pub(super) fn found(&self) -> Option<&FailedCall> {
        self.found.as_ref()
    }
}

impl Call {
    fn failed(self, line: u64, error: &str) -> Option<FailedCall> {
        // `wandb.errors.errors.UsageError: …`, behind a rank or not.
        let error = error
            .find("wandb.errors.")
            .map_or(error, |start| &error[start..]);
        let error = error
            .strip_prefix("wandb.errors.errors.")
            .or(error.strip_prefix("wandb.errors."))
            .unwrap_or(error)
            .trim_end_matches('.');
        let has_no_key =
            error.contains("No API key configured") || error.contains("api_key not configured");
        let is_unreachable = ["CommError", "AuthenticationError", "Timed out"]
            .iter()
            .any(|word| error.contains(word));
        let (kind, blame, text) = match self {
            Self::Sweep => (
                "usage",
                "command_line",
                format!(
                    "the program starts a sweep of W&B (`wandb.sweep`, `wandb.agent`), which needs W&B's server ({error}). Here the sweep file \
                     has the parameters, and the program is started once for each run: copy the parameters into the sweep file, and put three \
                     lines before `wandb.sweep`, where `main` is the function that `wandb.agent` calls: `import os, sys`, \
                     `if \"SWEEP_RUN\" in os.environ:`, `    main(); sys.exit()`. With the Python module, `python -m sweep.wandb` \
                     executes the program as it is"
                ),
            ),
            // It fails with all parameters, on every machine without a login.
            Self::Init if has_no_key => (
                "usage",
                "command_line",
                "the program logs to W&B online, and this machine has no API key: run `wandb login` or set WANDB_API_KEY; without `mode=\"online\"` \
                 in the program the run stays on this machine and is read as well"
                    .to_owned(),
            ),
            Self::Init if is_unreachable => (
                "crashed",
                "machine",
                format!(
                    "the program logs to W&B online, and the server cannot be used from this machine ({error}); without `mode=\"online\"` in the \
                     program, and with WANDB_MODE=offline, the run stays on this machine and is read as well"
                ),
            ),
            Self::Init => return None,
        };
        Some(FailedCall {
            line,
            kind,
            blame,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(output: &str) -> Option<FailedCall> {
        let mut reader = WandbCalls::default();
        output.lines().for_each(|line| reader.push(line));
        reader.found().cloned()
    }

    fn trace(frames: &[&str], error: &str) -> String {
        let frames: String = frames
            .iter()
            .map(|frame| format!("  File \"/venv/site-packages/{frame}\n    call()\n"))
            .collect();
        format!(
            "{TRACEBACK}:\n  File \"/home/me/train.py\", line 9, in <module>\n    call()\n    ^^^^^^\n{frames}{error}\n"
        )
    }

    const NO_KEY: &str =
        "wandb.errors.errors.UsageError: No API key configured. Use `wandb login` to log in.";

    #[test]
    fn a_sweep_of_the_programs_own_is_named_with_the_lines_that_replace_it() {
        for frame in [
            "wandb/sdk/wandb_sweep.py\", line 79, in sweep",
            "wandb/wandb_agent.py\", line 821, in agent",
        ] {
            let error = found(&trace(
                &[frame, "wandb/sdk/wandb_login.py\", line 209, in _login"],
                NO_KEY,
            ))
            .unwrap();
            assert_eq!((error.kind, error.blame), ("usage", "command_line"));
            for part in [
                "UsageError: No API key",
                "`if \"SWEEP_RUN\" in os.environ:`",
                "`    main(); sys.exit()`",
                "into the sweep file",
                "`python -m sweep.wandb`",
            ] {
                assert!(error.text.contains(part), "{}", error.text);
            }
        }
    }

    #[test]
    fn traces_of_notebooks_are_read() {
        let output = "nbclient.exceptions.CellExecutionError: An error occurred while executing the following cell:\n------------------\n\
                      UsageError                                Traceback (most recent call last)\nCell In[1], line 9\n      7 x = 1\n\
                      ----> 9 sweep_id = wandb.sweep(sweep=config)\n\nFile /venv/site-packages/wandb/sdk/wandb_sweep.py:79, in sweep(sweep, entity)\n     \
                      78 \"\"\"Error: x\"\"\"\n---> 79 wandb_login._login(_silent=True)\n\nUsageError: No API key configured. Use `wandb login` to log in.\n";
        assert!(found(output).is_some_and(|call| call.kind == "usage"));
    }

    #[test]
    fn online_runs_without_a_key_or_a_network_do_not_blame_the_configuration() {
        let init = "wandb/sdk/wandb_init.py\", line 1464, in init";
        let error = found(&trace(&[init], NO_KEY)).unwrap();
        assert!(
            error.kind == "usage" && error.text.contains("wandb login"),
            "{error:?}"
        );
        let comm = "wandb.errors.errors.CommError: Timed out while retrying: Post \"https://api.wandb.ai/graphql\": dial tcp\nConsider increasing";
        let error = found(&trace(&[init], comm)).unwrap();
        assert!(
            error.blame == "machine" && error.text.contains("(CommError: Timed out"),
            "{error:?}"
        );
    }

    #[test]
    fn other_errors_are_the_programs() {
        assert_eq!(
            found(&trace(
                &["wandb/sdk/wandb_init.py\", line 9, in init"],
                "wandb.errors.errors.UsageError: Invalid name"
            )),
            None
        );
        assert_eq!(
            found(&trace(
                &["wandb/sdk/wandb_run.py\", line 9, in log"],
                "ValueError: x"
            )),
            None
        );
        assert_eq!(found(NO_KEY), None);
    }
}
