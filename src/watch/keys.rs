//! Key bindings.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Deed, View, WatchEffect, WatchModel};

/// A search longer than that finds nothing.
const SEARCH_CHARS_MAX: usize = 200;

impl WatchModel {
    /// Handles a key; returns the action that others must take.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Vec<WatchEffect> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') {
                vec![WatchEffect::Interrupt]
            } else {
                Vec::new()
            };
        }
        if let Some(deed) = self.asking.take() {
            return if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                vec![WatchEffect::Do(deed)]
            } else {
                Vec::new()
            };
        }
        if self.log.typing {
            self.type_search(key.code);
            return Vec::new();
        }
        self.said.clear();
        if std::mem::take(&mut self.help) {
            return Vec::new();
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return self.back(),
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char(digit @ '1'..='4') => {
                return self.open(View::ALL[digit as usize - '1' as usize]);
            }
            KeyCode::Tab => {
                return self.open(View::ALL[(self.view as usize + 1) % View::ALL.len()]);
            }
            KeyCode::BackTab => {
                return self.open(View::ALL[(self.view as usize + 3) % View::ALL.len()]);
            }
            KeyCode::Enter => return self.drill(),
            KeyCode::Char(letter @ ('p' | 'r' | 'c')) => self.ask(letter),
            code => self.view_key(code),
        }
        Vec::new()
    }

    fn type_search(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => {
                self.log.typing = false;
                self.search(false);
            }
            KeyCode::Esc => (self.log.typing, self.log.search) = (false, String::new()),
            KeyCode::Backspace => drop(self.log.search.pop()),
            KeyCode::Char(char) if self.log.search.chars().count() < SEARCH_CHARS_MAX => {
                self.log.search.push(char);
            }
            _ => {}
        }
    }

    fn search(&mut self, back: bool) {
        if !self.log.find(back, self.page) {
            self.said = format!("`{}` is nowhere in this output", self.log.search);
        }
    }

    fn back(&mut self) -> Vec<WatchEffect> {
        match self.view {
            View::Overview => vec![WatchEffect::Quit],
            View::Runs => self.open(View::Overview),
            View::Run => self.open(View::Runs),
            View::Log => self.open(View::Run),
        }
    }

    fn drill(&mut self) -> Vec<WatchEffect> {
        match self.view {
            View::Overview => self.open(View::Runs),
            View::Runs => self.open(View::Run),
            View::Run | View::Log => self.open(View::Log),
        }
    }

    fn open(&mut self, view: View) -> Vec<WatchEffect> {
        (self.view, self.scroll) = (view, 0);
        match (view, self.chosen) {
            (View::Run, Some(run)) => vec![WatchEffect::Measure(run)],
            (View::Log, Some(run)) if self.log.run != Some(run) || self.log.ended => {
                self.log.begin(run);
                vec![WatchEffect::Follow(run)]
            }
            _ => Vec::new(),
        }
    }

    /// Asks before anything changes.
    fn ask(&mut self, letter: char) {
        let run = self.run().filter(|_| self.view != View::Overview);
        let deed = match (letter, run) {
            ('p', _) if self.sweep.state == "paused" => Ok(Deed::Resume),
            ('p', _) if self.sweep.state == "running" => Ok(Deed::Pause),
            ('p', _) => Err(format!("the sweep is {}", self.sweep.state)),
            (_, None) => Err("choose a run first: 2 lists them".to_owned()),
            ('r', Some(run)) if run.state == "failed" => Ok(Deed::Retry(run.run)),
            ('r', Some(run)) => Err(format!(
                "run {} has not failed, it is {}",
                run.run, run.state
            )),
            (_, Some(run)) if matches!(run.state.as_str(), "queued" | "assigned" | "running") => {
                Ok(Deed::Cancel(run.run))
            }
            (_, Some(run)) => Err(format!("run {} has ended, it is {}", run.run, run.state)),
        };
        match deed {
            Ok(deed) => self.asking = Some(deed),
            Err(why_not) => self.said = why_not,
        }
    }

    fn view_key(&mut self, code: KeyCode) {
        match (self.view, code) {
            (View::Runs, KeyCode::Char('s')) => self.order = self.order.next(),
            (View::Runs, KeyCode::Char('S')) => self.descending = !self.descending,
            (View::Runs, KeyCode::Char('f')) => self.filter = self.filter.next(),
            (View::Log, KeyCode::Char('/')) => {
                (self.log.typing, self.log.search) = (true, String::new());
            }
            (View::Log, KeyCode::Char('n')) => self.search(false),
            (View::Log, KeyCode::Char('N')) => self.search(true),
            (View::Log, KeyCode::Char('f')) => self.log.follows = true,
            (_, code) => return self.travel(code),
        }
        if self.view == View::Runs {
            self.chosen = None;
            self.arrange();
        }
    }

    fn travel(&mut self, code: KeyCode) {
        let page = self.page.max(2) as isize - 1;
        let by = match code {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -page,
            KeyCode::PageDown | KeyCode::Char(' ') => page,
            KeyCode::Home | KeyCode::Char('g') => -(isize::MAX / 2),
            KeyCode::End | KeyCode::Char('G') => isize::MAX / 2,
            _ => return,
        };
        match self.view {
            View::Runs => {
                let place = self
                    .place()
                    .saturating_add_signed(by)
                    .min(self.rows.len().saturating_sub(1));
                self.chosen = self.rows.get(place).copied().or(self.chosen);
            }
            View::Log => self.log.scroll(by, self.page),
            // Drawing knows how many lines there are, and holds it back.
            View::Overview | View::Run => self.scroll = self.scroll.saturating_add_signed(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1::Run;

    use super::*;
    use crate::watch::model::WatchEvent;

    fn model() -> WatchModel {
        let mut model = WatchModel {
            page: 10,
            ..WatchModel::default()
        };
        model.sweep.state = "running".to_owned();
        let run = |run: u64| Run {
            run,
            state: if run == 2 { "failed" } else { "finished" }.to_owned(),
            ..Run::default()
        };
        model.apply(WatchEvent::Listed {
            states: Vec::new(),
            runs: (1..=30).map(run).collect(),
        });
        model
    }

    fn press(model: &mut WatchModel, keys: &str) -> Vec<WatchEffect> {
        let code = |key| match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        keys.chars()
            .map(|key| model.key(KeyEvent::new(code(key), KeyModifiers::NONE)))
            .last()
            .unwrap_or_default()
    }

    #[test]
    fn it_goes_down_to_the_output_and_back_up() {
        let mut model = model();
        assert_eq!(press(&mut model, "\nj\n"), [WatchEffect::Measure(2)]);
        assert_eq!(press(&mut model, "\n"), [WatchEffect::Follow(2)]);
        assert_eq!(model.view, View::Log);
        assert_eq!(press(&mut model, "qqqq"), [WatchEffect::Quit]);
    }

    #[test]
    fn nothing_changes_before_a_yes() {
        let mut model = model();
        press(&mut model, "2jr");
        assert_eq!(model.asking, Some(Deed::Retry(2)));
        assert_eq!(press(&mut model, "n"), []);
        assert_eq!(press(&mut model, "y"), []);
        assert_eq!(press(&mut model, "ry"), [WatchEffect::Do(Deed::Retry(2))]);
        assert_eq!(press(&mut model, "py"), [WatchEffect::Do(Deed::Pause)]);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let mut model = model();
        press(&mut model, "2r");
        assert_eq!(
            (model.asking.clone(), model.said.as_str()),
            (None, "run 1 has not failed, it is finished")
        );
        press(&mut model, "c");
        assert_eq!(model.said, "run 1 has ended, it is finished");
    }

    #[test]
    fn the_table_is_filtered_ordered_and_travelled() {
        let mut model = model();
        press(&mut model, "2G");
        assert_eq!(model.chosen, Some(30));
        press(&mut model, "S");
        assert_eq!(model.rows[0], 30);
        press(&mut model, "ffff");
        assert_eq!(
            (model.filter.word(), model.rows.clone(), model.chosen),
            ("failed", vec![2], Some(2))
        );
    }

    #[test]
    fn letters_of_a_search_do_nothing_else() {
        let mut model = model();
        press(&mut model, "4/qpy");
        assert_eq!((model.log.search.as_str(), model.log.typing), ("qpy", true));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(model.key(interrupt), [WatchEffect::Interrupt]);
    }
}
