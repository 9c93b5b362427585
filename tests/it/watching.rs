//! The full screen of `sweep watch`, in its own terminal.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::harness::{Bench, by, has_python, wait_for};

/// Gives a command a terminal of 80 by 24: forwards standard input to it, prints its output, and at last its exit status.
const TERMINAL: &str = "
import fcntl, os, pty, select, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
sources = [0, terminal]
while True:
    for ready in select.select(sources, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b''
        if ready == 0:
            if data: os.write(terminal, data)
            else: sources.remove(0)
        elif data:
            os.write(1, data)
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(1, f'\\nstatus={status}\\n'.encode())
            sys.exit(0)
";

const SWEEP: &str = "
name: watched
method: grid
run_cap: 3
metric: {name: loss, goal: minimize}
metric_patterns: {loss: 'loss=([0-9.]+)'}
command: [sh, train.sh, '${args_no_hyphens}']
parameters: {x: {values: [1, 2, 3]}}
";

const TRAIN: &str = r#"
printf '\033[2Jsteers nothing\n'
echo "loss=0.${1#x=}"
if [ "$1" = x=2 ]; then echo "crashed on purpose" >&2; exit 3; fi
"#;

/// `sweep …` in a terminal.
struct Screen {
    child: Child,
    output: std::path::PathBuf,
}

impl Screen {
    /// Starts `sweep …` in a terminal.
    fn open(bench: &Bench, arguments: &[&str]) -> Self {
        let mut terminal = Command::new("python");
        terminal.args(["-c", TERMINAL]);
        let mut command = by(terminal, &bench.sweep(arguments));
        let output = bench.path("screen");
        let file = std::fs::File::create(&output).expect("the temporary folder can be written");
        let command = command
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(Stdio::inherit());
        Self {
            child: command.spawn().expect("Python is here"),
            output,
        }
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input
            .write_all(keys.as_bytes())
            .and_then(|()| input.flush())
            .expect("it reads");
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits until something stands on the screen.
    fn shows(&self, text: &str) {
        wait_for(text, || {
            picture(&self.written()).contains(text).then_some(())
        });
    }
}

/// Returns what a terminal shows after all this: only cells that change are written, so the text is nowhere in one piece.
fn picture(written: &str) -> String {
    let mut cells = vec![vec![' '; 80]; 24];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = written.chars();
    while let Some(char) = rest.next() {
        match char {
            '\x1b' if rest.as_str().starts_with('[') => {
                let text = &rest.as_str()[1..];
                let Some(end) = text.find(|char: char| char.is_ascii_alphabetic()) else {
                    break;
                };
                match &text[end..=end] {
                    "H" => (row, column) = place(&text[..end]),
                    "J" => cells = vec![vec![' '; 80]; 24],
                    _ => {}
                }
                rest = text[end + 1..].chars();
            }
            '\n' => row += 1,
            char if char.is_control() => column = 0,
            char => {
                if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                    *cell = char;
                }
                column += 1;
            }
        }
    }
    cells
        .iter()
        .map(|row| row.iter().collect::<String>() + "\n")
        .collect()
}

/// Returns the row and column, from 0, of a movement of the cursor.
fn place(parameters: &str) -> (usize, usize) {
    let (row, column) = parameters.split_once(';').unwrap_or(("1", "1"));
    let from_zero = |text: &str| text.parse::<usize>().unwrap_or(1).saturating_sub(1);
    (from_zero(row), from_zero(column))
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_goes_from_the_sweep_to_the_output_and_gives_the_terminal_back() {
    if !has_python("pty", "python", "no package: it is part of Python") {
        return;
    }
    let bench = Bench::new();
    let controller = bench.controller();
    bench.write("train.sh", TRAIN);
    let file = bench.write("sweep.yaml", SWEEP);
    let id = bench.create(&[&file]);
    bench.run(&["agent", &id]);

    let mut screen = Screen::open(&bench, &["watch", &id]);
    screen.shows("Failures by cause");
    screen.press("2");
    screen.shows("by number");
    screen.press("ffff\r");
    screen.shows("attribution");
    screen.press("\r");
    screen.shows("steers nothing");
    screen.shows("\\u{1b}[2J");
    controller.kill();
    screen.shows("waiting for the controller");
    let _controller = bench.controller();
    screen.press("q?");
    screen.shows("any key closes this");
    screen.press("\x03");
    wait_for("its end", || {
        screen.written().contains("status=130").then_some(())
    });
    assert!(
        screen.written().contains("\x1b[?1049l"),
        "the screen before is back"
    );
}

#[test]
fn courses_are_drawn_in_a_terminal_and_nowhere_else() {
    if !has_python("pty", "python", "no package: it is part of Python") {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let file = "method: grid\nmetric: {name: loss, goal: minimize}\ncommand: [sh, -c, 'for l in 4 3 1; do echo \"{\\\"loss\\\": $l}\"; done']\nparameters: {x: {values: [1]}}\n";
    let id = bench.create(&[&bench.write("sweep.yaml", file)]);
    let (code, said) = bench.start(&["agent", &id]).wait();
    assert_eq!(code, 0, "{said}");
    let screen = Screen::open(&bench, &["runs", &id]);
    screen.shows("CURVE");
    screen.shows("█▆▁");
    let plain = bench.ok(&["runs", &id]);
    assert!(!plain.contains("CURVE") && !plain.contains('█'), "{plain}");
}
