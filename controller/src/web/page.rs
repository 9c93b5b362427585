//! The pages as HTML.

use std::fmt::Write;

use super::html::Escaped;
use crate::store::{RunRow, SweepCounts, SweepRow};

/// The style of all pages: one column on a phone, light or dark as the reader likes it.
pub(super) const STYLE: &str = r#":root { color-scheme: light dark; --line: #d8dce2; --soft: #5d6673; --back: #fbfbfc; --card: #fff; --text: #1b1f24;
  --accent: #0b62c4; --good: #11743a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --line: #343a43; --soft: #9aa4b2; --back: #14171b; --card: #1c2026; --text: #e4e7eb; --accent: #6db3ff; --good: #5fd08c; --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.soft { color: var(--soft); } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .45rem .75rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { font-weight: 600; color: var(--soft); font-size: .85rem; white-space: nowrap; }
code, pre { font: .87em/1.45 ui-monospace, monospace; } pre { padding: .75rem; margin: 0; white-space: pre; }
.state { border: 1px solid currentColor; border-radius: 99px; padding: 0 .5rem; font-size: .82rem; white-space: nowrap; }
.finished { color: var(--good); } .failed, .cancelled { color: var(--bad); } .running, .assigned { color: var(--accent); }
.facts { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 0; }
"#;

/// All sweeps.
pub(super) fn index(sweeps: &[(SweepRow, SweepCounts)]) -> String {
    if sweeps.is_empty() {
        let body = "<h1>Sweeps</h1><p class=\"soft\">None yet. Begin one with <code>sweep create FILE</code>.</p>";
        return document("Sweeps", body);
    }
    let mut body = String::from(
        "<h1>Sweeps</h1><div class=\"scroll\"><table><tr><th>Sweep</th><th>State</th><th>Method</th><th class=\"number\">Done</th>\
         <th class=\"number\">Running</th><th class=\"number\">Failed</th><th class=\"number\">Agents</th><th>Best</th></tr>",
    );
    for (row, counts) in sweeps {
        let id = Escaped(&row.id);
        let _ = write!(
            body,
            "<tr><td><a href=\"/sweeps/{id}\"><code>{id}</code></a> {}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            Escaped(&row.name),
            state(&row.state),
            Escaped(&row.method),
            done(row, counts),
            counts.running,
            counts.failed,
            counts.agents,
            best(row, counts),
        );
    }
    body.push_str("</table></div>");
    document("Sweeps", &body)
}

/// One sweep with its runs.
pub(super) fn sweep(row: &SweepRow, counts: &SweepCounts, live: &[RunRow], ended: &[RunRow]) -> String {
    let title = if row.name.is_empty() { &row.id } else { &row.name };
    let mut body = format!(
        "<p><a href=\"/\">Sweeps</a></p><h1>{}</h1><p class=\"facts\"><code>{}</code>{}<span class=\"soft\">{}</span></p>\
         <p class=\"facts\"><span>{}</span><span>{} done</span><span>{} running</span><span>{} queued</span><span>{} failed</span>\
         <span>{} agents</span><span>best {}</span></p>",
        Escaped(title),
        Escaped(&row.id),
        state(&row.state),
        Escaped(&row.reason),
        Escaped(&row.method),
        done(row, counts),
        counts.running,
        counts.queued,
        counts.failed,
        counts.agents,
        best(row, counts),
    );
    runs(&mut body, "Running", live);
    runs(&mut body, "Ended last", ended);
    let _ = write!(body, "<h2>File</h2><div class=\"scroll\"><pre>{}</pre></div>", Escaped(&row.yaml));
    document(title, &body)
}

fn runs(body: &mut String, title: &str, rows: &[RunRow]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(
        body,
        "<h2>{title}</h2><div class=\"scroll\"><table><tr><th class=\"number\">Run</th><th>State</th><th class=\"number\">Value</th>\
         <th>Parameters</th><th>Why</th></tr>"
    );
    for row in rows {
        let value = row.value.or(row.best).map(|value| value.to_string()).unwrap_or_default();
        let _ = write!(
            body,
            "<tr><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{value}</td><td><code>{}</code></td><td class=\"soft\">{}</td></tr>",
            row.run,
            state(&row.state),
            Escaped(&row.params_json),
            Escaped(if row.reason.is_empty() { &row.why } else { &row.reason }),
        );
    }
    body.push_str("</table></div>");
}

/// A page with a title and one sentence.
pub(super) fn message(title: &str, text: &str) -> String {
    document(title, &format!("<p><a href=\"/\">Sweeps</a></p><h1>{}</h1><p>{}</p>", Escaped(title), Escaped(text)))
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"10\"><title>{} · sweep</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\
         <body>{body}</body></html>\n",
        Escaped(title)
    )
}

fn state(state: &str) -> String {
    let state = Escaped(state);
    format!("<span class=\"state {state}\">{state}</span>")
}

fn done(row: &SweepRow, counts: &SweepCounts) -> String {
    let done = counts.finished + counts.stopped + counts.failed + counts.cancelled;
    if row.planned == 0 { done.to_string() } else { format!("{done} / {}", row.planned) }
}

fn best(row: &SweepRow, counts: &SweepCounts) -> String {
    match counts.best {
        Some((run, value)) => format!("{} {value} <span class=\"soft\">(run {run})</span>", Escaped(&row.metric)),
        None => "–".to_owned(),
    }
}
