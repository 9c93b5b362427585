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

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// Begins no new runs; running ones may end
    ///
    /// Queued runs are cancelled. `sweep resume` goes on.
    Stop(set_state::SetStateArgs),
    /// Hands out no runs until `sweep resume`; agents wait
    ///
    /// Running runs go on.
    Pause(set_state::SetStateArgs),
    /// Hands out runs again after `pause`, `stop` or `cancel`
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
pub(crate) fn dispatch(command: Command, whole: clap::Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args, whole),
        Command::Create(args) => runtime.block_on(create::run(&args)),
        Command::Run(args) => runtime.block_on(run::run(&args)),
        Command::Agent(args) => {
            let ended = runtime.block_on(agent::run(&args));
            // A look at the code may wait for ever where an agent on another host stands still that has locked the folder.
            runtime.shutdown_timeout(BLOCKED_TIME_MAX);
            ended
        }
        Command::Agents(args) => runtime.block_on(agents::run(&args)),
        Command::Ls(args) => runtime.block_on(ls::run(&args)),
        Command::Show(args) => runtime.block_on(show::run(&args)),
        Command::Runs(args) => runtime.block_on(runs::run(&args)),
        Command::Watch(args) => runtime.block_on(watch::run(&args)),
        Command::Logs(args) => runtime.block_on(logs::run(&args)),
        Command::Code(args) => runtime.block_on(code::run(&args)),
        Command::Edit(args) => runtime.block_on(edit::run(&args)),
        Command::History(args) => runtime.block_on(history::run(&args)),
        Command::Diff(args) => runtime.block_on(diff::run(&args)),
        Command::Reproduce(args) => runtime.block_on(reproduce::run(&args)),
        Command::Plot(args) => runtime.block_on(plot::run(&args)),
        Command::Report(args) => runtime.block_on(report::run(&args)),
        Command::Gate(args) => runtime.block_on(gate::run(&args)),
        Command::Best(args) => runtime.block_on(best::run(&args)),
        Command::Stop(args) => runtime.block_on(set_state::run(&args, Action::Stop)),
        Command::Pause(args) => runtime.block_on(set_state::run(&args, Action::Pause)),
        Command::Resume(args) => runtime.block_on(set_state::run(&args, Action::Resume)),
        Command::Cancel(args) => runtime.block_on(cancel::run(&args)),
        Command::Archive(args) => runtime.block_on(archive::run(&args)),
        Command::Delete(args) => runtime.block_on(delete::run(&args)),
        Command::Prune(args) => runtime.block_on(prune::run(&args)),
        Command::Disk(args) => runtime.block_on(disk::run(&args)),
        Command::Retry(args) => runtime.block_on(retry::run(&args)),
        Command::Reread(args) => runtime.block_on(reread::run(&args)),
        Command::Note(args) => runtime.block_on(note::run(&args)),
        Command::Ask(args) => runtime.block_on(ask::run(&args)),
        Command::Tell(args) => runtime.block_on(tell::run(&args)),
        Command::Import(args) => runtime.block_on(import::run(&args)),
        Command::Offer(args) => runtime.block_on(offer::run(&args)),
        Command::Controller(args) => runtime.block_on(controller::run(args)),
    }
}
