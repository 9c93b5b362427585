//! Starts the program of an attempt, or finds one that an earlier agent has started.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::events::AttemptEvent;
use super::place::{build_argv, start, workplace, write_place};
use crate::argv::{AttemptPaths, Machine};
use crate::attempt::{AttemptState, Want};
use crate::intake::frameworks::FrameworkFiles;
use crate::job::Job;
use crate::machine::ThisMachine;
use crate::process::exit::Obstacle;
use crate::process::shims::Shims;
use crate::process::spawn::{self, Program};
use crate::spool::Counts;
use crate::{fencing, mlflow};

/// A program that was started or found, or the reason why not.
pub(super) struct Begun {
    pub(super) program: Result<Program, Obstacle>,
    pub(super) argv: Vec<String>,
    /// Readings that were sent out before.
    pub(super) skip: Counts,
    pub(super) frameworks: FrameworkFiles,
}

/// Makes the folder of an attempt, and starts its program.
///
/// # Errors
/// A folder or file of the attempt cannot be made: the path and why.
pub(super) async fn begin_anew(
    job: &Job,
    place: &AttemptPaths,
    shims: &Arc<Shims>,
    attempt: &mut AttemptState,
    wants: &mut mpsc::UnboundedReceiver<Want>,
    seen: &mpsc::Sender<AttemptEvent>,
) -> Result<Begun, (PathBuf, io::Error)> {
    if let Some(replaced) = write_place(job, place)? {
        let _ = seen
            .send(AttemptEvent::Note(format!(
                "{replaced}; it was moved aside, and the run begins without a checkpoint"
            )))
            .await;
    }
    let frameworks = FrameworkFiles::open(
        workplace(job, place),
        &job.objective,
        SystemTime::now(),
        false,
    )
    .await;
    let argv = build_argv(job, place);
    let foreign = ThisMachine
        .variable(mlflow::VARIABLE)
        .and_then(|uri| mlflow::warning_of(&uri));
    for warning in argv.warnings.iter().chain(&foreign) {
        let _ = seen.send(AttemptEvent::Note(warning.clone())).await;
    }
    let started = match fencing::wait_until_open(&job.run_folder(), attempt, wants, |note| {
        drop(seen.try_send(AttemptEvent::Note(note)));
    })
    .await
    {
        Ok(()) => start(shims, job, place, &argv).await,
        Err(obstacle) => Err(obstacle),
    };
    Ok(Begun {
        program: started,
        argv: argv.items,
        skip: Counts::default(),
        frameworks,
    })
}

/// Finds a program that an earlier agent has started.
pub(super) async fn find_again(job: &Job, place: &AttemptPaths, skip: Counts) -> Begun {
    let gone = || {
        Obstacle::Machine(
            "the program that an earlier agent started cannot be found any more".to_owned(),
        )
    };
    let (program, argv) = spawn::find(&job.folder()).map_or_else(
        || (Err(gone()), Vec::new()),
        |(program, argv)| (Ok(program), argv),
    );
    let age = program.as_ref().map(Program::age).unwrap_or_default();
    let began = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
    let frameworks = FrameworkFiles::open(workplace(job, place), &job.objective, began, true).await;
    Begun {
        program,
        argv,
        skip,
        frameworks,
    }
}
