//! The picture: a model in, a frame out.

mod look;
mod overview;
mod run;
mod runs;

use console::measure_text_width;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

pub(crate) use self::look::DrawOptions;
use self::look::cut;
use super::model::{View, WatchModel};
use crate::display::printable;

const HELP: [&str; 18] = [
    "1 2 3 4, Tab   overview, runs, run, output",
    "Enter          one step down: sweep, run, output",
    "q, Esc         one step up; in the overview, leave",
    "Ctrl-C         leave at once",
    "j k, arrows    move; PgUp PgDn by a page; g G to the ends",
    "",
    "p              pause or resume the sweep",
    "r              run a failed run again",
    "c              cancel a run",
    "               each is asked once: y is yes",
    "",
    "in the runs    f  next filter: all, open, finished, stopped, …",
    "               s  order by number, state, value, end",
    "               S  the other way round",
    "in the output  f  follow",
    "               /  search; n N next and previous",
    "",
    "any key closes this",
];

/// How much there is of what is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fit {
    /// Lines between header and footer.
    pub(crate) page: usize,
    /// The furthest that one can scroll.
    pub(crate) last: usize,
}

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &WatchModel, look: DrawOptions) -> Fit {
    let [top, body, bottom] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(
        Paragraph::new(header(model, look, usize::from(top.width))),
        top,
    );
    let mut fit = Fit {
        page: usize::from(body.height),
        last: 0,
    };
    let width = usize::from(body.width);
    match model.view {
        View::Overview => {
            fit.last = scrolled(
                frame,
                body,
                overview::lines(model, look, width),
                model.scroll,
            );
        }
        View::Run => fit.last = scrolled(frame, body, run::lines(model, look, width), model.scroll),
        View::Runs => {
            frame.render_widget(
                Paragraph::new(runs::lines(model, look, width, fit.page)),
                body,
            );
            // The first line names the columns.
            fit.page = fit.page.saturating_sub(1);
        }
        View::Log => {
            frame.render_widget(
                Paragraph::new(run::output(model, look, width, fit.page)),
                body,
            );
            fit.page = fit.page.saturating_sub(1);
        }
    }
    if model.help {
        help(frame, body);
    }
    frame.render_widget(
        Paragraph::new(footer(model, look, usize::from(bottom.width))),
        bottom,
    );
    fit
}

fn scrolled(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, scroll: usize) -> usize {
    let last = lines.len().saturating_sub(usize::from(area.height));
    let shown: Vec<_> = lines
        .into_iter()
        .skip(scroll.min(last))
        .take(usize::from(area.height))
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
    last
}

fn header(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let sweep = &model.sweep;
    let name = if sweep.name.is_empty() {
        String::new()
    } else {
        format!(" {}", printable(&sweep.name))
    };
    let reason = if sweep.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&sweep.reason))
    };
    // The state has its place however long the name is.
    let name = cut(
        &format!("sweep {}{name}", sweep.id),
        width.saturating_sub(sweep.state.len() + 2),
    );
    let room = width.saturating_sub(measure_text_width(&name) + 2);
    let state = Span::styled(
        cut(&format!("{}{reason}", sweep.state), room),
        look.state(&sweep.state),
    );
    let first = Line::from(vec![
        Span::styled(name, look.head()),
        Span::raw("  "),
        state,
    ]);
    let run = model
        .chosen
        .map(|run| format!(" {run}"))
        .unwrap_or_default();
    let titles = [
        "1 overview".to_owned(),
        format!("2 runs ({})", model.filter.word()),
        format!("3 run{run}"),
        "4 output".to_owned(),
    ];
    let mut tabs = Vec::new();
    for (view, title) in View::ALL.into_iter().zip(titles) {
        let style = if view == model.view {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        tabs.extend([Span::styled(format!(" {title} "), style), Span::raw(" ")]);
    }
    vec![first, Line::from(tabs)]
}

fn footer(model: &WatchModel, look: DrawOptions, width: usize) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::REVERSED);
    if let Some(deed) = &model.asking {
        return Line::styled(cut(&format!(" y/n  {}", deed.question()), width), strong);
    }
    if model.log.typing {
        return Line::raw(cut(&format!("/{}_", printable(&model.log.search)), width));
    }
    if let Some(reason) = &model.lost {
        return Line::styled(
            cut(
                &format!("waiting for the controller … ({})", printable(reason)),
                width,
            ),
            strong,
        );
    }
    if !model.said.is_empty() {
        return Line::styled(
            cut(&printable(&model.said), width),
            look.color(Color::Yellow),
        );
    }
    let keys = match model.view {
        View::Overview => "q leave  ? help  Enter runs  p pause  j/k move",
        View::Runs => "q back  ? help  Enter open  f filter  s sort  S turn  r retry  c cancel",
        View::Run => "q back  ? help  Enter output  r retry  c cancel  j/k move",
        View::Log => "q back  ? help  / search  n N next  f follow  j/k move",
    };
    Line::styled(cut(keys, width), Style::new().add_modifier(Modifier::DIM))
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Clear, area);
    let width = usize::from(area.width);
    let lines: Vec<_> = HELP
        .iter()
        .map(|line| Line::raw(cut(line, width)))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests;
