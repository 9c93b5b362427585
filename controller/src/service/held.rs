//! The attempts that an agent holds when it registers: the engine adopts what its log lacks and says how each continues.

use sweep_lifecycle::command::{Command, Directive, Refusal, Reply};
use sweep_lifecycle::state::{AgentId, AttemptRef, HeldAttempt};
use sweep_proto::v1;
use tonic::Status;

use super::refusal::{from_engine, out_of_turn};
use super::{Services, convert};
use crate::engine::EngineError;

impl Services {
    /// Records facts about an agent's attempts that the log lacks, and returns the controller's directive for each.
    pub(super) async fn take_up(
        &self,
        agent: &AgentId,
        held: Vec<HeldAttempt>,
        known: Vec<Option<AttemptRef>>,
    ) -> Result<Vec<v1::HeldAttempt>, Status> {
        let mut attempts = Vec::new();
        let mut refused = Vec::new();
        for (held, known) in held.into_iter().zip(known) {
            let named = held.attempt.clone();
            let adopted = match known {
                Some(known) => Ok(known),
                None => match self
                    .engine
                    .command(
                        "",
                        Command::AdoptAttempt {
                            agent: agent.clone(),
                            held: Box::new(held),
                        },
                    )
                    .await
                {
                    Ok(Reply::Adopted(adopted)) => {
                        tracing::info!(agent = %agent.0, run = adopted.run, attempt = adopted.attempt, "recorded an attempt that the log lacked");
                        Ok(adopted)
                    }
                    Ok(_) => return Err(out_of_turn()),
                    Err(EngineError::Refused(refusal @ Refusal::StaleAttempt { .. })) => {
                        Err(refusal.to_string())
                    }
                    Err(error) => return Err(from_engine(error)),
                },
            };
            refused.push(adopted.as_ref().err().cloned());
            attempts.push(adopted.unwrap_or(named));
        }
        let standing = self
            .engine
            .standing(agent.clone(), attempts.clone())
            .await
            .map_err(from_engine)?;
        let answers = attempts.into_iter().zip(standing).zip(refused).map(
            |((attempt, standing), refused)| {
                let directive =
                    refused.map_or(standing.directive, |reason| Directive::Abandon { reason });
                let directive = Some(convert::directive(directive));
                v1::HeldAttempt {
                    run: attempt.run,
                    attempt: attempt.attempt,
                    points: standing.points,
                    directive,
                    started: standing.started,
                }
            },
        );
        Ok(answers.collect())
    }
}

pub(super) fn incarnations(held: &[HeldAttempt]) -> Vec<(AttemptRef, String)> {
    held.iter()
        .map(|held| (held.attempt.clone(), held.incarnation.clone()))
        .collect()
}
