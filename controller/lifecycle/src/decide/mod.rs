//! Commands to decisions. Reads the state, changes nothing.

mod adopt;
mod agent;
mod asked;
mod attempt;
mod code;
mod draft;
mod edit;
mod ending;
mod environment;
mod epoch;
mod health;
mod offered;
mod rerun;
mod retention;
mod run;
mod skipped;
mod sweep;
mod unread;

pub use adopt::{fence, recognize};
pub use attempt::directive;

use crate::command::{Command, Decision, Refusal};
use crate::state::State;

/// Decides what a command does: the events to be recorded and the answer.
///
/// # Errors
/// The command does not fit the state; nothing has happened.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of command")]
pub fn decide(state: &State, command: &Command) -> Result<Decision, Refusal> {
    match command {
        Command::BeginEpoch {
            controller,
            restored,
        } => Ok(epoch::begin(state, controller, *restored)),
        Command::SettleEpoch => Ok(epoch::settle(state)),
        Command::CreateSweep {
            sweep,
            spec,
            source,
            seed,
        } => sweep::create(state, sweep, spec, source, *seed),
        Command::CreatePinnedSweep {
            sweep,
            spec,
            source,
            seed,
            code,
        } => code::create(state, sweep, spec, (source, *seed), code),
        Command::PinCode { sweep, code, push } => code::pin(state, sweep, code, *push),
        Command::MarkCode {
            sweep,
            version,
            mark,
        } => code::mark(state, sweep, version, mark.as_ref()),
        Command::RerunPoints { sweep, which } => rerun::rerun(state, sweep, *which),
        Command::SetSweep { sweep, action } => sweep::set(state, sweep, *action),
        Command::ArchiveSweep { sweep, archived } => retention::archive(state, sweep, *archived),
        Command::DeleteSweep { sweep } => retention::delete(state, sweep),
        Command::PruneRuns {
            sweep,
            runs,
            keeps_best,
        } => retention::prune(state, sweep, runs, *keeps_best),
        Command::EditSweep {
            sweep,
            spec,
            source,
            base,
        } => edit::edit(state, sweep, spec, source, *base),
        Command::UndoEdit { sweep, base } => edit::undo(state, sweep, *base),
        Command::ExhaustSpace { sweep, history } => sweep::exhaust(state, sweep, *history),
        Command::CancelRun { sweep, run } => run::cancel(state, sweep, *run),
        Command::AnnotateRun { sweep, run, said } => run::annotate(state, sweep, *run, said),
        Command::RetryRuns { sweep, runs } => run::retry(state, sweep, runs),
        Command::RegisterAgent {
            agent,
            sweep,
            info,
            attempts,
        } => agent::register(state, agent, sweep, info, attempts),
        Command::AdoptAttempt { agent, held } => adopt::adopt(state, agent, held),
        Command::ProbeAgent { agent } => agent::probe(state, agent),
        Command::ReadmitAgent { agent } => agent::readmit(state, agent),
        Command::Acquire {
            agent,
            sweep,
            offers,
            code_version,
        } => agent::acquire(state, agent, sweep, offers, code_version),
        Command::Tell {
            attempt,
            told,
            metrics,
        } => asked::tell(state, attempt, told, metrics),
        Command::ImportRuns { sweep, runs } => asked::import(state, sweep, runs),
        Command::OfferRuns { sweep, runs, end } => offered::offer(state, sweep, runs, *end),
        Command::AnnounceLeaving { agent, reason } => agent::announce_leaving(state, agent, reason),
        Command::RemoveAgent {
            agent,
            lost,
            reason,
        } => agent::remove(state, agent, *lost, reason),
        Command::StartAttempt {
            agent,
            attempt,
            command,
            code_version,
        } => attempt::start(state, agent, attempt, command, code_version),
        Command::DescribeEnvironment {
            agent,
            sweep,
            environment,
        } => environment::describe(state, agent, sweep, environment),
        Command::DescribeCode {
            agent,
            sweep,
            version,
            about,
        } => code::describe(state, agent, sweep, version, about),
        Command::ReportMetrics {
            agent,
            attempt,
            first_seq,
            points,
        } => attempt::report(state, agent, attempt, *first_seq, points),
        Command::FinishAttempt {
            agent,
            attempt,
            result,
        } => attempt::finish(state, agent, attempt, result),
        Command::RereadRun { attempt, points } => unread::reread(state, attempt, points),
        Command::LoseAttempt { attempt } => attempt::lose(state, attempt),
    }
}
