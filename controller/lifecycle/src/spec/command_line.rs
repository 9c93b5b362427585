//! `program` and `command`: the command line of a run, with its macros.

use sweep_search::space::Value;

use super::diagnostic::{DiagnosticReport, Span, suggestion};
use super::fields::{Fields, at};
use super::yaml::{Node, NodeKind};

/// W&B's command where the file has none.
const DEFAULT_COMMAND: [&str; 4] = ["${env}", "${interpreter}", "${program}", "${args}"];

const MACROS: [&str; 20] = [
    "${env}",
    "${interpreter}",
    "${program}",
    "${args}",
    "${args_no_boolean_flags}",
    "${args_no_hyphens}",
    "${args_no_equals}",
    "${args_append_hydra}",
    "${args_override_hydra}",
    "${args_flags}",
    "${args_spread}",
    "${args_hydra}",
    "${run_dir}",
    "${checkpoint_dir}",
    "${sweep_id}",
    "${run}",
    "${seed}",
    "${args_json}",
    "${args_json_file}",
    "${args_dict}",
];

/// Macros that count inside a longer item too.
const ATTEMPT_MACROS: [&str; 5] = [
    "${run_dir}",
    "${checkpoint_dir}",
    "${sweep_id}",
    "${run}",
    "${seed}",
];

pub(super) fn command(
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> (Option<String>, Vec<String>) {
    let program = fields.text("program", report);
    let command = match fields.entry("command") {
        None => DEFAULT_COMMAND.map(str::to_owned).to_vec(),
        Some(entry) => match &entry.value.kind {
            NodeKind::List(items) if !items.is_empty() => {
                let command: Vec<_> = items
                    .iter()
                    .filter_map(|item| command_item(item, entry.key_span, report))
                    .collect();
                if command.first().is_some_and(String::is_empty) {
                    let help =
                        "the first item names the program that is started, as `python`".to_owned();
                    report.error(
                        Some(at(&items[0], entry.key_span)),
                        "the first item of `command` is empty",
                        Some(help),
                    );
                }
                command
            }
            NodeKind::List(_) => {
                report.error(
                    Some(entry.key_span),
                    "`command` is empty",
                    Some("leave it out for W&B's default".to_owned()),
                );
                Vec::new()
            }
            NodeKind::Scalar {
                value: Value::Str(line),
                ..
            } => {
                let words: Vec<_> = line
                    .split_whitespace()
                    .map(|word| {
                        if word.starts_with("${") {
                            format!("\"{word}\"")
                        } else {
                            word.to_owned()
                        }
                    })
                    .collect();
                let help = format!("no shell is involved: `command: [{}]`", words.join(", "));
                report.error(
                    Some(at(&entry.value, entry.key_span)),
                    "`command` must be a list, not one text",
                    Some(help),
                );
                Vec::new()
            }
            _ => {
                report.error(
                    Some(entry.key_span),
                    format!("`command` must be a list, not {}", entry.value.described()),
                    None,
                );
                Vec::new()
            }
        },
    };
    if program.is_none() && command.iter().any(|item| item == "${program}") {
        let help =
            "`program: train.py`; a sweep whose runs are only asked for needs none".to_owned();
        report.warning(
            fields.entry("command").map(|entry| entry.key_span),
            "the sweep names no `program`, so agents have nothing to run",
            Some(help),
        );
    }
    (program, command)
}

/// One item, as it is written: a shell would pass `08` and `1e-4` on like that.
fn command_item(item: &Node, key_span: Span, report: &mut DiagnosticReport) -> Option<String> {
    let text = match &item.kind {
        NodeKind::Scalar {
            value: Value::Null, ..
        } if item.span.end == item.span.start => {
            report.error(
                Some(key_span),
                "an item of `command` is empty",
                Some("write `''` for an empty argument".to_owned()),
            );
            return None;
        }
        NodeKind::Scalar { written, .. } => written.clone(),
        NodeKind::List(_) | NodeKind::Map(_) => {
            let help = "each item is one argument; `${…}` wants quotes inside `[…]`".to_owned();
            report.error(
                Some(key_span),
                format!("an item of `command` is {}, not text", item.described()),
                Some(help),
            );
            return None;
        }
    };
    if text.contains('\0') {
        report.error(
            Some(at(item, key_span)),
            "an item of `command` holds a zero byte, which no argument can",
            None,
        );
        return None;
    }
    // `${sweep_id}-${run}` begins and ends with macros, and is none itself.
    let is_macro = text.starts_with("${") && text.ends_with('}') && text.matches("${").count() == 1;
    if is_macro && !text.starts_with("${envvar:") && !MACROS.contains(&text.as_str()) {
        let message = format!("`{text}` is not a macro: the item is dropped, as W&B drops it");
        report.warning(
            Some(at(item, key_span)),
            message,
            Some(suggestion(&text, &MACROS)),
        );
    }
    // `--set=${args_no_hyphens}` passes each parameter behind the prefix.
    let is_prefixed = text
        .strip_suffix("${args_no_hyphens}")
        .is_some_and(|prefix| prefix.starts_with('-') && !prefix.contains([' ', '$']));
    let inner = MACROS.iter().find(|name| {
        !ATTEMPT_MACROS.contains(name) && !is_macro && !is_prefixed && text.contains(**name)
    });
    if let Some(inner) = inner {
        let message = format!(
            "`{inner}` is part of a longer item, where it is not a macro: a shell would read it as its own variable"
        );
        let help = "write it as its own item; for a shell: `[bash, -c, 'source env.sh && exec \"$@\"', bash, python, \"${program}\", \"${args}\"]`".to_owned();
        report.warning(Some(at(item, key_span)), message, Some(help));
    } else if let Some(unknown) = unknown_macro(&text).filter(|_| !is_macro) {
        let message = format!("`{unknown}` is not a macro: it is passed as it is written");
        let prefix = text.split(['=', '$']).next().unwrap_or_default();
        let help = if prefix.starts_with('-') {
            format!(
                "`{prefix}=${{args_no_hyphens}}` passes each parameter as `{prefix}=name=value`; `${{args}}` passes it as `--name=value`"
            )
        } else {
            "a parameter is passed by `${args}` and its like; a program that wants it elsewhere reads it from its environment".to_owned()
        };
        report.warning(Some(at(item, key_span)), message, Some(help));
    }
    Some(text)
}

/// Returns the first `${name}` of an item that is not a macro. In an item with spaces, a script perhaps, it may be a variable of a shell.
fn unknown_macro(text: &str) -> Option<&str> {
    if text.contains(char::is_whitespace) {
        return None;
    }
    let mut starts = text.match_indices("${").map(|(start, _)| &text[start..]);
    starts.find_map(|rest| {
        let found = &rest[..=rest.find('}')?];
        (!found.starts_with("${envvar:") && !MACROS.contains(&found)).then_some(found)
    })
}
