//! Asks what runs were executed in.

use std::collections::BTreeMap;

use anyhow::Result;
use sweep_proto::v1::{Attempt, Environment, GetEnvironmentRequest, Run, Sweep};

use crate::client::Client;

/// Asks for an environment of a sweep; `None`: it is not known.
pub(crate) async fn fetch(
    client: &Client,
    sweep: &Sweep,
    digest: &str,
) -> Result<Option<Environment>> {
    if digest.is_empty() {
        return Ok(None);
    }
    let request = GetEnvironmentRequest {
        sweep_id: sweep.id.clone(),
        digest: digest.to_owned(),
    };
    Ok(client
        .call(request, async |mut service, request| {
            service.get_environment(request).await
        })
        .await?
        .environment)
}

/// Asks for what the attempts of a run were executed in, by digest.
pub(crate) async fn of_run(
    client: &Client,
    sweep: &Sweep,
    run: &Run,
) -> Result<BTreeMap<String, Environment>> {
    let mut found = BTreeMap::new();
    for Attempt {
        environment: digest,
        ..
    } in &run.attempts
    {
        if !found.contains_key(digest)
            && let Some(environment) = fetch(client, sweep, digest).await?
        {
            found.insert(digest.clone(), environment);
        }
    }
    Ok(found)
}
