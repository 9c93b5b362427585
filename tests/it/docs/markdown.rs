//! Takes pages of the documentation apart: blocks, links, anchors, and the commands in a block.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

/// A fenced block of a page.
#[derive(Debug)]
pub(super) struct Block {
    /// The text behind the opening fence: `console`, `console norun`.
    pub(super) info: String,
    pub(super) text: String,
    /// The line before it, where that is the end of a comment.
    pub(super) comment: String,
}

/// Returns the arguments of each `sweep …` in a command of a shell.
pub(super) fn sweep_arguments(command: &str) -> Vec<Vec<String>> {
    let start = Regex::new(r"(?:^|[(;&|]|=\S* |\bexec )\s*sweep ").expect("it compiles");
    let starts = start
        .find_iter(command)
        .filter(|found| !command[..found.start()].contains(" #"));
    starts
        .map(|found| words(&command[found.end()..]))
        .filter(|words| !words.is_empty())
        .collect()
}

/// Splits a simple command at white space outside of quotes, up to the end of the command or a comment.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '|' | '&' | ';' | '>' | '<' | ')') => break,
            (None, '#') if word.is_empty() => break,
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns the fenced blocks of a page.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut before, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .collect::<Vec<_>>()
                .join("\n");
            let comment = if before.ends_with("-->") {
                std::mem::take(&mut before)
            } else {
                String::new()
            };
            blocks.push(Block {
                info: info.to_owned(),
                text,
                comment,
            });
        }
        before = line.to_owned();
    }
    blocks
}

/// Returns where links and images of a page lead.
pub(super) fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
            links.push(dest_url.to_string());
        }
    }
    links
}

/// Returns the anchors of a page's headings.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let text = heading.take().expect("a heading has begun").to_lowercase();
                let kept = text
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
                let same = (1..).map(|number| format!("{anchor}-{number}"));
                let free = std::iter::once(anchor.clone())
                    .chain(same)
                    .find(|anchor| !anchors.contains(anchor));
                anchors.extend(free);
            }
            _ => {}
        }
    }
    anchors
}
