//! New sweeps: the file is read, and an id and a seed are drawn.

use sha2::{Digest, Sha256};
use sweep_lifecycle::command::Command;
use sweep_lifecycle::spec::{self, CodeMode, Diagnostic, Severity, SweepSpec};
use sweep_lifecycle::state::SweepId;
use sweep_proto::v1;
use tonic::Status;

use super::refusal::{from_engine, invalid};
use super::{Services, convert, limits};

const ID_CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 8;
/// Bytes of a sweep file that is read faster than a thread is found for it.
const QUICK_FILE_MAX: usize = 2048;

impl Services {
    pub(super) async fn create(
        &self,
        request: v1::CreateSweepRequest,
    ) -> Result<v1::CreateSweepResponse, Status> {
        let v1::CreateSweepRequest {
            yaml,
            request_id,
            name,
            code,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::optional_name("name", &name)?;
        let (mut spec, warnings) = parse(&yaml).await?;
        if !name.is_empty() {
            spec.name = Some(name);
        }
        let (sweep, drawn) = draw(&request_id)?;
        let seed = spec.seed.unwrap_or(drawn);
        let (id, spec, source) = (sweep.clone(), Box::new(spec), yaml);
        let command = if spec.code.mode == CodeMode::Pin && code.is_some() {
            Command::CreatePinnedSweep {
                sweep: id,
                spec,
                source,
                seed,
                code: self.staged(code).await?,
            }
        } else {
            Command::CreateSweep {
                sweep: id,
                spec,
                source,
                seed,
            }
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        tracing::info!(sweep = %sweep.0, "sweep created");
        let warnings = warnings.into_iter().map(convert::diagnostic).collect();
        Ok(v1::CreateSweepResponse {
            sweep_id: sweep.0,
            warnings,
        })
    }
}

/// Reads a sweep file; a long one on a thread that may block: a hostile one takes a while.
pub(super) async fn parse(yaml: &str) -> Result<(SweepSpec, Vec<Diagnostic>), Status> {
    limits::yaml(yaml)?;
    let (spec, diagnostics) = if yaml.len() <= QUICK_FILE_MAX {
        spec::parse(yaml)
    } else {
        let text = yaml.to_owned();
        let parsed = tokio::task::spawn_blocking(move || spec::parse(&text)).await;
        parsed.map_err(|error| {
            Status::internal(format!("reading the sweep file broke off: {error}"))
        })?
    };
    match spec {
        Some(spec) => Ok((spec, diagnostics)),
        None => Err(invalid(mistakes(&diagnostics))),
    }
}

fn mistakes(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Draws an id and a seed for a new sweep. A call that is repeated must ask for the same sweep, so where there is a request id
/// they are made from it.
fn draw(request_id: &str) -> Result<(SweepId, u64), Status> {
    let mut bytes = [0; 32];
    if request_id.is_empty() {
        getrandom::fill(&mut bytes).map_err(|error| {
            Status::internal(format!("the system gives no random numbers: {error}"))
        })?;
    } else {
        bytes = Sha256::digest(request_id.as_bytes()).into();
    }
    let mut number = u64::from_le_bytes(std::array::from_fn(|index| bytes[index]));
    let mut id = String::with_capacity(ID_LENGTH);
    for _ in 0..ID_LENGTH {
        id.push(char::from(ID_CHARACTERS[(number % 36) as usize]));
        number /= 36;
    }
    let seed = u64::from_le_bytes(std::array::from_fn(|index| bytes[8 + index]));
    // The log is JSON and a seed is shown to people: 53 bits survive every reader.
    Ok((SweepId(id), seed >> 11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_eight_characters_and_a_repeat_draws_the_same() {
        let (first, seed) = draw("request-1").unwrap();
        assert_eq!(first.0.len(), 8);
        assert!(
            first
                .0
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
        assert_eq!(draw("request-1").unwrap(), (first.clone(), seed));
        assert_ne!(draw("request-2").unwrap().0, first);
        assert_ne!(draw("").unwrap().0, draw("").unwrap().0);
    }
}
