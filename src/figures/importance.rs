//! Which parameters matter.

use maud::html;
use sweep_proto::v1::AnalyzeSweepResponse;

use super::canvas::{self, INK, PlotFrame, STRONG, WIDTH, fixed};
use super::scale::cut;
use super::{Picture, Subject};
use crate::display::printable;

/// The height of a bar with the space around it.
const ROW: f64 = 28.0;
/// Parameters beyond these are not drawn.
const ROWS_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 26;

/// Draws the share of each parameter in what is seen of the objective, with one standard deviation. `None`: too few results to say.
pub(crate) fn importance(
    subject: &Subject<'_>,
    analysis: &AnalyzeSweepResponse,
) -> Option<Picture> {
    if analysis.effects.is_empty() {
        return None;
    }
    let effects = &analysis.effects[..analysis.effects.len().min(ROWS_MAX)];
    let longest = effects
        .iter()
        .map(|effect| printable(&effect.parameter).chars().count())
        .max()
        .unwrap_or(0)
        .min(NAME_CHARS_MAX);
    let left = 28.0 + canvas::LETTER * 1.1 * longest as f64;
    let frame = PlotFrame {
        left,
        top: 12.0,
        width: WIDTH - left - 250.0,
        height: ROW * effects.len() as f64,
    };
    let widest = effects
        .iter()
        .map(|effect| effect.share + effect.share_deviation)
        .fold(0.05, f64::max);
    let across = |share: f64| frame.x((share / widest).clamp(0.0, 1.0));
    let caption = format!(
        "{}: how much each parameter matters for {}, by a model of {} runs",
        subject.title(),
        subject.sweep.metric,
        analysis.observations
    );
    let drawn = html! {
        @for (index, effect) in effects.iter().enumerate() {
            @let middle = frame.top + ROW * (index as f64 + 0.5);
            @let (low, high) = (across(effect.share - effect.share_deviation), across(effect.share + effect.share_deviation));
            @let direction = if effect.direction.is_empty() { String::new() } else { format!(" · {}", effect.direction) };
            @let words = format!("{:.0} ± {:.0} %{direction}", 100.0 * effect.share, 100.0 * effect.share_deviation);
            text x=(fixed(frame.left - 8.0)) y=(fixed(middle + 4.0)) text-anchor="end" { (cut(&printable(&effect.parameter), NAME_CHARS_MAX)) }
            rect x=(fixed(frame.left)) y=(fixed(middle - 9.0)) width=(fixed(across(effect.share) - frame.left)) height="18" fill=(STRONG) {}
            path d={ "M" (fixed(low)) " " (fixed(middle)) "H" (fixed(high)) "m0-4v8M" (fixed(low)) " " (fixed(middle - 4.0)) "v8" } stroke=(INK) fill="none" {}
            text x=(fixed(high + 10.0)) y=(fixed(middle + 4.0)) { (cut(&printable(&words), 40)) }
        }
        path d={ "M" (fixed(frame.left)) " " (fixed(frame.top)) "v" (fixed(frame.height)) } stroke=(INK) {}
    };
    Some(Picture {
        name: "importance",
        svg: canvas::document(frame.height + 24.0, &caption, &drawn),
        caption,
    })
}
