//! What attempts are executed in: looked at while their programs start, and told to the controller where it has changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_proto::v1;

use super::link::Link;
use super::{Session, chance};
use crate::capture::data::{DataKeeper, DataSet, DataSource};
use crate::capture::environment::{CapturedEnvironment, Surveyor};
use crate::job::Job;
use crate::{AgentOptions, Notice};

/// What is looked at, and what was seen and told before.
#[derive(Debug)]
pub(super) struct Observer {
    surveyor: Arc<Surveyor>,
    keeper: Arc<Mutex<DataKeeper>>,
    workdir: PathBuf,
    /// The data sets as they were before the last run began.
    data: Mutex<Vec<DataSet>>,
    /// The digest of what the controller was told last. Held while it is told, so that what comes later is told later.
    told: tokio::sync::Mutex<String>,
}

impl Observer {
    pub(super) fn new(host: String, options: &AgentOptions) -> Self {
        Self {
            surveyor: Arc::new(Surveyor::new(host, Arc::clone(&options.driver))),
            keeper: Arc::new(Mutex::new(DataKeeper::new(options.workdir.clone(), &options.runs_dir))),
            workdir: options.workdir.clone(),
            data: Mutex::default(),
            told: tokio::sync::Mutex::default(),
        }
    }

    /// Tells the controller what a command is executed in, unless it knows. A controller that does not take it loses that, and no run.
    pub(super) async fn describe(&self, link: &Link, job: &Job, command: &[String]) {
        let mut told = self.told.lock().await;
        let (surveyor, command, workdir) = (Arc::clone(&self.surveyor), command.to_vec(), self.workdir.clone());
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let looking = tokio::task::spawn_blocking(move || surveyor.look(&command, &workdir, data));
        let environment = match looking.await {
            Ok(environment) => environment,
            Err(error) => return tracing::error!(%error, "looking at the environment broke off"),
        };
        let digest = environment.digest();
        if *told == digest {
            return;
        }
        let request = v1::DescribeEnvironmentRequest {
            agent_id: job.agent.clone(),
            sweep_id: job.sweep.clone(),
            environment: Some(wire(environment, digest.clone())),
            request_id: chance::request_id(),
        };
        match link.until_answered_somehow(async |mut client| client.describe_environment(request.clone()).await).await {
            Ok(_) => {}
            Err(refused) => tracing::debug!(reason = refused.message, "the controller was not told of the environment"),
        }
        *told = digest;
    }
}

impl Session {
    /// Looks at the data that the sweep file declares, before a slot asks for a run: the first look reads all of it, and a run that was taken has a lease.
    pub(super) async fn look_at_data(&self) {
        self.look_at(&self.program).await;
    }

    /// Looks again before a run that was taken begins: mostly at what was seen just now. What takes too long is left as it was seen last.
    pub(super) async fn look_at_data_of(&self, assignment: &v1::Assignment) {
        let program = assignment.program.as_ref().unwrap_or(&self.program);
        let _ = tokio::time::timeout(self.lease / 4, self.look_at(program)).await;
    }

    async fn look_at(&self, program: &v1::Program) {
        let Some(observer) = &self.observer else { return };
        let source = |source: &v1::DataSource| DataSource { name: source.name.clone(), location: source.location.clone() };
        let sources: Vec<_> = program.data.iter().map(source).collect();
        if sources.is_empty() {
            observer.data.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return;
        }
        let keeper = Arc::clone(&observer.keeper);
        let looking = tokio::task::spawn_blocking(move || keeper.lock().unwrap_or_else(PoisonError::into_inner).look(&sources));
        let Ok(found) = looking.await else { return };
        let before = std::mem::replace(&mut *observer.data.lock().unwrap_or_else(PoisonError::into_inner), found.clone());
        for set in found {
            match before.iter().find(|known| known.name == set.name) {
                Some(known) if known.digest == set.digest && known.note == set.note => {}
                known => self.link.notice(Notice::Note(words(&set, known.is_some()))),
            }
        }
    }
}

/// Says what a data set is, for a person.
fn words(set: &DataSet, known: bool) -> String {
    let news = if known { "the data has changed" } else { "data" };
    let note = if set.note.is_empty() { String::new() } else { format!("; {}", set.note) };
    let name = if set.name == set.location { set.name.clone() } else { format!("{} ({})", set.name, set.location) };
    match set.digest.get(..8) {
        Some(digest) => {
            let plural = if set.files == 1 { "" } else { "s" };
            format!("{news}: {name} is {digest}, {} file{plural} by {}{note}", set.files, set.basis)
        }
        None => format!("{news}: {name} cannot be told: {}", set.note),
    }
}

fn wire(environment: CapturedEnvironment, digest: String) -> v1::Environment {
    let CapturedEnvironment { facts, packages, variables, data } = environment;
    let data = data.into_iter().map(|set| {
        let DataSet { name, location, digest, basis, files, bytes, note } = set;
        v1::DataSet { name, location, digest, basis, files, bytes, note }
    });
    v1::Environment { digest, facts: facts.into_iter().collect(), packages, variables, data: data.collect() }
}
