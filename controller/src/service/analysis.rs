//! `AnalyzeSweep` and `SliceSweep`: what a sweep has shown, and what the model of its search expects.

use sweep_lifecycle::state::SweepId;
use sweep_proto::v1;
use sweep_search::analysis::{
    Advice, Agreement, Analysis, CurvePoint, Cut, Effect, OBSERVATIONS_MAX, Recommendation,
    SliceError, analyze, slice,
};
use sweep_search::observation::CodeLine;
use sweep_search::space::{Config, Space};
use sweep_search::why::Prediction;
use tonic::Status;

use super::refusal::{from_engine, invalid};
use super::{Services, limits};
use crate::engine::Results;

impl Services {
    pub(super) async fn analyze(
        &self,
        request: v1::AnalyzeSweepRequest,
    ) -> Result<v1::AnalyzeSweepResponse, Status> {
        let sweep = self.find_sweep(&request.sweep_id).await?;
        let analyse = |results: &Results| {
            let Some(objective) = &results.spec.objective else {
                return Analysis::default();
            };
            let code = CodeLine {
                versions: &results.code,
                probes: 0,
            };
            analyze(
                &results.spec.space,
                objective.goal,
                &results.observations,
                code,
                results.seed,
            )
        };
        let (found, results) = self.compute(&sweep, analyse).await?;
        let reason = found
            .recommendation
            .as_ref()
            .map(|recommended| reason(recommended, &found, &results))
            .unwrap_or_default();
        let observations = results.learnt.min(OBSERVATIONS_MAX as u64);
        let versions = results.code;
        Ok(v1::AnalyzeSweepResponse {
            recommendation: found
                .recommendation
                .map(|recommendation| v1::Recommendation {
                    run: recommendation.index,
                    mean: recommendation.predicted.mean,
                    deviation: recommendation.predicted.deviation,
                    by_model: recommendation.by_model,
                    reason,
                }),
            effects: found.effects.into_iter().map(effect).collect(),
            failing: found
                .failing
                .map(|region| region.to_string())
                .unwrap_or_default(),
            observations,
            agreements: found
                .agreements
                .iter()
                .filter_map(|agreement| agreed(agreement, &versions))
                .collect(),
            ended: results.ended,
            advice: found.advice.iter().map(advice).collect(),
            skill: found.skill,
        })
    }

    pub(super) async fn cut(
        &self,
        request: v1::SliceSweepRequest,
    ) -> Result<v1::SliceSweepResponse, Status> {
        let v1::SliceSweepRequest {
            sweep_id,
            x,
            y,
            through_json,
        } = request;
        limits::name("x", &x)?;
        limits::optional_name("y", &y)?;
        limits::configuration("through_json", &through_json)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let ask = move |results: &Results| {
            let spec = &results.spec;
            let objective = spec.objective.as_ref().ok_or_else(|| {
                Status::failed_precondition("the sweep has no metric, so there is no model")
            })?;
            let code = CodeLine {
                versions: &results.code,
                probes: 0,
            };
            let through = held(&spec.space, &through_json)?;
            let cut = Cut {
                x: &x,
                y: (!y.is_empty()).then_some(&*y),
                through: through.as_ref(),
            };
            slice(
                &spec.space,
                objective.goal,
                &results.observations,
                code,
                results.seed,
                cut,
            )
            .map_err(|error| match error {
                SliceError::TooFew => Status::failed_precondition(error.to_string()),
                _ => invalid(error.to_string()),
            })
        };
        let (slice, results) = self.compute(&sweep, ask).await?;
        let slice = slice?;
        let json = |values: &[sweep_search::space::Value]| {
            values
                .iter()
                .map(|value| value.to_json().to_string())
                .collect()
        };
        Ok(v1::SliceSweepResponse {
            x_json: json(&slice.x),
            y_json: json(&slice.y),
            mean: slice.points.iter().map(|point| point.mean).collect(),
            deviation: slice.points.iter().map(|point| point.deviation).collect(),
            success: slice.points.iter().map(|point| point.success).collect(),
            through_json: slice.through.to_nested().to_json().to_string(),
            observations: results.observations.len() as u64,
        })
    }

    /// Computes something from a sweep's results on a thread that may block, when its turn has come.
    async fn compute<T: Send + 'static>(
        &self,
        sweep: &SweepId,
        of: impl FnOnce(&Results) -> T + Send + 'static,
    ) -> Result<(T, Results), Status> {
        // Held by the work itself: a caller that has gone away does not stop it.
        let turn = self.analyses.next().await;
        let results = self.engine.results(sweep).await.map_err(from_engine)?;
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            (of(&results), results)
        });
        computed.await.map_err(|error| {
            tracing::error!(sweep = sweep.0, %error, "the analysis has failed");
            Status::internal("the analysis has failed; the log of the controller says more")
        })
    }
}

/// Says why the recommended run is not the one with the best value; empty where it is.
fn reason(recommended: &Recommendation, analysis: &Analysis, results: &Results) -> String {
    let Some(best) = results.best.filter(|best| best.run != recommended.index) else {
        return String::new();
    };
    let (run, value) = (best.run, number(best.value));
    let code = |run: u64| {
        results
            .observations
            .iter()
            .find(|seen| seen.index == run)
            .map(|seen| &seen.code_version)
    };
    if best.is_stopped {
        return format!(
            "run {run} reached the best value, {value}, and was stopped early: stopped runs are not recommended"
        );
    }
    if code(run) != code(recommended.index) {
        return format!("run {run} has the best value, {value}, with another version of the code");
    }
    match analysis.expected.get(&run) {
        Some(Prediction { mean, deviation }) => {
            format!(
                "run {run} has the best value, {value}, but the model expects {} ± {} of it",
                number(*mean),
                number(*deviation)
            )
        }
        None => format!("run {run} has the best value, {value}, but the model does not rank it"),
    }
}

fn number(number: f64) -> String {
    sweep_search::why::short(number)
}

fn advice(advice: &Advice) -> v1::Advice {
    v1::Advice {
        parameter: advice.path().map(ToString::to_string).unwrap_or_default(),
        text: advice.to_string(),
    }
}

/// Reads the configuration at which parameters are held.
fn held(space: &Space, json: &str) -> Result<Option<Config>, Status> {
    if json.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_str(json)
        .map_err(|error| invalid(format!("through_json is not JSON: {error}")))?;
    space
        .read(&value)
        .map(Some)
        .map_err(|mistakes| invalid(format!("through_json: {}", mistakes.join("; "))))
}

fn agreed(agreement: &Agreement, versions: &[String]) -> Option<v1::Agreement> {
    let place = versions
        .iter()
        .position(|version| *version == agreement.version)?;
    let (correlation, deviation) = agreement.correlation;
    let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    Some(v1::Agreement {
        newest: number(versions.len()),
        older: number(place + 1),
        correlation,
        deviation,
        shift: agreement.shift,
    })
}

fn effect(effect: Effect) -> v1::Effect {
    let point = |point: CurvePoint| v1::EffectPoint {
        value_json: point.value.to_json().to_string(),
        mean: point.mean,
        deviation: point.deviation,
    };
    v1::Effect {
        parameter: effect.path.to_string(),
        share: effect.share,
        share_deviation: effect.share_deviation,
        curve: effect.curve.into_iter().map(point).collect(),
        direction: effect
            .direction
            .map(|direction| direction.to_string())
            .unwrap_or_default(),
        share_max: effect.share_max,
    }
}
