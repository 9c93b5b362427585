//! One file a verb: flags in, one call, the result to `display`. No rule about sweeps.

mod agent;
mod agents;
mod archive;
mod ask;
mod best;
mod cancel;
mod check;
mod code;
mod completions;
mod controller;
mod create;
mod delete;
mod diff;
mod disk;
mod edit;
mod gate;
mod history;
mod import;
mod logs;
mod ls;
mod note;
mod offer;
mod plot;
mod prune;
mod report;
mod reproduce;
mod reread;
mod retry;
mod run;
mod runs;
mod schema;
mod set_state;
mod show;
mod tell;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use self::set_state::Action;

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    Create(create::CreateArgs),
    Run(run::RunArgs),
    Agent(agent::AgentArgs),
    Agents(agents::AgentsArgs),
    Check(check::CheckArgs),
    Schema(schema::SchemaArgs),
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    Runs(runs::RunsArgs),
    Watch(watch::WatchArgs),
    Logs(logs::LogsArgs),
    Best(best::BestArgs),
    Code(code::CodeArgs),
    Diff(diff::DiffArgs),
    Edit(edit::EditArgs),
    History(history::HistoryArgs),
    Reproduce(reproduce::ReproduceArgs),
    Gate(gate::GateArgs),
    Report(report::ReportArgs),
    Plot(plot::PlotArgs),
    /// Stops a sweep: starts no new runs; running ones may end
    ///
    /// Queued runs are cancelled. `sweep resume` continues.
    Stop(set_state::SetStateArgs),
    /// Pauses a sweep: hands out no runs until `sweep resume`; agents wait
    ///
    /// Running runs continue.
    Pause(set_state::SetStateArgs),
    /// Resumes a sweep after `pause`, `stop` or `cancel`
    Resume(set_state::SetStateArgs),
    Cancel(cancel::CancelArgs),
    Retry(retry::RetryArgs),
    Reread(reread::RereadArgs),
    Archive(archive::ArchiveArgs),
    Delete(delete::DeleteArgs),
    Prune(prune::PruneArgs),
    Disk(disk::DiskArgs),
    Note(note::NoteArgs),
    Ask(ask::AskArgs),
    Tell(tell::TellArgs),
    Import(import::ImportArgs),
    Offer(offer::OfferArgs),
    Controller(controller::ControllerCommandArgs),
    Completions(completions::CompletionsArgs),
}

/// How long an agent that has ended waits for its threads.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(2);

/// Carries a command out; `whole` is the command line that it is part of.
pub(crate) fn dispatch(command: CliCommand, whole: clap::Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        CliCommand::Check(args) => check::run(&args),
        CliCommand::Schema(args) => schema::run(&args),
        CliCommand::Completions(args) => completions::run(&args, whole),
        CliCommand::Create(args) => runtime.block_on(create::run(&args)),
        CliCommand::Run(args) => runtime.block_on(run::run(&args)),
        CliCommand::Agent(args) => {
            let ended = runtime.block_on(agent::run(&args));
            // A look at the code may wait for ever where an agent on another host stands still that has locked the folder.
            runtime.shutdown_timeout(BLOCKED_TIME_MAX);
            ended
        }
        CliCommand::Agents(args) => runtime.block_on(agents::run(&args)),
        CliCommand::Ls(args) => runtime.block_on(ls::run(&args)),
        CliCommand::Show(args) => runtime.block_on(show::run(&args)),
        CliCommand::Runs(args) => runtime.block_on(runs::run(&args)),
        CliCommand::Watch(args) => runtime.block_on(watch::run(&args)),
        CliCommand::Logs(args) => runtime.block_on(logs::run(&args)),
        CliCommand::Code(args) => runtime.block_on(code::run(&args)),
        CliCommand::Edit(args) => runtime.block_on(edit::run(&args)),
        CliCommand::History(args) => runtime.block_on(history::run(&args)),
        CliCommand::Diff(args) => runtime.block_on(diff::run(&args)),
        CliCommand::Reproduce(args) => runtime.block_on(reproduce::run(&args)),
        CliCommand::Plot(args) => runtime.block_on(plot::run(&args)),
        CliCommand::Report(args) => runtime.block_on(report::run(&args)),
        CliCommand::Gate(args) => runtime.block_on(gate::run(&args)),
        CliCommand::Best(args) => runtime.block_on(best::run(&args)),
        CliCommand::Stop(args) => runtime.block_on(set_state::run(&args, Action::Stop)),
        CliCommand::Pause(args) => runtime.block_on(set_state::run(&args, Action::Pause)),
        CliCommand::Resume(args) => runtime.block_on(set_state::run(&args, Action::Resume)),
        CliCommand::Cancel(args) => runtime.block_on(cancel::run(&args)),
        CliCommand::Archive(args) => runtime.block_on(archive::run(&args)),
        CliCommand::Delete(args) => runtime.block_on(delete::run(&args)),
        CliCommand::Prune(args) => runtime.block_on(prune::run(&args)),
        CliCommand::Disk(args) => runtime.block_on(disk::run(&args)),
        CliCommand::Retry(args) => runtime.block_on(retry::run(&args)),
        CliCommand::Reread(args) => runtime.block_on(reread::run(&args)),
        CliCommand::Note(args) => runtime.block_on(note::run(&args)),
        CliCommand::Ask(args) => runtime.block_on(ask::run(&args)),
        CliCommand::Tell(args) => runtime.block_on(tell::run(&args)),
        CliCommand::Import(args) => runtime.block_on(import::run(&args)),
        CliCommand::Offer(args) => runtime.block_on(offer::run(&args)),
        CliCommand::Controller(args) => runtime.block_on(controller::run(args)),
    }
}
