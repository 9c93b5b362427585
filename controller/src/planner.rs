//! Keeps suggestions ready: takes a snapshot, calls the search on a blocking thread, offers what it found.
//!
//! It looks at the engine for what is needed and takes no other input. Losing it loses nothing: a new one finds the same needs.

use std::collections::BTreeSet;
use std::time::Duration;

use sweep_lifecycle::command::Command;
use sweep_lifecycle::state::SweepId;
use sweep_search::observation::CodeLine;
use sweep_search::suggest::{Request, Suggestions, suggest};
use tokio::task::JoinSet;

use crate::engine::{Computed, Engine, EngineError, Need};

/// Before the end of a search is told again, after the disk was full.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The computation: the search, except in tests.
type Suggest = fn(&Need) -> Suggestions;

/// Returns how many searches go well at once here: half of the processors, since agents and the controller may share the machine.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

/// As [`run`], with one search at a time and on the thread of the caller: the same each time.
#[cfg(feature = "simulation")]
pub async fn run_inline(engine: Engine) {
    let Err(reason) = plan(&engine, 1, suggest_for, SearchExecution::Here).await;
    tracing::debug!(%reason, "the planner ends");
}

/// Where a search is computed.
#[derive(Clone, Copy, Debug)]
enum SearchExecution {
    /// On its own thread.
    Thread,
    /// In the middle of everything else.
    #[cfg(feature = "simulation")]
    Here,
}

/// Runs until the engine stops. One computation for a sweep at a time, and at most `threads` at once.
pub async fn run(engine: Engine, threads: usize) {
    // The end of the engine is how this ends.
    let Err(reason) = plan(&engine, threads, suggest_for, SearchExecution::Thread).await;
    tracing::debug!(%reason, "the planner ends");
}

async fn plan(
    engine: &Engine,
    threads: usize,
    suggest: Suggest,
    place: SearchExecution,
) -> Result<std::convert::Infallible, EngineError> {
    let mut needs_suggestions = engine.needs_suggestions();
    let threads = threads.max(1);
    let mut busy = BTreeSet::new();
    let mut last = SweepId(String::new());
    let mut searches: JoinSet<(SweepId, Result<(), EngineError>)> = JoinSet::new();
    loop {
        needs_suggestions.borrow_and_update();
        if busy.len() < threads {
            for need in engine
                .needs(
                    busy.iter().cloned().collect(),
                    last.clone(),
                    threads - busy.len(),
                )
                .await?
            {
                last = need.sweep.clone();
                busy.insert(need.sweep.clone());
                searches.spawn(search(engine.clone(), need, suggest, place));
            }
        }
        tokio::select! {
            changed = needs_suggestions.changed() => changed.map_err(|_| EngineError::Stopped)?,
            Some(ended) = searches.join_next() => match ended {
                Ok((sweep, outcome)) => {
                    busy.remove(&sweep);
                    outcome.or_else(|error| if error == EngineError::Stopped { Err(error) } else { Ok(()) })?;
                }
                // Which one is not known: better to compute twice than never again. A search that panics is caught in `search`.
                Err(error) => {
                    tracing::error!(%error, "a search was lost");
                    busy.clear();
                }
            },
        }
    }
}

async fn search(
    engine: Engine,
    need: Need,
    suggest: Suggest,
    place: SearchExecution,
) -> (SweepId, Result<(), EngineError>) {
    let sweep = need.sweep.clone();
    let (next_index, history, observed) = (need.next_index, need.history, need.observed);
    let found = match place {
        SearchExecution::Thread => tokio::task::spawn_blocking(move || suggest(&need)).await,
        #[cfg(feature = "simulation")]
        SearchExecution::Here => Ok(suggest(&need)),
    };
    let Suggestions { suggestions, exhausted } = found.unwrap_or_else(|error| {
        tracing::error!(sweep = sweep.0, %error, "the search has failed; it is tried again when the history has changed");
        Suggestions::default()
    });
    if exhausted && suggestions.is_empty() {
        let end = engine
            .command(
                "",
                Command::ExhaustSpace {
                    sweep: sweep.clone(),
                    history,
                },
            )
            .await;
        // Not offered, the need stays: the end of the search is found and told again.
        if end == Err(EngineError::Full) {
            tokio::time::sleep(FULL_PAUSE).await;
            return (sweep, Ok(()));
        }
    }
    let computed = Computed {
        sweep: sweep.clone(),
        next_index,
        history,
        observed,
        suggestions,
        exhausted,
    };
    let outcome = engine.offer(computed).await;
    (sweep, outcome)
}

fn suggest_for(need: &Need) -> Suggestions {
    let goal = need
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.goal)
        .unwrap_or_default();
    suggest(&Request {
        space: &need.spec.space,
        method: need.spec.method,
        goal,
        seed: need.seed,
        observations: &need.observations,
        pending: &need.pending,
        taken: &need.taken,
        code: CodeLine {
            versions: &need.code,
            probes: need.spec.code.probe as usize,
        },
        next_index: need.next_index,
        count: need.count,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use sweep_lifecycle::spec::SweepSpec;
    use sweep_lifecycle::state::SweepState;
    use sweep_search::space::{Config, Path, Value};
    use sweep_search::suggest::{Method, Suggestion};
    use sweep_search::why::{Kind, Why};

    use super::*;
    use crate::engine::tests::{Bench, spec};
    use crate::engine::{Acquired, Assignment};
    use crate::store::MemoryStore;

    const LONG: Duration = Duration::from_secs(20);

    fn counted(need: &Need, points: u64) -> Suggestions {
        let point = |x| Config([(Path::flat("x"), Value::Int(i64::try_from(x).unwrap()))].into());
        let suggestion = |x| Suggestion {
            config: point(x),
            why: Why::new(Kind::Grid, "counted"),
        };
        let end = (need.next_index + need.count as u64).min(points + 1);
        Suggestions {
            suggestions: (need.next_index..end).map(suggestion).collect(),
            exhausted: end > points,
        }
    }

    async fn bench(suggest: Suggest) -> Bench {
        let bench = Bench::with_sweep(MemoryStore::new()).await;
        let engine = bench.engine.clone();
        tokio::spawn(async move { plan(&engine, 2, suggest, SearchExecution::Thread).await });
        bench
    }

    #[tokio::test]
    async fn an_exhausted_space_ends_the_sweep() {
        let bench = bench(|need| counted(need, 2)).await;
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let Acquired::Assigned(assignment) = bench.acquire("a", LONG).await.unwrap() else {
                panic!("no run")
            };
            seen.insert(assignment.config.key());
            bench.report("a", &assignment.attempt, 0.5).await.unwrap();
            bench.succeed("a", &assignment.attempt).await.unwrap();
        }
        assert_eq!(seen.len(), 2);
        let ended = bench.acquire("a", LONG).await;
        assert!(
            matches!(&ended, Ok(Acquired::Ended(SweepState::Finished, _))),
            "{ended:?}"
        );
    }

    #[tokio::test]
    async fn a_search_that_fails_is_tried_again_when_the_history_has_changed() {
        // Two runs are created, and then one ends.
        let bench = bench(|need| match (need.next_index, need.history) {
            (1, _) => counted(need, 2),
            (_, ..=2) => panic!("the search has a bug"),
            _ => counted(need, 60),
        });
        let bench = bench.await;
        let Ok(Acquired::Assigned(first)) = bench.acquire("a", LONG).await else {
            panic!("no run")
        };
        let Ok(Acquired::Assigned(_)) = bench.acquire("a", LONG).await else {
            panic!("no run")
        };
        bench.register("b").await;
        let (third, ()) = tokio::join!(bench.acquire("b", LONG), async {
            while bench.engine.stats().waiting_acquires == 0 {
                tokio::task::yield_now().await;
            }
            bench.report("a", &first.attempt, 0.5).await.unwrap();
            bench.succeed("a", &first.attempt).await.unwrap();
        });
        assert!(
            matches!(&third, Ok(Acquired::Assigned(third)) if third.attempt.run == 3),
            "{third:?}"
        );
    }

    /// Executes runs with the real search until the sweep has ended; returns what each run tried.
    async fn run_to_the_end(spec: SweepSpec, agents: usize) -> BTreeMap<u64, Config> {
        let bench = Arc::new(Bench::over(MemoryStore::new()));
        tokio::spawn(run(bench.engine.clone(), 2));
        bench.create(spec).await;
        let mut workers = JoinSet::new();
        for name in (0..agents).map(|number| number.to_string()) {
            let bench = Arc::clone(&bench);
            bench.register(&name).await;
            workers.spawn(async move {
                let mut tried = Vec::new();
                while let Acquired::Assigned(assignment) = bench.acquire(&name, LONG).await.unwrap()
                {
                    let Assignment {
                        attempt, config, ..
                    } = *assignment;
                    bench.report(&name, &attempt, 0.5).await.unwrap();
                    bench.succeed(&name, &attempt).await.unwrap();
                    tried.push((attempt.run, config));
                }
                tried
            });
        }
        workers.join_all().await.into_iter().flatten().collect()
    }

    #[tokio::test]
    async fn every_point_of_a_grid_is_tried_once() {
        let tried = run_to_the_end(spec(Method::Grid), 4).await;
        assert_eq!(tried.len(), 60);
        assert_eq!(
            tried
                .values()
                .map(Config::key)
                .collect::<BTreeSet<_>>()
                .len(),
            60
        );
    }

    #[tokio::test]
    async fn random_runs_are_the_same_whatever_the_number_of_agents() {
        let random = || SweepSpec {
            run_cap: Some(40),
            ..spec(Method::Random)
        };
        assert_eq!(
            run_to_the_end(random(), 1).await,
            run_to_the_end(random(), 5).await
        );
    }

    #[tokio::test]
    async fn the_end_of_the_engine_ends_the_planner() {
        let bench = Bench::over(MemoryStore::new());
        bench.create(spec(Method::Grid)).await;
        let planner = tokio::spawn(run(bench.engine.clone(), 1));
        bench.stop().await;
        planner.await.unwrap();
    }
}
