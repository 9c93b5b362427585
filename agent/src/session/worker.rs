//! One slot: takes a run, has it executed, reports it, again and again.

use std::sync::Arc;

use super::acquiring::ask;
use super::assignment::job;
use super::attending::attend;
use super::placement::{named, place};
use super::quarantine::quarantine;
use super::state::{Level, ROOM_LOOK, Session, give_run_back};
use crate::job::Job;
use crate::room;
use crate::runner::Begin;
use crate::slot::Slot;
use crate::spool::Counts;
use crate::{AgentError, Interrupt};

/// Works until there is nothing left to do for this slot.
pub(super) async fn work(session: Arc<Session>, slot: Slot, mut level: Level) {
    while level.borrow().is_none() && take_ticket(&session) {
        let next = take_run(&session, &slot, &mut level).await;
        match next {
            Next::Counted | Next::End => {}
            Next::NotCounted | Next::AwaitRoom | Next::Leave => give_ticket_back(&session),
        }
        match next {
            Next::Leave | Next::End => break,
            Next::AwaitRoom => tokio::time::sleep(ROOM_LOOK).await,
            Next::Counted | Next::NotCounted if session.book().failed.is_some() => break,
            Next::Counted | Next::NotCounted => {}
        }
    }
    let leaves_soon = level
        .borrow()
        .is_some_and(|interrupt| interrupt >= Interrupt::Preempt);
    if !leaves_soon {
        session.look_at_outputs().await;
    }
    if session.book().tickets == Some(0) && level.borrow().is_none() {
        let count = session.options.count.unwrap_or_default();
        session.ends_because(format!(
            "{count} {} ended (--count {count})",
            if count == 1 { "run has" } else { "runs have" }
        ));
    }
}

/// The next step of a slot after it has asked for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A run has ended; ask for another one.
    Counted,
    /// No run has ended; ask for another one.
    NotCounted,
    /// Ask again when there may be room on the disk.
    AwaitRoom,
    /// There is nothing left to do for this slot.
    Leave,
    /// The agent cannot continue.
    End,
}

/// Takes a run and attends to it.
async fn take_run(session: &Arc<Session>, slot: &Slot, level: &mut Level) -> Next {
    tokio::select! {
        () = session.look_at_data() => {}
        _ = level.wait_for(Option::is_some) => {}
    }
    let assignment = match ask(session, level).await {
        Some(Ok(Some(assignment))) => assignment,
        None | Some(Ok(None)) => return Next::Leave,
        Some(Err(refused)) => {
            let reason = session.give_up(&refused);
            session.ends_because(reason);
            return Next::End;
        }
    };
    let placed = match place(session, &assignment) {
        Ok(placed) => placed,
        Err(AgentError::File { source, .. }) if room::says_full(&source) => {
            session.room.note_refusal();
            give_run_back(session, &assignment.sweep_id, &named(&assignment)).await;
            return Next::AwaitRoom;
        }
        Err(error) => {
            session.book().failed.get_or_insert(error);
            return Next::End;
        }
    };
    session.tell_note(&assignment.early_stop_note);
    if let (Some(capture), Some(program)) = (&session.capture, &assignment.program) {
        capture.include(&program.code_include).await;
    }
    let Some(code) = session.ready(&assignment, &placed.held, level).await else {
        return Next::Leave;
    };
    session.look_at_data_of(&assignment).await;
    let job = match job(session, slot, &assignment, placed, code) {
        Ok(job) => job,
        Err(reason) => {
            let error = AgentError::Refused(reason);
            session.book().failed.get_or_insert(error);
            return Next::NotCounted;
        }
    };
    let (run, gpu_bytes) = (job.run, job.gpu_bytes.clone());
    let counts = attend(session, job, Begin::Anew, level).await;
    quarantine(session, run, gpu_bytes, level).await;
    if counts {
        Next::Counted
    } else {
        Next::NotCounted
    }
}

fn take_ticket(session: &Session) -> bool {
    let mut book = session.book();
    if book.failed.is_some() {
        return false;
    }
    match &mut book.tickets {
        None => true,
        Some(0) => false,
        Some(tickets) => {
            *tickets -= 1;
            true
        }
    }
}

fn give_ticket_back(session: &Session) {
    if let Some(tickets) = &mut session.book().tickets {
        *tickets += 1;
    }
}

/// Continues an attempt that an earlier agent has begun, then works as any slot does.
pub(super) async fn resume(session: Arc<Session>, slot: Option<Slot>, job: Job, mut level: Level) {
    let job = Job {
        patterns: session.patterns.clone(),
        ..job
    };
    // Its ticket was that of the agent before.
    let (run, gpu_bytes) = (job.run, job.gpu_bytes.clone());
    attend(&session, job, Begin::Again(Counts::default()), &mut level).await;
    if let Some(slot) = slot {
        quarantine(&session, run, gpu_bytes, &mut level).await;
        work(session, slot, level).await;
    }
}
