//! The hosts of the simulated machines: the controller, agents, and a user.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_agent::channel::{ControllerTarget, Trust};
use sweep_agent::{AgentOptions, Interrupt, Notice, Nvidia, TokenSource, simulation};
use sweep_controller::engine::{Clock, Engine, EngineOptions, Mutation, Terms};
use sweep_controller::reader::Reader;
use sweep_controller::service::{self, About, Services, Turns, UnreadObjectives};
use sweep_controller::{planner, reaper};
use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::Timestamp;
use sweep_proto::v1::set_sweep_state_request::Action;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{
    CancelRunRequest, CreateSweepRequest, EditSweepRequest, RetryRunsRequest, SetSweepStateRequest,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tonic::transport::{Endpoint, Server};

use crate::disk::Disk;
use crate::front::InterferedRoutes;
use crate::network;
use crate::world::{Preemption, UserRequest, World};

/// The sweep's `max_silence`.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(6);
pub(crate) const LEASE: Duration = Duration::from_secs(4);

/// The controller's id.
pub(crate) const CONTROLLER: &str = "c0ffee000000";

/// Few, so that a start finds an image of the state which lacks something, and that is compared with the log.
const EVENTS_PER_IMAGE: u64 = 40;

/// The controller, until it ends by itself: then it waits to be started again.
pub(crate) async fn controller(world: World, mutation: Mutation) -> turmoil::Result {
    let terms = Terms {
        lease: LEASE,
        patience: Duration::from_millis(200),
        ..Terms::default()
    };
    let clock = Arc::new(SimulatedClock {
        started: Instant::now(),
        world: world.clone(),
    });
    let controller = Some(CONTROLLER.to_owned());
    let options = EngineOptions {
        clock,
        controller,
        mutation,
        events_per_image: EVENTS_PER_IMAGE,
        ..EngineOptions::new(terms)
    };
    let (store, query) = world.storage().open()?;
    let disk = Disk {
        store,
        world: world.clone(),
    };
    let (engine, mut join, driver) = Engine::open(Box::new(disk), options)?;
    let slowness = world.clone();
    tokio::spawn(driver.run_as_task(move || Duration::from_millis(slowness.record().disk_ms)));
    tokio::spawn(reaper::run(engine.clone()));
    tokio::spawn(planner::run_inline(engine.clone()));
    let about = About {
        data_dir: PathBuf::new(),
        started_ms: 0,
        lease: LEASE,
    };
    let (interfering, stamping) = (world.clone(), engine.clone());
    let front = tower::layer::layer_fn(move |routes| InterferedRoutes {
        world: interfering.clone(),
        engine: stamping.clone(),
        routes,
    });
    let services = Services {
        engine,
        reader: Reader::inline(query),
        about,
        stopping: watch::Sender::new(false),
        analyses: Turns::default(),
        snapshots: None,
        unread: UnreadObjectives::default(),
        logins: None,
    };
    let incoming = network::incoming().await?;
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(2)))
        .layer(front)
        .add_routes(service::routes(&services))
        .serve_with_incoming(incoming);
    tokio::select! {
        _ = join.ended() => {}
        _ = server => {}
    }
    world.record().controller_ended = true;
    pending().await
}

#[derive(Clone)]
struct SimulatedClock {
    started: Instant,
    world: World,
}

impl std::fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedClock")
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Mono {
        self.started.elapsed()
    }

    fn wall(&self) -> Timestamp {
        let since = turmoil::sim_elapsed().unwrap_or_default();
        Timestamp(1_700_000_000_000 + since.as_millis() as i64 + self.world.record().skew_ms)
    }
}

/// An agent, started again whenever it ends before the sweep does. `wishes` says when its machine is to be taken away.
pub(crate) async fn agent(
    host: String,
    world: World,
    runs_dir: PathBuf,
    slots: usize,
    preempt: watch::Receiver<Preemption>,
) -> turmoil::Result {
    loop {
        let Some(sweep) = world.record().sweep.clone() else {
            sleep(Duration::from_millis(300)).await;
            continue;
        };
        let options = AgentOptions {
            controller: ControllerTarget {
                endpoint: Endpoint::from_static("http://controller:7433"),
                trust: Trust::Own,
            },
            token: TokenSource::default(),
            sweep,
            count: None,
            slots: Some(slots),
            gpus_per_run: Some(0),
            workdir: runs_dir.clone(),
            runs_dir: runs_dir.clone(),
            state_dir: runs_dir.clone(),
            grace: Duration::from_secs(2),
            settle: Duration::from_millis(500),
            wait: Duration::ZERO,
            shim: PathBuf::new(),
            captures: false,
            ends_alone: false,
            driver: Arc::<Nvidia>::default(),
        };
        let (notices, mut told) = mpsc::unbounded_channel();
        let listener = world.clone();
        tokio::spawn(async move {
            while let Some(notice) = told.recv().await {
                if let Notice::Ended {
                    run,
                    attempt,
                    state,
                    ..
                } = notice
                {
                    listener.told(run, attempt, &state);
                }
            }
        });
        let (interrupt, interrupts) = mpsc::channel(1);
        let mut preempted = preempt.clone();
        preempted.mark_unchanged();
        let (scheduler, machine) = (world.clone(), host.clone());
        let taken_away = tokio::spawn(async move {
            if preempted.changed().await.is_ok() {
                let preemption = *preempted.borrow_and_update();
                scheduler
                    .preempt(preemption, &machine, interrupt.clone())
                    .await;
            }
            pending::<()>().await;
        });
        let programs = Arc::new(world.clone());
        let outcome = simulation::run(
            &host,
            programs,
            world.processes().clone(),
            network::controller(),
            options,
            interrupts,
            notices,
        )
        .await;
        taken_away.abort();
        world.record().note(&format!("{host} left: {outcome:?}"));
        sleep(Duration::from_secs(1)).await;
    }
}

impl World {
    /// Signals an agent and, where the scheduler does that too, its programs, in either order.
    async fn preempt(
        &self,
        preemption: Preemption,
        host: &str,
        interrupt: mpsc::Sender<Interrupt>,
    ) {
        let Preemption {
            agent_after,
            programs,
            ..
        } = preemption;
        let agent = async {
            sleep(agent_after).await;
            let _ = interrupt.send(Interrupt::Preempt).await;
        };
        let signal = async {
            let Some((after, into_errors)) = programs else {
                return Vec::new();
            };
            sleep(after).await;
            self.processes().signal(
                host,
                turmoil::sim_elapsed().unwrap_or_default(),
                into_errors,
                SILENCE_MAX,
            )
        };
        let ((), signalled) = tokio::join!(agent, signal);
        self.processes().note_preemption(&signalled);
    }
}

/// A person who creates the sweep, and later does as wished.
pub(crate) async fn person(world: World, yaml: String) -> turmoil::Result {
    let mut client = SweepServiceClient::new(network::controller());
    let create = CreateSweepRequest {
        yaml: yaml.clone(),
        request_id: "create".to_owned(),
        name: "simulated".to_owned(),
        code: None,
    };
    let sweep = loop {
        match client.create_sweep(create.clone()).await {
            Ok(answer) => break answer.into_inner().sweep_id,
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                return Err(status.message().into());
            }
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    };
    world.record().sweep = Some(sweep.clone());
    for number in 0u64.. {
        let request_id = format!("wish {number}");
        let wish = loop {
            let wish = world.record().wishes.pop();
            match wish {
                Some(wish) => break wish,
                None => sleep(Duration::from_millis(100)).await,
            }
        };
        // A refusal is an answer: whatever was wished may make no sense any more.
        for _ in 0..20 {
            let sweep_id = sweep.clone();
            let request_id = request_id.clone();
            let set = |action: Action| SetSweepStateRequest {
                sweep_id: sweep.clone(),
                action: action.into(),
                request_id: request_id.clone(),
            };
            let answer = match wish {
                UserRequest::Pause => client.set_sweep_state(set(Action::Pause)).await.map(|_| ()),
                UserRequest::Resume => client
                    .set_sweep_state(set(Action::Resume))
                    .await
                    .map(|_| ()),
                UserRequest::RetryFailed => client
                    .retry_runs(RetryRunsRequest {
                        sweep_id,
                        runs: Vec::new(),
                        request_id,
                    })
                    .await
                    .map(|_| ()),
                UserRequest::Edit(how) => {
                    let yaml = edited(&yaml, how);
                    client
                        .edit_sweep(EditSweepRequest {
                            sweep_id,
                            yaml,
                            request_id,
                            ..EditSweepRequest::default()
                        })
                        .await
                        .map(|_| ())
                }
                UserRequest::UndoEdit => {
                    let request = EditSweepRequest {
                        sweep_id,
                        undo: true,
                        request_id,
                        ..EditSweepRequest::default()
                    };
                    client.edit_sweep(request).await.map(|_| ())
                }
                UserRequest::CancelRun(run) => client
                    .cancel_run(CancelRunRequest {
                        sweep_id,
                        run,
                        request_id,
                    })
                    .await
                    .map(|_| ()),
            };
            match answer.map_err(|status| status.code()) {
                Err(
                    tonic::Code::Cancelled
                    | tonic::Code::Unavailable
                    | tonic::Code::Unknown
                    | tonic::Code::ResourceExhausted,
                ) => {
                    sleep(Duration::from_millis(500)).await;
                }
                _ => break,
            }
        }
    }
    Ok(())
}

/// The sweep file with something of it changed: fewer values, one parameter more, another goal; or as it was.
fn edited(yaml: &str, how: u64) -> String {
    match how {
        0 => yaml
            .replace("x: {values: [0, ", "x: {values: [")
            .replace("max: 1.0", "max: 0.6"),
        1 => format!("{yaml}  z: {{values: [0, 1], was: 0}}\n"),
        2 => yaml.replace("goal: minimize", "goal: maximize"),
        _ => yaml.to_owned(),
    }
}
