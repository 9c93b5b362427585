//! How text is drawn: colours, emphasis and width.

use console::{measure_text_width, truncate_str};
use ratatui::style::{Color, Modifier, Style};

/// The settings of a picture besides the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrawOptions {
    pub(crate) color: bool,
    pub(crate) now_ms: i64,
}

impl DrawOptions {
    pub(super) fn color(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    /// The colour of a state of a sweep, run or agent.
    pub(super) fn state(self, state: &str) -> Style {
        match state {
            "running" | "ok" => self.color(Color::Green),
            "finished" => self.color(Color::Cyan),
            "failed" | "quarantined" | "lost" => self.color(Color::Red),
            "queued" | "assigned" => Style::new(),
            _ => self.color(Color::Yellow),
        }
    }

    pub(super) fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Cuts text to a width, with an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    truncate_str(text, width, "…").into_owned()
}

/// Fills text up to a width, or cuts it.
pub(super) fn cell(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let missing = width.saturating_sub(measure_text_width(&text));
    text + &" ".repeat(missing)
}
