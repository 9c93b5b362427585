//! Actions on versions of the code: pin, move, mark, rerun.
//!
//! A sweep never exists without its code: the snapshot is staged first, under its hash alone, and the call that names it is refused where it is
//! not there. What was staged for a call that never came is a version like any other, without users.

use std::collections::BTreeMap;

use sweep_lifecycle::command::{Command, Pin, Push, Reply, Rerun};
use sweep_lifecycle::state::{AgentId, CodeMark, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::mark_code_request::Mark;
use sweep_proto::v1::rerun::Which;
use tonic::Status;

use super::patches::Patch;
use super::refusal::{from_engine, invalid, out_of_turn, unknown_sweep};
use super::{Services, convert, limits};

impl Services {
    /// Lists the versions of a sweep's code.
    pub(super) async fn code_versions(
        &self,
        request: v1::ListCodeRequest,
    ) -> Result<v1::ListCodeResponse, Status> {
        let sweep = self.find_sweep(&request.sweep_id).await?;
        let id = sweep.clone();
        let found = self.read(move |query| {
            let Some((row, _)) = query.sweep(&id)? else {
                return Ok(None);
            };
            let codes = query.codes(&row)?;
            Ok(Some((row, codes, query.agents(Some(&id))?)))
        });
        let (row, mut counts, agents) = found.await?.ok_or_else(|| unknown_sweep(&sweep.0))?;
        let names: Vec<_> = row
            .codes
            .iter()
            .map(|version| version.version.clone())
            .collect();
        let (kept, changes, patches) = match &self.snapshots {
            Some(snapshots) => (
                snapshots.kept(names.clone()).await,
                snapshots.changes(names.clone()).await,
                snapshots.patches().await,
            ),
            None => Default::default(),
        };
        let versions = (1..).zip(row.codes).map(|(number, version)| {
            let known = convert::VersionFacts {
                kept: kept.contains(&version.version),
                has_patch: patches
                    .contains(&(version.version.clone(), version.about.commit.clone())),
                pinned: row.pinned == version.version,
                changes: changes.get(&version.version).copied(),
                names: &names,
            };
            let host = version
                .agent
                .as_ref()
                .and_then(|first| agents.iter().find(|row| row.id == first.0));
            let host = host.map(|row| row.host.clone()).unwrap_or_default();
            let having = agents
                .iter()
                .filter(|row| row.alive && row.code == version.version)
                .map(|row| row.id.clone())
                .collect();
            let counts = counts.remove(&version.version).unwrap_or_default();
            convert::code_version(number, version, host, &counts, having, &known)
        });
        let versions = versions.collect();
        let unknown = counts.values().map(|counts| counts.runs).sum();
        Ok(v1::ListCodeResponse { versions, unknown })
    }

    /// Says whether the snapshot of a version is wanted.
    pub(super) async fn prepare(
        &self,
        request: v1::PrepareCodeRequest,
    ) -> Result<v1::PrepareCodeResponse, Status> {
        let v1::PrepareCodeRequest { sweep_id, version } = request;
        limits::name("version", &version)?;
        self.kept_code()?;
        let sweep = if sweep_id.is_empty() {
            None
        } else {
            Some(self.find_sweep(&sweep_id).await?)
        };
        let (wanted, have) = self.wanted(sweep.as_ref(), &version).await;
        Ok(v1::PrepareCodeResponse { wanted, have })
    }

    /// Returns a version that was staged, checked against the limits.
    pub(super) async fn staged(&self, mut code: Option<v1::Code>) -> Result<Pin, Status> {
        let patch = Patch::take(&mut code)?;
        let (version, about) = convert::code(code)?;
        if self
            .kept_code()?
            .kept(vec![version.clone()])
            .await
            .is_empty()
        {
            return Err(Status::failed_precondition(format!(
                "there is no snapshot of code version {version}: StageCode comes first"
            )));
        }
        self.keep_patch(patch).await;
        Ok(Pin { version, about })
    }

    /// Moves a sweep to a version.
    pub(super) async fn move_to(
        &self,
        request: v1::MoveCodeRequest,
    ) -> Result<v1::MoveCodeResponse, Status> {
        let v1::MoveCodeRequest {
            sweep_id,
            request_id,
            code,
            pin,
            stop_running,
            rerun,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let push = Push {
            pin,
            stop_running,
            rerun: which(rerun)?,
        };
        let command = Command::PinCode {
            sweep,
            code: self.staged(code).await?,
            push,
        };
        let reply = self
            .engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        let Reply::Pinned(to) = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::MoveCodeResponse {
            number: to.number,
            moved: to.moved,
            stopped: to.stopped,
            again: to.again,
            skipped: to.skipped,
        })
    }

    /// Records the user's mark of a version.
    pub(super) async fn mark(
        &self,
        request: v1::MarkCodeRequest,
    ) -> Result<v1::MarkCodeResponse, Status> {
        let v1::MarkCodeRequest {
            sweep_id,
            request_id,
            version,
            mark,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::name("version", &version)?;
        let mark = match mark {
            None | Some(Mark::Unusable(false)) => None,
            Some(Mark::Unusable(true)) => Some(CodeMark::Unusable),
            Some(Mark::SameAs(other)) => {
                limits::name("same_as", &other)?;
                Some(CodeMark::SameAs(other))
            }
        };
        let sweep = self.find_sweep(&sweep_id).await?;
        self.engine
            .command(
                &request_id,
                Command::MarkCode {
                    sweep,
                    version,
                    mark,
                },
            )
            .await
            .map_err(from_engine)?;
        Ok(v1::MarkCodeResponse {})
    }

    /// Tries points again.
    pub(super) async fn rerun(
        &self,
        request: v1::RerunPointsRequest,
    ) -> Result<v1::RerunPointsResponse, Status> {
        let v1::RerunPointsRequest {
            sweep_id,
            request_id,
            rerun,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let which = which(rerun)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::RerunPoints { sweep, which })
            .await
            .map_err(from_engine)?;
        let Reply::Rerun { again, skipped } = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::RerunPointsResponse { again, skipped })
    }

    /// Says which other agents of a sweep have other code now.
    pub(super) async fn others(
        &self,
        sweep: &SweepId,
        agent: &AgentId,
        version: &str,
    ) -> Result<Vec<String>, Status> {
        let sweep = sweep.clone();
        let agents = self.read(move |query| query.agents(Some(&sweep))).await?;
        let differs = |code: &str| !code.is_empty() && code != version;
        let mut by_version: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in agents
            .into_iter()
            .filter(|row| row.alive && row.id != agent.0 && row.running > 0 && differs(&row.code))
        {
            by_version.entry(row.code).or_default().push(row.host);
        }
        Ok(by_version
            .into_iter()
            .map(|(code, hosts)| {
                format!("version {code:.8} on {}", limits::line(&hosts.join(", ")))
            })
            .collect())
    }
}

fn which(rerun: Option<v1::Rerun>) -> Result<Rerun, Status> {
    match rerun.and_then(|rerun| rerun.which) {
        None | Some(Which::All(false)) => Ok(Rerun::None),
        Some(Which::All(true)) => Ok(Rerun::All),
        Some(Which::Best(0)) => Err(invalid("the best 0 points are none")),
        Some(Which::Best(count)) => Ok(Rerun::Best(count)),
    }
}
