//! Text made safe for HTML, and the small pieces that all pages are made of.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use maud::{Markup, PreEscaped, Render, html};
use serde::Serialize;
use sweep_proto::format;

use crate::store::word;

/// Shows a text inside HTML, in an element or in a quoted attribute. Control characters and those that change the direction of
/// writing are shown by their number, so that a name cannot disguise itself.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{character}")?,
                '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}' => {
                    write!(f, "U+{:04X}", u32::from(character))?;
                }
                _ if character.is_control() => write!(f, "U+{:04X}", u32::from(character))?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

impl Render for Escaped<'_> {
    fn render_to(&self, buffer: &mut String) {
        use fmt::Write;
        // Writing to a string does not fail.
        let _ = write!(buffer, "{self}");
    }
}

/// The state of a sweep, a run or an attempt.
pub(super) fn state(state: impl Serialize) -> Markup {
    let state = word(state);
    html! { span class={ "state " (state) } { (state) } }
}

/// A moment: in words that the page's script turns into the reader's own time.
pub(super) fn moment(ms: i64, now_ms: i64) -> Markup {
    if ms == 0 {
        return html! {};
    }
    html! { time data-ms=(ms) { (age(now_ms - ms)) " ago" } }
}

/// Returns a count with what is counted, as people say it: `1 run`, `2 runs`.
pub(super) fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A length of time as people say it: `8.2 s`, `3 min 20 s`.
pub(super) fn duration(ms: i64) -> String {
    format::duration(Duration::from_millis(ms.max(0).unsigned_abs()))
}

/// Returns how long ago something was, in one unit: `12 s`, `13 min`, `4 h`, `6 d`.
fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A number with up to five significant digits.
pub(super) fn number(value: f64) -> String {
    format::significant(value, 5)
}

/// A parameter's value as people write it.
pub(super) fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(float) if float.is_f64() => {
            float.as_f64().map_or_else(|| float.to_string(), number)
        }
        other => other.to_string(),
    }
}

/// The frame around the content of a page.
#[derive(Default)]
pub(super) struct PageFrame<'a> {
    pub(super) title: &'a str,
    /// The subject of the page: when it changes, its script asks for the page again, or for the news.
    pub(super) live: &'a str,
    /// The pages above this one: where each is, and its name.
    pub(super) trail: &'a [(&'a str, &'a str)],
    /// The module that draws on this page.
    pub(super) module: Option<&'a str>,
    /// The data that the module requests first.
    pub(super) data: Option<&'a str>,
}

/// A whole page. What its scripts will need is named at its beginning: a browser fetches it while it reads the rest.
pub(super) fn document(frame: &PageFrame<'_>, body: &Markup) -> String {
    let PageFrame {
        title,
        live,
        trail,
        module,
        data,
    } = *frame;
    let assets = super::assets::base();
    let modules = ["page.js"]
        .into_iter()
        .chain(module)
        .flat_map(super::assets::with_imports)
        .collect::<BTreeSet<_>>();
    let page = html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (Escaped(title)) " · sweep" }
                link rel="icon" href={ (assets) "icon.svg" } type="image/svg+xml";
                link rel="stylesheet" href={ (assets) "style.css" };
                script type="module" src={ (assets) "page.js" } {}
                @for module in &modules { link rel="modulepreload" href={ (assets) (module) }; }
                @if let Some(data) = data { link rel="preload" as="fetch" href=(Escaped(data)) crossorigin; }
            }
            body data-live=(Escaped(live)) {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    nav.trail[!trail.is_empty()] aria-label="Pages" {
                        a.brand href="/" { "sweep" }
                        a.wide href="/" { "Sweeps" }
                        a.wide href="/agents" { "Agents" }
                        @for (href, name) in trail { span.soft aria-hidden="true" { "›" } a href=(Escaped(href)) { (Escaped(name)) } }
                    }
                    div.tools {
                        span #live.soft role="status" {}
                        button #theme type="button" hidden { "Theme" }
                    }
                }
                main #main { (body) }
                div #toast role="status" aria-live="polite" {}
            }
        }
    };
    page.into_string() + "\n"
}

/// A page with a title and one sentence.
pub(super) fn message(title: &str, text: &str) -> String {
    document(
        &PageFrame {
            title,
            ..PageFrame::default()
        },
        &html! { h1 { (Escaped(title)) } p { (Escaped(text)) } },
    )
}

/// A page for a browser that is not logged in, which gets no style sheet and no script.
pub(super) fn bare(title: &str, text: &str) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head { meta charset="utf-8"; (bare_style()) title { (Escaped(title)) " · sweep" } }
            body { h1 { (Escaped(title)) } p { (Escaped(text)) } }
        }
    };
    page.into_string() + "\n"
}

/// A page that leads to another one at once.
pub(super) fn onward(path: &str) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (Escaped(path)) };
                (bare_style())
                title { "Logged in · sweep" }
            }
            body { p { "Logged in. " a href=(Escaped(path)) { "Continue" } } }
        }
    };
    page.into_string() + "\n"
}

fn bare_style() -> Markup {
    html! {
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        // Else a browser asks for one, which it may not have yet.
        link rel="icon" href="data:,";
        style { "body{font-family:system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem;line-height:1.5}" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_leave_its_place() {
        let hostile = "<script>alert(\"1\")</script>'&\u{202e}\u{1b}[31m ü";
        let safe = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;U+202EU+001B[31m ü";
        assert_eq!(Escaped(hostile).to_string(), safe);
        assert_eq!(html! { (Escaped(hostile)) }.into_string(), safe);
        let frame = PageFrame {
            title: hostile,
            live: hostile,
            trail: &[(hostile, hostile)],
            data: Some(hostile),
            module: None,
        };
        let page = document(&frame, &html! {});
        assert!(
            !page.contains("<script>") && !page.contains('\u{202e}'),
            "{page}"
        );
    }

    #[test]
    fn ages_have_one_unit() {
        for (ms, text) in [
            (-5, "0 s"),
            (59_900, "59 s"),
            (97_000, "1 min"),
            (7_500_000, "2 h"),
            (360_000_000, "4 d"),
        ] {
            assert_eq!(age(ms), text);
        }
    }
}
