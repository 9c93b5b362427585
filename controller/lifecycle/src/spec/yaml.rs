//! YAML text to a tree in which every key and value knows its place. Nothing here knows what a sweep is.
//!
//! Scalars follow what W&B files assume: the booleans and integers of YAML 1.1 (`yes`, `on`, `0x1f`, `1_000`), the floats of
//! YAML 1.2 (`1e-4` is a number), merge keys, and of duplicate keys the last. Hostile files meet a budget before memory does.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};
use sweep_search::space::Value;

use super::diagnostic::{DiagnosticReport, Span};
use super::scalar;

/// A sweep file is a page of text; anything longer is a mistake or an attack.
const BYTES_MAX: usize = 1 << 20;
/// Levels of nesting, those that aliases bring included.
const DEPTH_MAX: usize = 64;
/// Nodes of the tree once all aliases are expanded.
const NODES_MAX: usize = 200_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: NodeKind,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// Text, a number, a boolean or null, and as it is written; `quoted` where that is in quotes.
    Scalar {
        value: Value,
        quoted: bool,
        written: String,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file, without duplicates.
    Map(Vec<MappingEntry>),
}

/// One entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct MappingEntry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

impl Node {
    /// Returns the value as parameters hold it.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar { value, .. } => value.clone(),
            NodeKind::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            NodeKind::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect(),
            ),
        }
    }

    /// Returns what kind of thing it is, with its article: for messages.
    pub(super) fn described(&self) -> String {
        match &self.kind {
            NodeKind::Scalar { value, quoted, .. } => match value {
                Value::Null => "nothing".to_owned(),
                Value::Bool(bool) => format!("the boolean {bool}"),
                Value::Int(int) => format!("the number {int}"),
                Value::Float(float) => format!("the number {float:?}"),
                Value::Str(text) if *quoted => format!("the quoted text \"{text}\""),
                Value::Str(text) => format!("the text `{text}`"),
                Value::List(_) | Value::Map(_) => "a collection".to_owned(),
            },
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a map".to_owned(),
        }
    }

    /// Returns whether nothing is written here: `name:`.
    pub(super) fn is_blank(&self) -> bool {
        matches!(
            &self.kind,
            NodeKind::Scalar {
                value: Value::Null,
                ..
            }
        )
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.kind {
            NodeKind::Scalar { .. } => Box::new(std::iter::empty()),
            NodeKind::List(items) => Box::new(items.iter()),
            NodeKind::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
        }
    }

    /// Nodes in the tree, and levels. The depth is bounded by [`DEPTH_MAX`], so the recursion is too.
    fn size(&self) -> (usize, usize) {
        self.children()
            .map(Self::size)
            .fold((1, 1), |(nodes, depth), (more, deeper)| {
                (nodes + more, depth.max(deeper + 1))
            })
    }
}

/// Reads the one document of a text. `None`: something was wrong with the YAML itself, and the report says what.
pub(super) fn read(text: &str, report: &mut DiagnosticReport) -> Option<Node> {
    if text.len() > BYTES_MAX {
        let size = text.len() as f64 / f64::from(1 << 20);
        report.error(
            None,
            format!("the file has {size:.1} MiB, which is more than a sweep file may have"),
            Some("at most 1 MiB".to_owned()),
        );
        return None;
    }
    let mut builder = Builder {
        report,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    let options =
        granit_parser::options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    for event in Parser::new_from_str_with_options(text, options) {
        let outcome = match event {
            Ok((event, span)) => builder.take(&event, place(text, span)),
            Err(error) => {
                let start = error
                    .marker()
                    .byte_offset()
                    .unwrap_or(text.len())
                    .min(text.len());
                let span = Span {
                    start,
                    end: start,
                    line: error.marker().line() as u32,
                    column: error.marker().col() as u32 + 1,
                };
                let help = tab_help(text, &span);
                Err((
                    Some(span),
                    format!("this is not YAML: {}", error.info()),
                    help,
                ))
            }
        };
        if let Err((span, message, help)) = outcome {
            builder.report.error(span, message, help);
            return None;
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        report.error(
            None,
            "the file is empty".to_owned(),
            Some("a sweep file needs at least `method` and `parameters`".to_owned()),
        );
    }
    root
}

fn place(text: &str, span: granit_parser::Span) -> Span {
    let range = span.byte_range().unwrap_or(0..0);
    // A block scalar's or a block map's span may reach into the white space behind it.
    let end = range.start + text.get(range.clone()).unwrap_or_default().trim_end().len();
    Span {
        start: range.start,
        end,
        line: span.start.line() as u32,
        column: span.start.col() as u32 + 1,
    }
}

fn tab_help(text: &str, span: &Span) -> Option<String> {
    let line = text.lines().nth(span.line.saturating_sub(1) as usize)?;
    let indentation = &line[..line.len() - line.trim_start().len()];
    indentation
        .contains('\t')
        .then(|| "this line is indented with a tab; YAML wants spaces".to_owned())
}

type Refused = (Option<Span>, String, Option<String>);

/// A collection that has begun and not ended.
struct OpenCollection {
    span: Span,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(OpenMap),
}

/// A mapping that has begun and not ended.
#[derive(Default)]
struct OpenMap {
    /// In the order of the file, duplicates included.
    entries: Vec<MappingEntry>,
    /// The place in `entries` of each key's last entry: looking through `entries` would take the square of their number.
    last: BTreeMap<String, usize>,
    /// The entries from merge keys, duplicates included: the first counts, and only where the mapping itself has no such key.
    merged: Vec<MappingEntry>,
    key: Option<(String, Span)>,
}

impl OpenMap {
    /// Adds an entry, and returns the line of an earlier one with its key.
    fn add(&mut self, entry: MappingEntry) -> Option<u32> {
        let earlier = self.last.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        earlier
            .and_then(|place| self.entries.get(place))
            .map(|entry| entry.key_span.line)
    }

    fn end(self) -> Vec<MappingEntry> {
        let Self {
            entries,
            mut last,
            merged,
            ..
        } = self;
        let mut whole: Vec<_> = entries
            .into_iter()
            .enumerate()
            .filter(|(place, entry)| last.get(&entry.key) == Some(place))
            .map(|(_, entry)| entry)
            .collect();
        for entry in merged {
            if last.insert(entry.key.clone(), whole.len()).is_none() {
                whole.push(entry);
            }
        }
        whole
    }
}

struct Builder<'r> {
    report: &'r mut DiagnosticReport,
    open: Vec<OpenCollection>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: &Event<'_>, span: Span) -> Result<(), Refused> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = !matches!(style, ScalarStyle::Plain);
                let tag = tag.as_ref().map(|tag| tag.to_string());
                let value = scalar::resolve(text, quoted, tag.as_deref())
                    .map_err(|message| (Some(span), message, None))?;
                let is_key = matches!(
                    self.open.last(),
                    Some(OpenCollection {
                        items: Items::Map(OpenMap { key: None, .. }),
                        ..
                    })
                );
                if is_key {
                    return self.take_key(text.to_string(), span);
                }
                self.add(
                    Node {
                        span,
                        kind: NodeKind::Scalar {
                            value,
                            quoted,
                            written: text.to_string(),
                        },
                    },
                    *anchor,
                )
            }
            Event::SequenceStart(_, anchor, _) => self.begin(OpenCollection {
                span,
                anchor: *anchor,
                items: Items::List(Vec::new()),
            }),
            Event::MappingStart(_, anchor, _) => self.begin(OpenCollection {
                span,
                anchor: *anchor,
                items: Items::Map(OpenMap::default()),
            }),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(anchor).cloned() else {
                    return Err((
                        Some(span),
                        "this alias stands inside its own anchor".to_owned(),
                        None,
                    ));
                };
                let (nodes, depth) = node.size();
                self.nodes += nodes;
                if depth + self.open.len() > DEPTH_MAX {
                    return Err((
                        Some(span),
                        format!("the aliases nest deeper than {DEPTH_MAX} levels"),
                        None,
                    ));
                }
                self.add(Node { span, ..node }, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let help = "one sweep a file: split it at the `---`".to_owned();
                Err((
                    Some(span),
                    "the file holds more than one YAML document".to_owned(),
                    Some(help),
                ))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, open: OpenCollection) -> Result<(), Refused> {
        if let Some(OpenCollection {
            items: Items::Map(OpenMap { key: None, .. }),
            ..
        }) = self.open.last()
        {
            return Err((
                Some(open.span),
                "a key must be text, not a collection".to_owned(),
                None,
            ));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err((
                Some(open.span),
                format!("the file nests deeper than {DEPTH_MAX} levels"),
                None,
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let kind = match open.items {
            Items::List(items) => NodeKind::List(items),
            Items::Map(map) => NodeKind::Map(map.end()),
        };
        self.add(
            Node {
                span: open.span,
                kind,
            },
            open.anchor,
        )
    }

    fn take_key(&mut self, text: String, span: Span) -> Result<(), Refused> {
        self.count(span)?;
        if let Some(OpenCollection {
            items: Items::Map(map),
            ..
        }) = self.open.last_mut()
        {
            map.key = Some((text, span));
        }
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Refused> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((
                Some(span),
                format!("the file expands to more than {NODES_MAX} values"),
                None,
            ));
        }
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Refused> {
        self.count(node.span)?;
        if anchor != 0 {
            // What an anchor costs to keep counts as well: otherwise anchors on every level would hold the square of the file.
            self.nodes += node.size().0;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(map)) => {
                let Some((key, key_span)) = map.key.take() else {
                    return Ok(());
                };
                if key == "<<" {
                    return merge(&mut map.merged, node);
                }
                if let Some(line) = map.add(MappingEntry {
                    key: key.clone(),
                    key_span,
                    value: node,
                }) {
                    let message = format!(
                        "`{key}` stands here for the second time, first in line {line}; the last one counts"
                    );
                    self.report.warning(
                        Some(key_span),
                        message,
                        Some("remove one of them".to_owned()),
                    );
                }
            }
        }
        Ok(())
    }
}

fn merge(merged: &mut Vec<MappingEntry>, node: Node) -> Result<(), Refused> {
    match node.kind {
        NodeKind::Map(entries) => {
            merged.extend(entries);
            Ok(())
        }
        NodeKind::List(items) => items.into_iter().try_for_each(|item| merge(merged, item)),
        NodeKind::Scalar { .. } => Err((
            Some(node.span),
            "`<<` merges a map or a list of maps".to_owned(),
            None,
        )),
    }
}
