//! The sweep file: text in, [`SweepSpec`] plus all diagnostics with their places out.
//!
//! ```text
//! text ─ yaml, scalar ─▶ Node ─ sweep_file ─▶ SweepSpec
//!                               ├ parameter, when
//!                               ├ metric, early_terminate, upkeep
//!                               └ lints
//! ```

mod axes;
mod changes;
mod command_line;
mod constraints;
mod data;
mod diagnostic;
mod early_terminate;
mod fields;
mod lints;
mod metric;
mod metric_files;
mod model;
mod parameter;
mod render;
mod scalar;
mod schema;
mod sweep_file;
mod understanding;
mod upkeep;
mod when;
mod yaml;

pub use axes::{ParameterAxis, axes, constants};
pub use changes::{changes, unexplained};
pub use diagnostic::{Diagnostic, Severity, Span};
pub use model::{
    Bound, CodeMode, CodePolicy, Constraint, DataSource, Impute, MetricPattern, Objective,
    OnLeaseLost, OverInits, Reduce, RetryPolicy, Summary, SweepSpec,
};
pub use parameter::was_mistake;
pub use render::render;
pub use schema::schema;
pub use understanding::{ParameterSummary, example_configuration, parameter_summaries};
// Readers of a spec need these two, without a dependency on the search.
pub use sweep_search::observation::Goal;
pub use sweep_search::suggest::Method;

/// Reads a sweep file. All mistakes are found at once; the spec is there exactly when none of the diagnostics is an error.
pub fn parse(text: &str) -> (Option<SweepSpec>, Vec<Diagnostic>) {
    let mut report = diagnostic::DiagnosticReport::default();
    let spec = yaml::read(text, &mut report).and_then(|root| sweep_file::read(&root, &mut report));
    (spec, report.into_sorted())
}

#[cfg(test)]
mod tests;
