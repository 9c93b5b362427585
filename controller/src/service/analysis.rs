//! `AnalyzeSweep`: what a sweep has shown.

use sweep_proto::v1;
use sweep_search::analysis::{Agreement, Analysis, Effect, analyze};
use sweep_search::observation::CodeLine;
use tonic::Status;

use super::Services;
use super::refusal::from_engine;

impl Services {
    pub(super) async fn analyze(&self, request: v1::AnalyzeSweepRequest) -> Result<v1::AnalyzeSweepResponse, Status> {
        let sweep = self.find_sweep(&request.sweep_id).await?;
        // Held by the work itself: a caller that has gone away does not stop it.
        let turn = self.analyses.next().await;
        let results = self.engine.results(&sweep).await.map_err(from_engine)?;
        let observations = results.observations.len() as u64;
        let versions = results.code.clone();
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Some(objective) = &results.spec.objective else { return Analysis::default() };
            let code = CodeLine { versions: &results.code, probes: 0 };
            analyze(&results.spec.space, objective.goal, &results.observations, code, results.seed)
        });
        let found = computed.await.map_err(|error| {
            tracing::error!(sweep = sweep.0, %error, "the analysis has failed");
            Status::internal("the analysis has failed; the log of the controller says more")
        })?;
        Ok(v1::AnalyzeSweepResponse {
            recommendation: found.recommendation.map(|recommendation| v1::Recommendation {
                run: recommendation.index,
                mean: recommendation.predicted.mean,
                deviation: recommendation.predicted.deviation,
                by_model: recommendation.by_model,
            }),
            effects: found.effects.into_iter().map(effect).collect(),
            failing: found.failing.map(|region| region.to_string()).unwrap_or_default(),
            observations,
            agreements: found.agreements.iter().filter_map(|agreement| agreed(agreement, &versions)).collect(),
        })
    }
}

fn agreed(agreement: &Agreement, versions: &[String]) -> Option<v1::Agreement> {
    let place = versions.iter().position(|version| *version == agreement.version)?;
    let (correlation, deviation) = agreement.correlation;
    let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    Some(v1::Agreement { newest: number(versions.len()), older: number(place + 1), correlation, deviation, shift: agreement.shift })
}

fn effect(effect: Effect) -> v1::Effect {
    let point = |(value, mean): (sweep_search::space::Value, f64)| v1::EffectPoint { value_json: value.to_json().to_string(), mean };
    v1::Effect { parameter: effect.path.to_string(), share: effect.share, curve: effect.curve.into_iter().map(point).collect() }
}
