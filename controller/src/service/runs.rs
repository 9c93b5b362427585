//! Actions on runs: cancel, annotate, retry, read metrics again, and what executes one.

use sweep_lifecycle::command::{AnnotationPatch, Command, Reply};
use sweep_proto::v1;
use tonic::Status;

use super::refusal::{from_engine, out_of_turn};
use super::{Services, convert, follow, limits};

impl Services {
    pub(super) async fn cancel(
        &self,
        request: v1::CancelRunRequest,
    ) -> Result<v1::CancelRunResponse, Status> {
        let v1::CancelRunRequest {
            sweep_id,
            run,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::CancelRun { sweep, run })
            .await
            .map_err(from_engine)?;
        let Reply::Run(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::CancelRunResponse {
            state: convert::word(state),
        })
    }

    pub(super) async fn annotate(
        &self,
        request: v1::AnnotateRunRequest,
    ) -> Result<v1::AnnotateRunResponse, Status> {
        let v1::AnnotateRunRequest {
            sweep_id,
            run,
            request_id,
            note,
            add_tags,
            remove_tags,
            pinned,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::note(note.as_deref().unwrap_or_default())?;
        limits::list("tags", add_tags.len() + remove_tags.len())?;
        add_tags
            .iter()
            .chain(&remove_tags)
            .try_for_each(|tag| limits::tag(tag))?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let said = AnnotationPatch {
            note,
            add: add_tags.into_iter().collect(),
            remove: remove_tags.into_iter().collect(),
            pinned,
        };
        let command = Command::AnnotateRun {
            sweep: sweep.clone(),
            run,
            said,
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        Ok(v1::AnnotateRunResponse {
            run: Some(convert::run(self.run_row(&sweep, run).await?)),
        })
    }

    pub(super) async fn retry(
        &self,
        request: v1::RetryRunsRequest,
    ) -> Result<v1::RetryRunsResponse, Status> {
        let v1::RetryRunsRequest {
            sweep_id,
            runs,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::list("runs", runs.len())?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::RetryRuns { sweep, runs })
            .await
            .map_err(from_engine)?;
        let Reply::Retried { requeued, skipped } = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::RetryRunsResponse { requeued, skipped })
    }

    pub(super) async fn execution(
        &self,
        request: v1::GetExecutionRequest,
    ) -> Result<v1::GetExecutionResponse, Status> {
        let v1::GetExecutionRequest {
            sweep_id,
            run,
            attempt,
        } = request;
        let sweep = self.find_sweep(&sweep_id).await?;
        let row = self.run_row(&sweep, run).await?;
        let attempt = follow::attempt_of(&row, attempt)?;
        let revision = row
            .attempts
            .iter()
            .find(|known| known.attempt == attempt.attempt)
            .map(|known| known.revision);
        let basis = self
            .engine
            .basis(&sweep, revision)
            .await
            .map_err(from_engine)?;
        let assignment = convert::assignment_of(&row, attempt, basis.seed);
        Ok(v1::GetExecutionResponse {
            program: Some(convert::program(&basis)),
            assignment: Some(assignment),
        })
    }

    pub(super) async fn reread(
        &self,
        request: v1::RereadRunRequest,
    ) -> Result<v1::RereadRunResponse, Status> {
        let v1::RereadRunRequest {
            sweep_id,
            run,
            attempt,
            points,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let command = Command::RereadRun {
            attempt: convert::attempt_ref(&sweep.0, run, attempt)?,
            points: convert::points(points)?,
        };
        let reply = self
            .engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        let Reply::Run(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::RereadRunResponse {
            run_state: convert::word(state),
        })
    }

    pub(super) async fn environment(
        &self,
        request: v1::GetEnvironmentRequest,
    ) -> Result<v1::GetEnvironmentResponse, Status> {
        let v1::GetEnvironmentRequest { sweep_id, digest } = request;
        limits::name("digest", &digest)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let unknown = Status::not_found(format!(
            "no run of sweep {} was executed in an environment {digest}",
            sweep.0
        ));
        let found = self
            .read(move |query| query.environment(&sweep, &digest))
            .await?
            .ok_or(unknown)?;
        Ok(v1::GetEnvironmentResponse {
            environment: Some(convert::wire_environment(found)),
        })
    }
}
