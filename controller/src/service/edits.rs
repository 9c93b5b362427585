//! Previews and applies edits of a sweep's file, and lists its revisions.

use sweep_lifecycle::command::{Command, Reply};
use sweep_lifecycle::spec::{self, SweepSpec};
use sweep_lifecycle::state::{CodeAct, CodeMark, CodeStep, RevisionEffect, SweepId};
use sweep_proto::v1;
use sweep_search::space::{Path, Value};
use tonic::Status;

use super::creation::parse;
use super::refusal::{from_engine, invalid, out_of_turn, unknown_sweep};
use super::{Services, convert, limits};

impl Services {
    pub(super) async fn edit(
        &self,
        request: v1::EditSweepRequest,
    ) -> Result<v1::EditSweepResponse, Status> {
        let v1::EditSweepRequest {
            sweep_id,
            yaml,
            undo,
            base,
            dry_run,
            was_json,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::list("was_json", was_json.len())?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let base = (base > 0).then_some(base);
        let mut response = v1::EditSweepResponse::default();
        let command = if undo {
            if !yaml.is_empty() {
                return Err(invalid("an edit has a file or is an undo, not both"));
            }
            Command::UndoEdit {
                sweep: sweep.clone(),
                base,
            }
        } else {
            let (mut spec, warnings) = parse(&yaml).await?;
            answer(&mut spec, was_json)?;
            response.warnings = warnings.into_iter().map(convert::diagnostic).collect();
            let before = self.engine.spec(&sweep).await.map_err(from_engine)?;
            let unexplained = spec::unexplained(&before.space, &spec).into_iter();
            response.questions = unexplained
                .map(|(parameter, distribution)| v1::Question {
                    parameter,
                    distribution,
                })
                .collect();
            Command::EditSweep {
                sweep: sweep.clone(),
                spec: Box::new(spec),
                source: yaml,
                base,
            }
        };
        let reply = if dry_run {
            self.engine.preview(command).await
        } else {
            self.engine.command(&request_id, command).await
        }
        .map_err(from_engine)?;
        let Reply::Edited {
            revision,
            changes,
            effect,
            state,
        } = reply
        else {
            return Err(out_of_turn());
        };
        if !dry_run && !changes.is_empty() {
            tracing::info!(sweep = %sweep.0, revision, "sweep edited");
        }
        Ok(v1::EditSweepResponse {
            revision,
            changes,
            effect: Some(convert_effect(effect)),
            state: convert::word(state),
            ..response
        })
    }

    pub(super) async fn revisions(
        &self,
        sweep: &SweepId,
    ) -> Result<v1::ListRevisionsResponse, Status> {
        let id = sweep.clone();
        let (row, _) = self
            .read(move |query| query.sweep(&id))
            .await?
            .ok_or_else(|| unknown_sweep(&sweep.0))?;
        let first = v1::Revision {
            revision: 1,
            space: 1,
            since_ms: row.created_ms,
            yaml: row.yaml.clone(),
            ..v1::Revision::default()
        };
        let known = (1..)
            .zip(row.revisions)
            .map(|(revision, row)| v1::Revision {
                revision,
                space: row.space,
                restores: row.restores.unwrap_or(0),
                changes: row.changes,
                effect: Some(convert_effect(row.effect)),
                since_ms: row.since_ms,
                yaml: row.yaml,
            });
        let mut revisions: Vec<_> = known.collect();
        if revisions.is_empty() {
            revisions.push(first);
        }
        Ok(v1::ListRevisionsResponse {
            revisions,
            code_steps: row.code_steps.into_iter().map(code_step).collect(),
        })
    }

    pub(super) async fn set_state(
        &self,
        request: v1::SetSweepStateRequest,
    ) -> Result<v1::SetSweepStateResponse, Status> {
        let v1::SetSweepStateRequest {
            sweep_id,
            action,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let action = convert::sweep_action(action)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::SetSweep { sweep, action })
            .await
            .map_err(from_engine)?;
        let Reply::Sweep(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::SetSweepStateResponse {
            state: convert::word(state),
        })
    }
}

fn code_step(step: CodeStep) -> v1::CodeStep {
    let (act, same_as) = match step.act {
        CodeAct::Pinned => ("pinned", String::new()),
        CodeAct::Marked(CodeMark::SameAs(other)) => ("same-as", other),
        CodeAct::Marked(CodeMark::Unusable) => ("unusable", String::new()),
        CodeAct::Unmarked => ("unmarked", String::new()),
    };
    v1::CodeStep {
        since_ms: step.since.0,
        version: step.version,
        act: act.to_owned(),
        same_as,
    }
}

/// Adds the user's previous values to those of the file.
fn answer(
    spec: &mut SweepSpec,
    was_json: std::collections::HashMap<String, String>,
) -> Result<(), Status> {
    for (name, json) in was_json {
        let found = spec
            .space
            .parameters()
            .iter()
            .find(|parameter| parameter.path.to_string() == name);
        let Some(path) = found.map(|parameter| parameter.path.clone()) else {
            return Err(invalid(format!(
                "what the code used until now was told for a parameter that is not in the file: it has no parameter `{}`",
                name.escape_debug()
            )));
        };
        limits::name("was_json", &json)?;
        let value = serde_json::from_str(&json)
            .map_err(|error| invalid(format!("was_json of `{name}` is not JSON: {error}")))?;
        let value = Value::from_json(&value);
        if let Some(mistake) = spec
            .space
            .get(&path)
            .and_then(|parameter| spec::was_mistake(parameter, &value))
        {
            return Err(invalid(mistake));
        }
        spec.origins.was.insert(Path::clone(&path), value);
    }
    Ok(())
}

fn convert_effect(effect: RevisionEffect) -> v1::RevisionEffect {
    v1::RevisionEffect {
        inside: effect.inside,
        outside: effect.outside,
        nowhere: effect.nowhere,
        unreported: effect.unreported,
        violating: effect.violating,
        withdrawn: effect.withdrawn,
        running: effect.running,
    }
}
