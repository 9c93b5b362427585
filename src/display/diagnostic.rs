//! Sweep files: reading them, and showing what is wrong with them.

use std::io::Read as _;
use std::path::Path;

use anyhow::Result;
use sweep_lifecycle::spec::{self, Diagnostic, Goal, Method, Severity, SweepSpec};

use crate::failure::CommandError;

/// A sweep file is refused beyond 1 MiB; this much is read to find out.
const BYTES_MAX: u64 = (1 << 20) + 1;

/// Reads a file, or standard input for `-`, no further than a sweep file may be long.
pub(crate) fn read(file: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let outcome = if file == "-" {
        std::io::stdin()
            .lock()
            .take(BYTES_MAX)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(BYTES_MAX).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| CommandError::input(format!("cannot read {}: {error}", name(file))))?;
    let text = String::from_utf8(bytes).or_else(|error| {
        // The limit may have cut a character in two.
        let cut =
            error.utf8_error().error_len().is_none() && error.as_bytes().len() as u64 == BYTES_MAX;
        if cut {
            Ok(String::from_utf8_lossy(error.as_bytes()).into_owned())
        } else {
            Err(error)
        }
    });
    let text = text.map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        CommandError::input(format!(
            "{} is not UTF-8: byte {offset} is not text",
            name(file)
        ))
        .hint("save it as UTF-8")
    })?;
    if let Some(hint) = program_hint(file, &text) {
        return Err(
            CommandError::input(format!("{} is a program, not a sweep file", name(file)))
                .hint(hint)
                .into(),
        );
    }
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// Returns what to do with a Python program that is given in place of a sweep file; `None`: it is none.
fn program_hint(file: &str, text: &str) -> Option<String> {
    let path = Path::new(file);
    let program = path.file_name()?.to_str()?;
    let hint = match path.extension()?.to_str()? {
        "py" => format!(
            "write a sweep file beside it:\n  program: {program}\n  method: random\n  metric: {{name: val_loss, goal: minimize}}\n  \
             parameters: {{lr: {{min: 0.0001, max: 0.1}}}}"
        ),
        "ipynb" => format!(
            "make a script of it (`jupyter nbconvert --to script {program}`), and write a sweep file with `program`, `method`, `metric` and `parameters`"
        ),
        _ => return None,
    };
    let own_sweep = ["wandb.sweep(", "wandb.agent("]
        .iter()
        .any(|call| text.contains(call));
    let lines = "\nand before `wandb.sweep`, with the function that `wandb.agent` calls in place of `main`:\n  import os, sys\n  \
                 if \"SWEEP_RUN\" in os.environ:\n      main(); sys.exit()";
    Some(if own_sweep {
        format!(
            "with the Python module of sweep it runs as it is: `python -m sweep.wandb {program}`. Without the module, {hint}{lines}"
        )
    } else {
        hint
    })
}

/// Returns the name of a file in messages.
fn name(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

/// Parses a sweep file, printing warnings and mistakes to standard error.
pub(crate) fn parse(file: &str, text: &str) -> Result<SweepSpec> {
    let (spec, diagnostics) = spec::parse(text);
    print(&diagnostics, file, text);
    spec.ok_or_else(|| {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count();
        let mistakes = if errors == 1 {
            "a mistake".to_owned()
        } else {
            format!("{errors} mistakes")
        };
        CommandError::input(format!("{} has {mistakes}; nothing was done", name(file))).into()
    })
}

/// Prints diagnostics to standard error.
pub(crate) fn print(diagnostics: &[Diagnostic], file: &str, text: &str) {
    if !diagnostics.is_empty() {
        say!(
            "{}\n",
            spec::render(
                diagnostics,
                name(file),
                text,
                console::colors_enabled_stderr()
            )
        );
    }
}

/// Returns one line about a sweep file that is good.
pub(crate) fn summary(spec: &SweepSpec) -> String {
    let method = match spec.method {
        Method::Grid => "grid",
        Method::Random => "random",
        Method::Bayes => "bayes",
        Method::External => "external",
    };
    let count = spec.space.parameters().len();
    let mut parts = vec![format!(
        "{method} over {count} {}",
        if count == 1 {
            "parameter"
        } else {
            "parameters"
        }
    )];
    match spec.space.size() {
        // The count saturates.
        Some(u128::MAX) => parts.push("more than 10^38 points".to_owned()),
        Some(size) => parts.push(format!(
            "{size} {}",
            if size == 1 { "point" } else { "points" }
        )),
        None => {}
    }
    if let Some(cap) = spec.run_cap {
        parts.push(format!("at most {cap} runs"));
    }
    if let Some(objective) = &spec.objective {
        let goal = match objective.goal {
            Goal::Minimize => "minimize",
            Goal::Maximize => "maximize",
        };
        parts.push(format!("{goal} {}", objective.metric));
    }
    parts.join(", ")
}
