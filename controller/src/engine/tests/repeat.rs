//! Same request, same effect.

use sweep_lifecycle::command::Refusal;

use super::*;
use crate::store::MemoryStore;

#[tokio::test]
async fn a_repeated_command_gets_the_first_reply_and_does_nothing() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let run = bench.assigned("a").await.attempt;
    bench.report("a", &run, 0.5).await.unwrap();
    let finish = |name: &str| Command::FinishAttempt {
        agent: agent(name),
        attempt: run.clone(),
        result: AttemptResult::Succeeded,
    };
    let first = bench.engine.command("r1", finish("a")).await;
    let before = bench.state().await;
    assert_eq!(bench.engine.command("r1", finish("a")).await, first);
    assert_eq!(bench.state().await, before);
    let other = bench.engine.command("r1", finish("b")).await;
    assert_eq!(other, Err(EngineError::Replayed("r1".to_owned())));
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let retry = || Command::CancelRun {
        sweep: sweep_id(),
        run: 1,
    };
    let first = bench.engine.command("r1", retry()).await;
    assert!(matches!(first, Err(EngineError::Refused(_))), "{first:?}");
    bench.assigned("a").await;
    assert_eq!(bench.engine.command("r1", retry()).await, first);
}

#[tokio::test]
async fn an_agent_that_was_unknown_is_heard_once_it_has_registered() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let run = bench.assigned("a").await.attempt;
    bench.pass(LEASE).await;
    let start = || {
        let command = Command::StartAttempt {
            agent: agent("a"),
            attempt: run.clone(),
            command: vec!["train".to_owned()],
            code_version: String::new(),
        };
        bench.engine.command("start", command)
    };
    assert_eq!(
        start().await,
        Err(Refusal::UnknownAgent("a".to_owned()).into())
    );
    bench.register("a").await;
    assert_eq!(
        start().await,
        Ok(Reply::Directive(Directive::Continue)),
        "the same request, not the answer of before"
    );
}

#[tokio::test]
async fn repeats_within_one_commit_are_one() {
    let bench = Bench::over(MemoryStore::new());
    let create = || {
        let spec = Box::new(spec(Method::Grid));
        bench.engine.command(
            "create",
            Command::CreateSweep {
                sweep: sweep_id(),
                spec,
                source: String::new(),
                seed: 1,
            },
        )
    };
    let (first, second) = tokio::join!(create(), create());
    assert!(first.is_ok());
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_repeated_acquire_gets_the_same_run_even_after_a_restart() {
    let store = MemoryStore::new();
    let bench = Bench::with_sweep(store.clone()).await;
    bench.feed().await;
    let acquire = |bench: &Bench| {
        let engine = bench.engine.clone();
        async move { engine.acquire("r1", wish("a", LONG)).await }
    };
    let first = acquire(&bench).await;
    assert_eq!(
        timelessly(first.clone()),
        Ok(Acquired::Assigned(Box::new(assignment(1))))
    );
    assert_eq!(acquire(&bench).await, first);
    bench.join.stop().await.unwrap();
    let bench = Bench::over(store);
    assert_eq!(acquire(&bench).await, first);
    assert_eq!(bench.state().await.sweeps[&sweep_id()].runs.len(), 1);
}

#[tokio::test]
async fn a_repeat_of_a_waiting_acquire_takes_its_place() {
    let bench = Bench::with_sweep(MemoryStore::new()).await;
    let acquire = || bench.engine.acquire("r1", wish("a", LONG));
    let (first, second, ()) = tokio::join!(acquire(), acquire(), async {
        while bench.engine.stats().waiting_acquires == 0 {
            tokio::task::yield_now().await;
        }
        bench.feed().await;
    });
    // The queue is served in order: both calls were in it before the suggestions.
    assert_eq!(
        first,
        Ok(Acquired::Wait("this call was repeated".to_owned()))
    );
    assert_eq!(
        timelessly(second),
        Ok(Acquired::Assigned(Box::new(assignment(1))))
    );
    assert_eq!(bench.state().await.sweeps[&sweep_id()].runs.len(), 1);
}
