//! The calls about the controller itself: its status, a link that logs a browser in, its end.

use std::net::SocketAddr;

use sweep_proto::v1;
use tonic::Status;

use super::Services;
use crate::login;

impl Services {
    pub(super) async fn status(&self) -> Result<v1::GetStatusResponse, Status> {
        let totals = self.read(|query| query.totals()).await?;
        let runs = |state: &str| totals.runs.get(state).copied().unwrap_or(0);
        let identity = self.engine.identity().borrow().clone();
        Ok(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.about.data_dir.display().to_string(),
            started_ms: self.about.started_ms,
            pid: std::process::id(),
            sweeps: totals.sweeps.values().sum(),
            agents: totals.agents,
            running: runs("assigned") + runs("running"),
            controller_id: identity.controller,
            epoch: identity.epoch,
        })
    }

    pub(super) fn login_link(&self) -> Result<v1::CreateLoginLinkResponse, Status> {
        let Some(logins) = &self.logins else {
            return Ok(v1::CreateLoginLinkResponse {
                path: "/".to_owned(),
                valid_s: 0,
            });
        };
        let code = logins.issue().map_err(|error| {
            Status::internal(format!("the system gives no random numbers: {error}"))
        })?;
        Ok(v1::CreateLoginLinkResponse {
            path: format!("{}?code={code}", login::PATH),
            valid_s: login::CODE_TERM.as_secs(),
        })
    }

    /// Stops the controller.
    ///
    /// # Errors
    /// The caller is on another machine.
    pub(super) fn stop(&self, caller: Option<SocketAddr>) -> Result<(), Status> {
        if !is_loopback(caller) {
            return Err(Status::permission_denied(
                "the controller can be stopped from its own machine alone, through 127.0.0.1",
            ));
        }
        tracing::info!("asked to stop");
        self.stopping.send_replace(true);
        Ok(())
    }
}

/// Returns whether a caller came over loopback. Of one without an address nothing is known.
fn is_loopback(caller: Option<SocketAddr>) -> bool {
    caller.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        let caller = |address: &str| Some(address.parse().unwrap());
        for near in [
            "127.0.0.1:1",
            "127.1.2.3:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(caller(near)), "{near}");
        }
        for far in [
            "10.0.0.1:1",
            "0.0.0.0:1",
            "[::]:1",
            "[fe80::1]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            assert!(!is_loopback(caller(far)), "{far}");
        }
        assert!(!is_loopback(None));
    }
}
