//! Signals: what an agent does with each of them, said as it happens. None that a scheduler may send kills it.

use anyhow::Result;
use sweep_agent::{Interrupt, UserSignal};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// A signal that may mean that the machine is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreemptSignal {
    Term,
    Usr1,
    Usr2,
    Hup,
    Alrm,
    Xcpu,
}

/// An agent's response to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The machine is taken away.
    Preempt,
    /// The running programs get it.
    PassOn(UserSignal),
    Nothing,
}

impl PreemptSignal {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Term, "TERM"),
        (Self::Usr1, "USR1"),
        (Self::Usr2, "USR2"),
        (Self::Hup, "HUP"),
        (Self::Alrm, "ALRM"),
        (Self::Xcpu, "XCPU"),
    ];

    /// Parses a name: `USR1` or `SIGUSR1`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let found = Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(signal, _)| *signal);
        found.ok_or_else(|| {
            format!(
                "one of {} is wanted",
                Self::ALL.map(|(_, name)| name).join(", ")
            )
        })
    }

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(signal, _)| *signal == self)
            .map_or("", |(_, name)| name)
    }

    fn kind(self) -> SignalKind {
        match self {
            Self::Term => SignalKind::terminate(),
            Self::Usr1 => SignalKind::user_defined1(),
            Self::Usr2 => SignalKind::user_defined2(),
            Self::Hup => SignalKind::hangup(),
            Self::Alrm => SignalKind::alarm(),
            Self::Xcpu => SignalKind::from_raw(nix::sys::signal::Signal::SIGXCPU as i32),
        }
    }

    /// Returns what it means where `preempt` means that the machine is taken away, as SIGTERM always does.
    fn meaning(self, preempt: Self) -> Meaning {
        match self {
            _ if self == preempt || self == Self::Term => Meaning::Preempt,
            Self::Usr1 => Meaning::PassOn(UserSignal::Usr1),
            Self::Usr2 => Meaning::PassOn(UserSignal::Usr2),
            _ => Meaning::Nothing,
        }
    }
}

/// Turns signals into interrupts, and says each time what happens and what the next one does. `preempt` means what SIGTERM means.
pub(crate) fn forward(sender: mpsc::Sender<Interrupt>, preempt: PreemptSignal) -> Result<()> {
    // Handlers and no ignored signals: a program would inherit those.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let all = PreemptSignal::ALL
        .into_iter()
        .map(|(what, _)| Ok((what, signal(what.kind())?)));
    for (what, caught) in all.collect::<Result<Vec<_>>>()? {
        tokio::spawn(forward_one(what, caught, preempt, sender.clone()));
    }
    tokio::spawn(async move {
        let mut presses = 0;
        while interrupt.recv().await.is_some() {
            presses += 1;
            if sender.send(on_ctrl_c(presses)).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

async fn forward_one(
    what: PreemptSignal,
    mut caught: Signal,
    preempt: PreemptSignal,
    sender: mpsc::Sender<Interrupt>,
) {
    let (name, meaning) = (what.name(), what.meaning(preempt));
    let mut is_told = false;
    while caught.recv().await.is_some() {
        let interrupt = match meaning {
            Meaning::Preempt => {
                say(&format!(
                    "SIG{name}: ending the running programs and giving their runs back"
                ));
                Interrupt::Preempt
            }
            Meaning::PassOn(signal) => {
                say(&format!(
                    "SIG{name}: passed on to the running programs; --preempt-signal {name} gives their runs back instead"
                ));
                Interrupt::PassOn(signal)
            }
            // A login shell that closes takes no training with it, and no one reads a message about it.
            Meaning::Nothing => {
                if !is_told && what != PreemptSignal::Hup {
                    say(&format!(
                        "SIG{name}: ignored; --preempt-signal {name} ends the running programs and gives their runs back"
                    ));
                }
                is_told = true;
                continue;
            }
        };
        if sender.send(interrupt).await.is_err() {
            return;
        }
    }
}

fn on_ctrl_c(presses: u32) -> Interrupt {
    match presses {
        1 => {
            say(
                "\nTaking no more runs; letting the running ones end. Ctrl-C again ends them gracefully.",
            );
            Interrupt::Drain
        }
        2 => {
            say(
                "\nEnding the running programs and giving their runs back. Ctrl-C again kills them.",
            );
            Interrupt::Stop
        }
        _ => {
            say("\nKilling.");
            Interrupt::Kill
        }
    }
}

/// Writes a line to standard error. A terminal that has gone away is no reason to stop.
pub(crate) fn say(text: &str) {
    say!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_with_and_without_sig() {
        for name in ["USR1", "SIGUSR1", "sigusr1", "usr1"] {
            assert_eq!(
                PreemptSignal::parse(name),
                Ok(PreemptSignal::Usr1),
                "{name}"
            );
        }
        for name in ["", "SIG", "KILL", "INT", "10"] {
            assert_eq!(
                PreemptSignal::parse(name),
                Err("one of TERM, USR1, USR2, HUP, ALRM, XCPU is wanted".to_owned()),
                "{name}"
            );
        }
    }

    #[test]
    fn sigterm_always_means_that_the_machine_is_taken_away() {
        let meaning = |what: PreemptSignal| what.meaning(PreemptSignal::Usr1);
        assert_eq!(meaning(PreemptSignal::Term), Meaning::Preempt);
        assert_eq!(meaning(PreemptSignal::Usr1), Meaning::Preempt);
        assert_eq!(
            meaning(PreemptSignal::Usr2),
            Meaning::PassOn(UserSignal::Usr2)
        );
        assert_eq!(meaning(PreemptSignal::Xcpu), Meaning::Nothing);
    }
}
