//! The full-screen view of a sweep: a model that events and keys change, a picture of it, and a thin loop between terminal and controller.

mod draw;
mod keys;
mod log;
mod model;
mod rows;
mod source;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};
use sweep_proto::v1::Sweep;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::ControllerArgs;
use crate::display::Constants;
use draw::DrawOptions;
use model::{Deed, View, WatchEffect, WatchEvent, WatchModel};
use source::WatchSource;

/// The clock on the screen runs without events.
const TICK: Duration = Duration::from_secs(1);
/// How long a pressed key may wait for the end of the view.
const POLL: Duration = Duration::from_millis(100);
/// Lists are long: asked for no more often than that.
const LIST_EVERY: Duration = Duration::from_secs(2);
/// Changes that came together are drawn together.
const EVENTS_MAX: usize = 256;

/// Gives the terminal back however the view ends; a panic does so by ratatui's hook.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows a sweep until the user leaves.
pub(crate) async fn full_screen(controller: &ControllerArgs, sweep: &Sweep) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let source = WatchSource {
        controller: controller.clone(),
        sweep: sweep.id.clone(),
        events: sender,
    };
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    let screen = Screen(ratatui::try_init().context("the terminal cannot be set up")?);
    let (keys, inputs) = mpsc::channel(EVENTS_MAX);
    // Reading a terminal blocks; the thread ends with the receiver.
    std::thread::spawn(move || read(&keys));
    let followed = [
        tokio::spawn(source.clone().follow()),
        tokio::spawn(source.clone().agents()),
    ];
    let mut watch = Watch {
        screen,
        model: WatchModel {
            constants: Constants::of(sweep),
            ..WatchModel::default()
        },
        source,
        output: None,
        list: None,
        measured: None,
    };
    let code = tokio::select! {
        code = watch.go(events, inputs) => code,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    };
    followed.iter().for_each(JoinHandle::abort);
    code
}

fn read(keys: &mpsc::Sender<Input>) {
    while !keys.is_closed() {
        match event::poll(POLL) {
            Ok(false) => {}
            Ok(true) => {
                let Ok(input) = event::read() else { return };
                if keys.blocking_send(input).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// The view as it runs.
struct Watch {
    screen: Screen,
    model: WatchModel,
    source: WatchSource,
    output: Option<JoinHandle<()>>,
    /// The list that was asked for last, and when.
    list: Option<(JoinHandle<()>, Instant)>,
    /// When the metrics of the chosen run were asked for.
    measured: Option<Instant>,
}

impl Watch {
    async fn go(
        &mut self,
        mut events: mpsc::Receiver<WatchEvent>,
        mut inputs: mpsc::Receiver<Input>,
    ) -> Result<ExitCode> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.draw()?;
            tokio::select! {
                Some(event) = events.recv() => {
                    self.model.apply(event);
                    while let Ok(event) = events.try_recv() {
                        self.model.apply(event);
                    }
                }
                input = inputs.recv() => {
                    // The terminal has gone away.
                    let Some(input) = input else { return Ok(ExitCode::from(129)) };
                    if let Some(code) = self.input(&input) {
                        return Ok(code);
                    }
                }
                _ = tick.tick() => {}
            }
            self.complete();
        }
    }

    fn draw(&mut self) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            });
        let look = DrawOptions {
            color: console::colors_enabled(),
            now_ms: now,
        };
        let mut fit = draw::Fit::default();
        self.screen
            .0
            .draw(|frame| fit = draw::draw(frame, &self.model, look))
            .context("the terminal cannot be written")?;
        self.model.page = fit.page;
        self.model.scroll = self.model.scroll.min(fit.last);
        Ok(())
    }

    fn input(&mut self, input: &Input) -> Option<ExitCode> {
        // A new size is drawn by the next turn.
        let Input::Key(key) = input else { return None };
        if key.kind == KeyEventKind::Release {
            return None;
        }
        for effect in self.model.key(*key) {
            match effect {
                WatchEffect::Quit => return Some(ExitCode::SUCCESS),
                WatchEffect::Interrupt => return Some(ExitCode::from(130)),
                WatchEffect::Follow(run) => {
                    if let Some(output) = self
                        .output
                        .replace(tokio::spawn(self.source.clone().output(run)))
                    {
                        output.abort();
                    }
                }
                WatchEffect::Measure(run) => self.measure(run),
                WatchEffect::Do(deed) => self.carry_out(deed),
            }
        }
        None
    }

    fn carry_out(&self, deed: Deed) {
        tokio::spawn(self.source.clone().carry_out(deed));
    }

    fn measure(&mut self, run: u64) {
        self.measured = Some(Instant::now());
        tokio::spawn(self.source.clone().metrics(run));
    }

    /// Asks for what the changes did not tell.
    fn complete(&mut self) {
        let is_due = self
            .list
            .as_ref()
            .is_none_or(|(task, when)| task.is_finished() && when.elapsed() >= LIST_EVERY);
        if is_due && self.model.lost.is_none() {
            let states = self.model.missing();
            if !states.is_empty() {
                self.list = Some((
                    tokio::spawn(self.source.clone().list(states)),
                    Instant::now(),
                ));
            }
        }
        let is_old = self
            .measured
            .is_none_or(|when| when.elapsed() >= LIST_EVERY);
        let run = self
            .model
            .run()
            .filter(|run| run.state == "running")
            .map(|run| run.run);
        if let (View::Run, true, Some(run)) = (self.model.view, is_old, run) {
            self.measure(run);
        }
    }
}
