//! How agents get runs.

use std::collections::BTreeSet;

use sweep_lifecycle::command::{Offered, Refusal, SweepAction};
use sweep_lifecycle::state::{RunState, SweepState};
use tokio::task::JoinSet;

use super::*;
use crate::store::{LogChunk, MemoryStore, Query};

/// Executes runs until the sweep has ended, and returns the points it saw.
async fn work(bench: Arc<Bench>, name: String) -> Vec<Config> {
    let mut seen = Vec::new();
    loop {
        match bench.acquire(&name, LONG).await.unwrap() {
            Acquired::Assigned(assignment) => {
                let Assignment {
                    attempt, config, ..
                } = *assignment;
                bench.start(&name, &attempt).await.unwrap();
                bench
                    .report(&name, &attempt, 1.0 / attempt.run as f64)
                    .await
                    .unwrap();
                bench.succeed(&name, &attempt).await.unwrap();
                seen.push(config);
            }
            Acquired::Wait(_) => {}
            Acquired::Ended(state, _) => {
                assert_eq!(state, SweepState::Finished);
                return seen;
            }
        }
    }
}

/// Lays ready what is needed, up to a last point.
async fn count(bench: Arc<Bench>, points: u64) {
    let mut needs_suggestions = bench.engine.needs_suggestions();
    loop {
        needs_suggestions.borrow_and_update();
        for need in bench.needs().await {
            let left = points + 1 - need.next_index;
            let found = counted(&need, left.min(need.count as u64));
            bench
                .engine
                .offer(Computed {
                    exhausted: left <= need.count as u64,
                    ..found
                })
                .await
                .unwrap();
            if left == 0 {
                bench
                    .engine
                    .command(
                        "",
                        Command::ExhaustSpace {
                            sweep: sweep_id(),
                            history: need.history,
                        },
                    )
                    .await
                    .unwrap();
            }
        }
        needs_suggestions.changed().await.unwrap();
    }
}

/// A Bayesian sweep of which one run has ended since the search looked at it.
async fn with_news() -> Bench {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::Bayes)).await;
    bench.register("a").await;
    let first = bench.assigned("a").await;
    bench.feed().await;
    bench.start("a", &first.attempt).await.unwrap();
    bench.report("a", &first.attempt, 0.5).await.unwrap();
    bench.succeed("a", &first.attempt).await.unwrap();
    bench
}

#[tokio::test]
async fn a_call_waits_for_a_suggestion_that_rests_on_what_was_known_when_it_came() {
    let bench = with_news().await;
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        let need = bench.needs().await.pop().unwrap();
        assert_eq!((need.observations.len(), need.observed), (1, 1));
        bench.engine.offer(counted(&need, 1)).await.unwrap();
    });
    let Ok(Acquired::Assigned(assignment)) = acquired else {
        panic!("{acquired:?}")
    };
    assert_eq!((assignment.attempt.run, assignment.history), (2, 2));
}

#[tokio::test]
async fn after_the_patience_an_older_suggestion_is_good_enough() {
    let bench = with_news().await;
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        bench.pass(PATIENCE).await;
    });
    let Ok(Acquired::Assigned(assignment)) = acquired else {
        panic!("{acquired:?}")
    };
    assert_eq!((assignment.attempt.run, assignment.history), (2, 1));
}

#[tokio::test]
async fn a_grid_is_tried_once_each_by_many_agents() {
    let store = MemoryStore::new();
    let bench = Arc::new(Bench::over(store.clone()));
    let search = tokio::spawn(count(Arc::clone(&bench), 60));
    bench.create(spec(Method::Grid)).await;
    let mut agents = JoinSet::new();
    for name in ["a", "b", "c", "d"] {
        bench.register(name).await;
        agents.spawn(work(Arc::clone(&bench), name.to_owned()));
    }
    let seen = agents.join_all().await.concat();
    search.abort();
    assert_eq!(seen.len(), 60);
    assert_eq!(
        seen.iter().map(Config::key).collect::<BTreeSet<_>>().len(),
        60
    );
    let (row, counts) = store.query().sweep(&sweep_id()).unwrap().unwrap();
    assert_eq!(
        (row.state, counts.finished, counts.best),
        (SweepState::Finished, 60, Some((60, 1.0 / 60.0)))
    );
}

#[tokio::test]
async fn a_call_waits_until_a_suggestion_is_there() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        bench.feed().await;
    });
    assert_eq!(
        timelessly(acquired),
        Ok(Acquired::Assigned(Box::new(assignment(1))))
    );
}

#[tokio::test]
async fn a_call_is_answered_when_its_wait_is_over() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*bench.engine.next_tick().borrow(), Some(LONG));
        bench.pass(LONG).await;
    });
    assert_eq!(
        acquired,
        Ok(Acquired::Wait(
            "the search is computing the next point".to_owned()
        ))
    );
}

#[tokio::test]
async fn who_has_gone_away_gets_no_run() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    {
        let call = bench.acquire("a", LONG);
        tokio::pin!(call);
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::select! {
                _ = &mut call => panic!("there is no run yet"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    bench.feed().await;
    assert!(bench.state().await.sweeps[&sweep_id()].runs.is_empty());
}

#[tokio::test]
async fn a_paused_sweep_hands_out_nothing_and_an_ended_one_says_so() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    bench.feed().await;
    bench.set(SweepAction::Pause).await.unwrap();
    assert_eq!(
        bench.acquire("a", Duration::ZERO).await,
        Ok(Acquired::Wait("the sweep is paused".to_owned()))
    );
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        bench.set(SweepAction::Resume).await.unwrap();
    });
    assert!(
        matches!(acquired, Ok(Acquired::Assigned(_))),
        "{acquired:?}"
    );
    bench.set(SweepAction::Stop).await.unwrap();
    assert!(matches!(
        bench.acquire("a", LONG).await,
        Ok(Acquired::Ended(SweepState::Stopped, _))
    ));
}

#[tokio::test]
async fn a_suggestion_is_used_for_the_run_it_was_made_for_only() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let need = bench.needs().await.remove(0);
    assert_eq!((need.next_index, need.count), (1, 16));
    // The search answers twice, the second time late: runs 1 to 3 exist by then.
    bench.engine.offer(counted(&need, 3)).await.unwrap();
    bench.register("b").await;
    for name in ["a", "a", "b"] {
        assert!(matches!(
            bench.acquire(name, Duration::ZERO).await,
            Ok(Acquired::Assigned(_))
        ));
    }
    bench.engine.offer(counted(&need, 5)).await.unwrap();
    let Ok(Acquired::Assigned(fourth)) = bench.acquire("b", Duration::ZERO).await else {
        panic!("no run")
    };
    assert_eq!((fourth.attempt.run, fourth.config), (4, point(4)));
}

#[tokio::test]
async fn the_search_is_never_asked_twice_about_one_history() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let need = bench.needs().await.remove(0);
    // A search that finds nothing and does not say that nothing is left.
    bench
        .engine
        .offer(Computed {
            suggestions: vec![],
            ..counted(&need, 0)
        })
        .await
        .unwrap();
    assert!(bench.needs().await.is_empty());
}

#[tokio::test]
async fn a_bayesian_search_is_asked_again_when_a_run_has_ended() {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::Bayes)).await;
    bench.register("a").await;
    let need = bench.needs().await.remove(0);
    assert_eq!(need.count, 1);
    bench.engine.offer(counted(&need, 2)).await.unwrap();
    let Ok(Acquired::Assigned(first)) = bench.acquire("a", Duration::ZERO).await else {
        panic!("no run")
    };
    assert!(bench.needs().await.is_empty(), "one is ready");
    bench.report("a", &first.attempt, 0.5).await.unwrap();
    assert!(bench.needs().await.is_empty(), "nothing has ended");
    bench.succeed("a", &first.attempt).await.unwrap();
    let need = bench.needs().await.remove(0);
    assert_eq!(
        (need.next_index, need.observations.len(), need.pending.len()),
        (2, 1, 0)
    );
    // The older one serves until the newer one comes.
    assert!(matches!(
        bench.acquire("a", Duration::ZERO).await,
        Ok(Acquired::Assigned(_))
    ));
}

#[tokio::test]
async fn no_search_is_asked_for_a_sweep_without_agents() {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::Grid)).await;
    assert!(bench.needs().await.is_empty());
}

#[tokio::test]
async fn sweeps_are_found_by_id_prefix_and_name() {
    let bench = Bench::over(MemoryStore::new());
    let find = |text| bench.engine.find_sweep(text);
    assert_eq!(
        find("x").await.unwrap_err().to_string(),
        "no sweep `x`: the controller has none yet"
    );
    bench.create(spec(Method::Grid)).await;
    let other = SweepId("abzz0000".to_owned());
    let named = SweepSpec {
        name: None,
        ..spec(Method::Grid)
    };
    let command = Command::CreateSweep {
        sweep: other.clone(),
        spec: Box::new(named),
        source: String::new(),
        seed: 1,
    };
    bench.engine.command("", command).await.unwrap();
    for text in ["abcd1234", "abc", "first"] {
        assert_eq!(find(text).await, Ok(sweep_id()), "{text}");
    }
    assert_eq!(find("abz").await, Ok(other));
    assert_eq!(
        find("ab").await.unwrap_err().to_string(),
        "`ab` begins the ids of 2 sweeps: abcd1234, abzz0000; give more of it"
    );
    assert_eq!(
        find("x").await.unwrap_err().to_string(),
        "no sweep `x`; the newest are abcd1234 (first), abzz0000"
    );
    assert_eq!(
        find("").await.unwrap_err().to_string(),
        "no sweep ``; the newest are abcd1234 (first), abzz0000"
    );
}

#[tokio::test]
async fn output_is_kept_for_attempts_that_exist() {
    let store = MemoryStore::new();
    let bench = Bench::with_sweep(store.clone()).await;
    let run = bench.assigned("a").await.attempt;
    let chunk = |attempt| LogChunk {
        attempt,
        offset: 0,
        data: b"hello\n".to_vec(),
    };
    let append = async |name: &str, attempt| {
        bench
            .engine
            .append_log(agent(name), String::new(), chunk(attempt))
            .await
    };
    append("a", run.clone()).await.unwrap();
    assert_eq!(store.query().log(&run, 0, 100).unwrap().data, b"hello\n");
    for unknown in [
        attempt(1, 2),
        attempt(1, 0),
        attempt(2, 1),
        AttemptRef {
            sweep: SweepId("none".to_owned()),
            ..run
        },
    ] {
        assert!(matches!(
            append("a", unknown).await,
            Err(EngineError::Refused(_))
        ));
    }
    assert!(
        matches!(
            append("b", attempt(1, 1)).await,
            Err(EngineError::Refused(Refusal::StaleAttempt { .. }))
        ),
        "it is another agent's"
    );
}

#[tokio::test]
async fn rows_follow_the_state() {
    let store = MemoryStore::new();
    let bench = Bench::with_sweep(store.clone()).await;
    let run = bench.assigned("a").await.attempt;
    bench.start("a", &run).await.unwrap();
    let reading = store.query();
    assert_eq!(reading.agents(None).unwrap()[0].running, 1);
    bench.report("a", &run, 0.25).await.unwrap();
    let row = reading.run(&sweep_id(), 1).unwrap().unwrap();
    assert_eq!(
        (row.state, row.params_json.as_str(), row.best, row.value),
        (RunState::Running, r#"{"x":1}"#, Some(0.25), None)
    );
    assert_eq!(
        (
            row.attempts[0].host.as_str(),
            row.attempts[0].metrics["loss"]
        ),
        ("host of a", 0.25)
    );
    bench.succeed("a", &run).await.unwrap();
    let row = reading.run(&sweep_id(), 1).unwrap().unwrap();
    assert_eq!(
        (row.state, row.value, row.why.as_str()),
        (RunState::Finished, Some(0.25), "x is 1")
    );
    assert_eq!(reading.agents(None).unwrap()[0].running, 0);
    assert_eq!(reading.metrics(&run, 0, 9).unwrap().len(), 1);
    assert_eq!(
        bench.state().await.sweeps[&sweep_id()]
            .runs
            .get(1)
            .unwrap()
            .state,
        RunState::Finished
    );
}

#[tokio::test]
async fn an_agent_that_waits_gets_a_run_as_soon_as_it_is_offered_and_no_search_is_asked() {
    let bench = Bench::over(MemoryStore::new());
    bench.create(spec(Method::External)).await;
    bench.register("a").await;
    let (acquired, ()) = tokio::join!(bench.acquire("a", LONG), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        assert!(bench.needs().await.is_empty());
        let runs = vec![Offered {
            config: point(7),
            reason: String::new(),
        }];
        bench
            .engine
            .command(
                "",
                Command::OfferRuns {
                    sweep: sweep_id(),
                    runs,
                    end: false,
                },
            )
            .await
            .unwrap();
    });
    let Ok(Acquired::Assigned(assignment)) = acquired else {
        panic!("{acquired:?}")
    };
    assert_eq!(
        (assignment.config, assignment.why),
        (point(7), Why::new(Kind::External, "offered"))
    );
    assert!(bench.needs().await.is_empty());
}
