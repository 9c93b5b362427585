//! `sweep agents`: agents at work, and agents in quarantine.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use sweep_proto::v1::{ListAgentsRequest, ReadmitAgentRequest};

use crate::client::{ControllerArgs, request_id};
use crate::display::{json, out, printable, table};

/// Lists agents with their work and health; readmits quarantined agents
///
/// An agent on which run after run fails while others do well is in quarantine: it gets no runs but now and then one as a probe, and what fails on
/// it is tried elsewhere.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  sweep agents
  sweep agents ab12cd34 --all
  sweep agents readmit 5f3e"
)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Option<AgentsCommand>,

    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    Readmit(ReadmitArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those of one sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,

    /// Also those that have left or were lost
    #[arg(long)]
    all: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Readmits a quarantined agent at once
#[derive(Debug, Args)]
struct ReadmitArgs {
    /// The agent: its id, or the beginning of it
    #[arg(value_name = "AGENT")]
    agent: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &AgentsArgs) -> Result<ExitCode> {
    match &args.command {
        None => list(&args.list).await,
        Some(AgentsCommand::Readmit(args)) => readmit(args).await,
    }
}

async fn list(args: &ListArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let request = ListAgentsRequest {
        sweep_id: args.sweep.clone().unwrap_or_default(),
    };
    let mut agents = client
        .call(request, async |mut service, request| {
            service.list_agents(request).await
        })
        .await?
        .agents;
    agents.retain(|agent| args.all || agent.alive);
    agents.sort_by(|a, b| {
        (!a.alive, &a.sweep_id, &a.host, &a.id).cmp(&(!b.alive, &b.sweep_id, &b.host, &b.id))
    });
    let mut out = out();
    if args.json {
        for agent in &agents {
            writeln!(out, "{}", json::agent(agent))?;
        }
    } else if agents.is_empty() {
        say!("No agents. `sweep agent SWEEP` starts one; `--all` shows those that are gone.");
    } else {
        writeln!(out, "{}", table::agents(&agents))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn readmit(args: &ReadmitArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let request = ReadmitAgentRequest {
        agent_id: args.agent.clone(),
        request_id: request_id()?,
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.readmit_agent(request).await
        })
        .await?;
    let agent = answer.agent.unwrap_or_default();
    if args.json {
        writeln!(out(), "{}", json::agent(&agent))?;
    } else {
        writeln!(
            out(),
            "agent {} on {} gets runs again",
            agent.id,
            printable(&agent.host)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
