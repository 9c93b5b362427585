//! News as server-sent events: that something has changed, and for a sweep the runs that have.
//!
//! A stream waits for a commit that has changed something of what it shows, and looks at most once a second: an open page costs nothing while nothing
//! changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sweep_lifecycle::state::{RunState, SweepId};
use tokio::sync::mpsc;
use tokio::sync::watch::error::RecvError;
use tokio_stream::wrappers::ReceiverStream;

use super::agents::GONE_MAX;
use super::answer::Web;
use super::rows::{self, MachineRow, Row, SweepHeader};
use crate::store::{Query, RunRange, StoreError};

/// Shortest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Runs that one look compares: those that run, and those that ended last.
const RUNS_MAX: usize = 500;

/// The subjects of a page's events.
#[derive(Deserialize)]
pub(super) struct LiveQuery {
    /// A sweep; absent: all of them, and the agents.
    #[serde(default)]
    sweep: String,
    /// One of its runs: nothing is told of the others.
    run: Option<u64>,
}

/// The changes of a sweep.
#[derive(Serialize)]
struct News {
    sweep: SweepHeader,
    runs: Vec<Row>,
    /// All of them; those of a single run are not told.
    agents: Vec<MachineRow>,
    /// More has changed than is here: the page asks for everything again.
    reload: bool,
}

/// The state that a page has received.
#[derive(Default)]
struct SentState {
    summary: u64,
    runs: BTreeMap<u64, u64>,
    began: bool,
}

/// Streams what a page wants to hear of, until the page goes or the controller stops.
pub(super) fn stream(web: Web, asked: LiveQuery) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(1);
    tokio::spawn(tell(web, asked, sender));
    // Proxies and browsers give up connections without a sign of life.
    Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}

async fn tell(web: Web, asked: LiveQuery, sender: mpsc::Sender<Result<Event, Infallible>>) {
    let (mut commits, mut stopping) = (web.commits.clone(), web.stopping.clone());
    let (mut told, sweep, run) = (SentState::default(), SweepId(asked.sweep), asked.run);
    let changes = Arc::clone(&web.changes);
    let stamp = || {
        if sweep.0.is_empty() {
            changes.newest()
        } else {
            changes.of(&sweep)
        }
    };
    loop {
        commits.mark_unchanged();
        let (id, seen) = (sweep.clone(), stamp());
        let look = web.reader.ask(move |query| {
            let event = if id.0.is_empty() {
                anything(&mut told)
            } else {
                news(query, &id, run, &mut told)?
            };
            Ok((event, told))
        });
        let event = match look.await {
            Ok((event, known)) => {
                told = known;
                event
            }
            Err(error) => {
                tracing::error!(%error, "a page gets no news");
                return;
            }
        };
        if let Some(event) = event
            && sender.send(Ok(event)).await.is_err()
        {
            return;
        }
        let change = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                commits.changed().await?;
                if stamp() != seen {
                    return Ok::<_, RecvError>(());
                }
            }
        };
        tokio::select! {
            changed = change => if changed.is_err() { return },
            () = sender.closed() => return,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Tells that something has changed in the list of sweeps or of agents: nothing before that asks.
fn anything(told: &mut SentState) -> Option<Event> {
    std::mem::replace(&mut told.began, true).then(|| Event::default().event("changed").data(""))
}

fn news(
    query: &dyn Query,
    sweep: &SweepId,
    run: Option<u64>,
    told: &mut SentState,
) -> Result<Option<Event>, StoreError> {
    let Some((row, counts)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let seen: Vec<_> = match run {
        Some(run) => query.run(sweep, run)?.into_iter().collect(),
        None => {
            let mut seen = query.runs(
                sweep,
                &[RunState::Assigned, RunState::Running],
                RunRange::first(RUNS_MAX),
            )?;
            seen.extend(query.ended_runs(sweep, RUNS_MAX)?);
            seen
        }
    };
    let counted = seen.len();
    let mut runs = Vec::new();
    for found in seen {
        let (number, mark) = (found.run, digest(&format!("{found:?}")));
        if told.runs.insert(number, mark) != Some(mark) {
            runs.push(rows::run(found));
        }
    }
    let agents = if run.is_none() {
        query.agents_shown(Some(sweep), GONE_MAX)?
    } else {
        Vec::new()
    };
    let head = rows::head(row, counts);
    let summary =
        digest(&(serde_json::to_string(&head).unwrap_or_default() + &format!("{agents:?}")));
    let first = !std::mem::replace(&mut told.began, true);
    let same = std::mem::replace(&mut told.summary, summary) == summary;
    // What a page has read is a moment older than the first look, which tells it nothing but what has happened meanwhile.
    if !first && same && runs.is_empty() {
        return Ok(None);
    }
    let reload = !first && runs.len() >= counted.min(RUNS_MAX) && counted >= RUNS_MAX;
    let agents = agents.into_iter().map(rows::machine).collect();
    let news = News {
        sweep: head,
        runs,
        agents,
        reload,
    };
    let data = serde_json::to_string(&news)
        .map_err(|error| StoreError::Failed(format!("news cannot be written as JSON: {error}")))?;
    Ok(Some(Event::default().event("news").data(data)))
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
