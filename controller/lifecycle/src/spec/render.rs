//! Diagnostics as people see them: cargo's look, with carets under the YAML.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity};

/// Renders diagnostics of a file, one block each. `name` is the file's name, `color` allows escape sequences.
pub fn render(diagnostics: &[Diagnostic], name: &str, text: &str, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let blocks: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| render_one(&renderer, diagnostic, name, text))
        .collect();
    blocks.join("\n\n")
}

fn render_one(renderer: &Renderer, diagnostic: &Diagnostic, name: &str, text: &str) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = printable(&diagnostic.message);
    let help = diagnostic.help.as_deref().map(printable);
    let Some(span) = diagnostic.span else {
        let name = printable(name);
        let group = level
            .primary_title(format!("{name}: {message}"))
            .elements(Vec::<annotate_snippets::Message<'_>>::new());
        let title = renderer.render(&[group]);
        // Under a snippet the renderer draws the help itself; without one it would hang it on an empty margin.
        return help.map_or_else(
            || title.clone(),
            |help| format!("{title}\n  = help: {help}"),
        );
    };
    let range = whole_characters(text, span.start, span.end);
    let snippet = Snippet::source(text)
        .path(name)
        .annotation(AnnotationKind::Primary.span(range));
    let mut group = level.primary_title(message).element(snippet);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// Keeps what a file says from steering the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            if char.is_control() {
                char.escape_default().collect::<Vec<_>>()
            } else {
                vec![char]
            }
        })
        .collect()
}

fn whole_characters(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let floor = |index: usize| {
        (0..=index.min(text.len()))
            .rev()
            .find(|index| text.is_char_boundary(*index))
            .unwrap_or(0)
    };
    let start = floor(start);
    start..floor(end).max(start)
}
