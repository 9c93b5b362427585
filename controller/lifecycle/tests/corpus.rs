//! Sweep files of public repositories: those that W&B takes must be taken, real mistakes refused with their line.
//!
//! The corpus is not part of this repository; without it the test says so and passes.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads the corpus; the crate itself reads no files"
)]

use std::path::Path;

use sweep_lifecycle::spec::{Severity, parse};

#[test]
fn files_that_wandb_takes_are_taken_and_real_mistakes_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wandb-corpus");
    let Ok(index) = std::fs::read_to_string(corpus.join("INDEX.tsv")) else {
        eprintln!("SKIPPED: no corpus at {}", corpus.display());
        return;
    };
    let mut wrong = Vec::new();
    for row in index.lines().skip(1) {
        let columns: Vec<_> = row.split('\t').collect();
        let (file, verdict, note) = (
            columns[4],
            columns[5],
            columns.get(6).copied().unwrap_or_default(),
        );
        let text = std::fs::read_to_string(corpus.join(file))
            .expect("the index names files that are there");
        let (spec, diagnostics) = parse(&text);
        let errors: Vec<_> = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .collect();
        // W&B reads 1e-5 as text; here it is a number.
        let expected = verdict != "fatal" || note.contains("'1e-");
        if spec.is_some() != expected
            || (!expected && !errors.iter().all(|error| error.span.is_some()))
        {
            wrong.push(format!(
                "{file} ({verdict}): {}",
                errors
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
