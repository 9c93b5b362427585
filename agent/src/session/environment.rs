//! The environments of attempts: captured while their programs start, and sent to the controller
//! when they change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_proto::v1::{DataSet, DescribeEnvironmentRequest};

use super::chance;
use super::link::Link;
use crate::AgentOptions;
use crate::capture::data::DataKeeper;
use crate::capture::environment::Surveyor;
use crate::job::Job;

/// The capture of environments and data, and the digest that was sent last.
#[derive(Debug)]
pub(super) struct Observer {
    surveyor: Arc<Surveyor>,
    pub(super) keeper: Arc<Mutex<DataKeeper>>,
    workdir: PathBuf,
    /// The data sets as they were before the last run began.
    pub(super) data: Mutex<Vec<DataSet>>,
    /// The digest of what the controller was told last. Held while it is told, so that what comes
    /// later is told later.
    told: tokio::sync::Mutex<String>,
}

impl Observer {
    pub(super) fn new(host: String, options: &AgentOptions) -> Self {
        Self {
            surveyor: Arc::new(Surveyor::new(host, Arc::clone(&options.driver))),
            keeper: Arc::new(Mutex::new(DataKeeper::new(
                options.workdir.clone(),
                &options.runs_dir,
            ))),
            workdir: options.workdir.clone(),
            data: Mutex::default(),
            told: tokio::sync::Mutex::default(),
        }
    }

    /// Tells the controller what a command is executed in, unless it knows. A controller that does
    /// not take it loses that, and no run.
    pub(super) async fn describe(&self, link: &Link, job: &Job, command: &[String]) {
        let mut told = self.told.lock().await;
        let (surveyor, command, workdir) = (
            Arc::clone(&self.surveyor),
            command.to_vec(),
            self.workdir.clone(),
        );
        let data = self
            .data
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let looking = tokio::task::spawn_blocking(move || surveyor.look(&command, &workdir, data));
        let environment = match looking.await {
            Ok(environment) => environment,
            Err(error) => return tracing::error!(%error, "looking at the environment broke off"),
        };
        let digest = environment.digest();
        if *told == digest {
            return;
        }
        let request = DescribeEnvironmentRequest {
            agent_id: job.agent.clone(),
            sweep_id: job.sweep.clone(),
            environment: Some(environment.into()),
            request_id: chance::request_id(),
        };
        match link
            .until_answered_somehow(async |mut client| {
                client.describe_environment(request.clone()).await
            })
            .await
        {
            Ok(_) => {}
            Err(refused) => tracing::debug!(
                reason = refused.message,
                "the controller was not told of the environment"
            ),
        }
        *told = digest;
    }
}
