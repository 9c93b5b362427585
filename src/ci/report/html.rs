//! The report as a page that stands alone: no script, nothing fetched.

use maud::{DOCTYPE, PreEscaped, html};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::figures::Picture;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #dde1e7;padding:.25rem .6rem}\
th{background:#f6f7f9}code,pre{font-family:ui-monospace,monospace;font-size:.9em}code{background:#f2f4f7;padding:.1em .25em}\
pre{background:#f6f7f9;border:1px solid #dde1e7;padding:.75rem;overflow-x:auto}pre code{padding:0;background:none}\
figure{margin:1.5rem 0}figcaption{color:#5b6472;font-size:.9em}svg{max-width:100%;height:auto}\
@media print{details{display:block}body{max-width:none}}";

/// Makes a page of a report in Markdown. A picture in it whose address is the name of one of `pictures` is drawn in its place.
pub(crate) fn html(title: &str, markdown: &str, pictures: &[Picture]) -> String {
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, drawn(markdown, pictures).into_iter());
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // This mark keeps the report out of the code version of its folder.
                meta name="generator" content="sweep";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Sweep " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (PreEscaped(body)) }
        }
    }
    .into_string()
}

/// Replaces pictures by their alternative text, and removes all HTML except the report's.
fn drawn<'a>(markdown: &'a str, pictures: &[Picture]) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    let mut picture = None;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Image { dest_url, .. })
                if pictures.iter().any(|picture| *picture.name == *dest_url) =>
            {
                picture = pictures.iter().find(|picture| *picture.name == *dest_url);
            }
            Event::End(TagEnd::Image) if picture.is_some() => {
                if let Some(Picture { caption, svg, .. }) = picture.take() {
                    let figure = html! { figure { (PreEscaped(svg)) figcaption { (caption) } } };
                    events.push(Event::Html(figure.into_string().into()));
                }
            }
            // The caption says the same.
            _ if picture.is_some() => {}
            Event::InlineHtml(tag) if !matches!(&*tag, "<code>" | "</code>") => {
                events.push(Event::Text(tag));
            }
            Event::Html(line) if line.starts_with("<!--") => {}
            Event::Html(line)
                if !line.starts_with("<details><summary>") && !line.starts_with("</details>") =>
            {
                events.push(Event::Text(line));
            }
            event => events.push(event),
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_of_others_is_text() {
        let page = html(
            "<b>",
            "a <img src=x onerror=alert(1)> <code>b</code>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))\n",
            &[],
        );
        assert!(
            !page.contains("<img") && !page.contains("<script") && page.contains("&lt;img src=x"),
            "{page}"
        );
        assert!(
            page.contains("<code>b</code>") && page.contains("<title>Sweep &lt;b&gt;</title>"),
            "{page}"
        );
        assert!(
            page.contains("default-src 'none'"),
            "even a link to a script finds none allowed: {page}"
        );
    }

    #[test]
    fn pictures_are_in_the_page() {
        let picture = Picture {
            name: "history",
            caption: "a & b".to_owned(),
            svg: "<svg></svg>".to_owned(),
        };
        let page = html(
            "x",
            "![what](<history>)\n\n![other](<gone.svg>)\n",
            &[picture],
        );
        assert!(
            page.contains("<figure><svg></svg><figcaption>a &amp; b</figcaption></figure>"),
            "{page}"
        );
        assert!(page.contains("gone.svg"), "{page}");
    }
}
