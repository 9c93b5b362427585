//! One file a verb: flags in, one call, the result to `display`. No rule about sweeps.

mod agent;
mod agents;
mod archive;
mod ask;
mod best;
mod cancel;
#[cfg(feature = "full")]
mod check;
#[cfg(feature = "full")]
mod code;
mod completions;
#[cfg(feature = "full")]
mod controller;
#[cfg(feature = "full")]
mod create;
mod delete;
mod diff;
mod disk;
#[cfg(feature = "full")]
mod edit;
#[cfg(feature = "full")]
mod gate;
mod history;
#[cfg(feature = "full")]
mod import;
mod logs;
mod ls;
mod man;
mod note;
#[cfg(feature = "full")]
mod offer;
#[cfg(feature = "full")]
mod plot;
mod prune;
#[cfg(feature = "full")]
mod report;
mod reproduce;
#[cfg(feature = "full")]
mod reread;
mod retry;
#[cfg(feature = "full")]
mod run;
mod runs;
#[cfg(feature = "full")]
mod schema;
mod set_state;
mod show;
mod tell;
#[cfg(feature = "full")]
mod watch;

#[cfg(not(feature = "full"))]
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use self::set_state::Action;
#[cfg(not(feature = "full"))]
use crate::failure::CommandError;

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    #[cfg(feature = "full")]
    Create(create::CreateArgs),
    #[cfg(feature = "full")]
    Run(run::RunArgs),
    Agent(agent::AgentArgs),
    Agents(agents::AgentsArgs),
    #[cfg(feature = "full")]
    Check(check::CheckArgs),
    #[cfg(feature = "full")]
    Schema(schema::SchemaArgs),
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    Runs(runs::RunsArgs),
    #[cfg(feature = "full")]
    Watch(watch::WatchArgs),
    Logs(logs::LogsArgs),
    Best(best::BestArgs),
    #[cfg(feature = "full")]
    Code(code::CodeArgs),
    Diff(diff::DiffArgs),
    #[cfg(feature = "full")]
    Edit(edit::EditArgs),
    History(history::HistoryArgs),
    Reproduce(reproduce::ReproduceArgs),
    #[cfg(feature = "full")]
    Gate(gate::GateArgs),
    #[cfg(feature = "full")]
    Report(report::ReportArgs),
    #[cfg(feature = "full")]
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
    #[cfg(feature = "full")]
    Reread(reread::RereadArgs),
    Archive(archive::ArchiveArgs),
    Delete(delete::DeleteArgs),
    Prune(prune::PruneArgs),
    Disk(disk::DiskArgs),
    Note(note::NoteArgs),
    Ask(ask::AskArgs),
    Tell(tell::TellArgs),
    #[cfg(feature = "full")]
    Import(import::ImportArgs),
    #[cfg(feature = "full")]
    Offer(offer::OfferArgs),
    #[cfg(feature = "full")]
    Controller(controller::ControllerCommandArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[cfg(not(feature = "full"))]
    #[command(external_subcommand)]
    Missing(Vec<OsString>),
}

/// How long an agent that has ended waits for its threads.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(2);

/// Carries a command out; `whole` is the command line that it is part of.
pub(crate) fn dispatch(command: CliCommand, whole: clap::Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        #[cfg(feature = "full")]
        CliCommand::Check(args) => check::run(&args),
        #[cfg(feature = "full")]
        CliCommand::Schema(args) => schema::run(&args),
        CliCommand::Completions(args) => completions::run(&args, whole),
        CliCommand::Man(args) => man::run(&args, whole),
        #[cfg(feature = "full")]
        CliCommand::Create(args) => runtime.block_on(create::run(&args)),
        #[cfg(feature = "full")]
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
        #[cfg(feature = "full")]
        CliCommand::Watch(args) => runtime.block_on(watch::run(&args)),
        CliCommand::Logs(args) => runtime.block_on(logs::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Code(args) => runtime.block_on(code::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Edit(args) => runtime.block_on(edit::run(&args)),
        CliCommand::History(args) => runtime.block_on(history::run(&args)),
        CliCommand::Diff(args) => runtime.block_on(diff::run(&args)),
        CliCommand::Reproduce(args) => runtime.block_on(reproduce::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Plot(args) => runtime.block_on(plot::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Report(args) => runtime.block_on(report::run(&args)),
        #[cfg(feature = "full")]
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
        #[cfg(feature = "full")]
        CliCommand::Reread(args) => runtime.block_on(reread::run(&args)),
        CliCommand::Note(args) => runtime.block_on(note::run(&args)),
        CliCommand::Ask(args) => runtime.block_on(ask::run(&args)),
        CliCommand::Tell(args) => runtime.block_on(tell::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Import(args) => runtime.block_on(import::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Offer(args) => runtime.block_on(offer::run(&args)),
        #[cfg(feature = "full")]
        CliCommand::Controller(args) => runtime.block_on(controller::run(args)),
        #[cfg(not(feature = "full"))]
        CliCommand::Missing(words) => Err(missing(&words)),
    }
}

/// Says which build has a command that this one lacks.
#[cfg(not(feature = "full"))]
fn missing(words: &[OsString]) -> anyhow::Error {
    let name = words.first().map(|word| word.display().to_string());
    let name = name.unwrap_or_default();
    CommandError::input(format!("this build of sweep has no command `{name}`"))
        .hint("it was built for machines that execute runs (--no-default-features --features agent): `sweep help` lists its commands; the full build has all, the controller included: `cargo install --path .`")
        .into()
}

#[cfg(all(test, not(feature = "full")))]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct LeanCommandLine {
        #[command(subcommand)]
        command: CliCommand,
    }

    #[test]
    fn a_command_of_the_full_build_says_so() {
        let line = LeanCommandLine::try_parse_from(["sweep", "run", "sweep.yaml", "--count", "3"])
            .unwrap();
        let CliCommand::Missing(words) = &line.command else {
            panic!("`run` is a command of the full build alone");
        };
        let error = missing(words).to_string();
        assert_eq!(error, "this build of sweep has no command `run`");
        assert!(LeanCommandLine::try_parse_from(["sweep", "agent", "k3x9q2ab"]).is_ok());
    }
}
