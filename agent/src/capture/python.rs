//! The Python interpreter that a command is executed by, and the packages that it finds: from the
//! names of folders, without pip.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

/// How long an interpreter may take to say what it is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Of the first line of a script.
const LINE_BYTES_MAX: u64 = 512;
/// Asks it what it is, and where it looks for packages.
const QUESTION: &str = "import sys\nprint(sys.implementation.name, sys.version.split()[0])\nprint(sys.executable)\nfor p in sys.path: print(p)";

/// A cache of the packages found, so that each folder is read only once.
#[derive(Debug, Default)]
pub(super) struct Pythons {
    /// By path and when it was written.
    known: BTreeMap<(PathBuf, i64), Option<Python>>,
    /// By path.
    folders: BTreeMap<PathBuf, Folder>,
}

/// The packages in a folder.
#[derive(Debug, Default)]
struct Folder {
    /// When the folder was written, in seconds and nanoseconds.
    written: (i64, i64),
    /// Names and versions.
    packages: Vec<(String, String)>,
}

/// An interpreter as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Python {
    /// `cpython 3.12.1`.
    pub(super) version: String,
    /// Where it is.
    pub(super) executable: String,
    folders: Vec<PathBuf>,
}

impl Pythons {
    /// Returns the interpreter that executes a command in `workdir`, if it is one of Python.
    pub(super) fn of(&mut self, command: &[String], workdir: &Path) -> Option<Python> {
        let program = interpreter(command, workdir)?;
        let written = fs::metadata(&program).ok()?.mtime();
        let asked = self
            .known
            .entry((program, written))
            .or_insert_with_key(|(program, _)| ask(program, workdir));
        asked.clone()
    }

    /// Returns what it finds installed, `name==version`, sorted.
    pub(super) fn packages(&mut self, python: &Python) -> Vec<String> {
        let mut found = BTreeMap::new();
        for folder in &python.folders {
            let Ok(about) = fs::metadata(folder) else {
                continue;
            };
            let written = (about.mtime(), about.mtime_nsec());
            let known = self.folders.entry(folder.clone()).or_default();
            if known.written != written {
                *known = Folder {
                    written,
                    packages: installed(folder),
                };
            }
            // The first on its way is what is imported.
            for (name, version) in &known.packages {
                found
                    .entry(name.to_lowercase().replace('_', "-"))
                    .or_insert_with(|| version.clone());
            }
        }
        found
            .into_iter()
            .map(|(name, version)| format!("{name}=={version}"))
            .collect()
    }
}

/// Returns the path of the interpreter: the program itself, what `env` is to start, or what the
/// first line of a script names.
fn interpreter(command: &[String], workdir: &Path) -> Option<PathBuf> {
    let words = command.iter().map(String::as_str);
    let program = found(&started(words)?, workdir)?;
    if is_python(&program) {
        return Some(program);
    }
    let mut line = Vec::new();
    // It may have become a FIFO since it was found.
    let script = fs::File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&program)
        .ok()?;
    BufReader::new(script.take(LINE_BYTES_MAX))
        .read_until(b'\n', &mut line)
        .ok()?;
    let line = String::from_utf8(line).ok()?;
    let named = found(
        &started(line.strip_prefix("#!")?.split_whitespace())?,
        workdir,
    )?;
    is_python(&named).then_some(named)
}

/// Returns the program of a command that may begin with `env`, its options and its variables.
fn started<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = words.next()?;
    if Path::new(first).file_name() != Some(OsStr::new("env")) {
        return Some(first.to_owned());
    }
    loop {
        let word = words.next()?;
        match word {
            // What these take is not a program.
            "-u" | "-C" => drop(words.next()),
            _ if word.starts_with('-') || word.contains('=') => {}
            _ => return Some(word.to_owned()),
        }
    }
}

fn is_python(program: &Path) -> bool {
    let name = program
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    ["python", "pypy"].iter().any(|known| {
        name.strip_prefix(known).is_some_and(|rest| {
            rest.chars()
                .all(|char| char.is_ascii_digit() || char == '.')
        })
    })
}

/// Finds a program as a shell does.
fn found(program: &str, workdir: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(workdir.join(program)).filter(|path| path.is_file());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| workdir.join(folder).join(program))
        .find(|path| path.is_file())
}

fn ask(program: &Path, workdir: &Path) -> Option<Python> {
    let mut question = Command::new(program);
    question
        .args(["-c", QUESTION])
        .current_dir(workdir)
        .env_remove("SWEEP_TOKEN")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut child = question
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let asked = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if asked.elapsed() > ANSWER_TIME_MAX {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut answer = String::new();
    child
        .stdout
        .take()?
        .take(64 << 10)
        .read_to_string(&mut answer)
        .ok()?;
    let mut lines = answer.lines();
    let (version, executable) = (lines.next()?.to_owned(), lines.next()?.to_owned());
    let folders = lines
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    Some(Python {
        version,
        executable,
        folders,
    })
}

/// Returns the packages of a folder, by the names of what pip and its like leave there.
fn installed(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| package(&entry.path()))
        .collect()
}

fn package(path: &Path) -> Option<(String, String)> {
    // A name with control characters is no package, and a list of names has one a line.
    let name = path
        .file_name()?
        .to_str()
        .filter(|name| !name.chars().any(char::is_control))?;
    let (stem, metadata) = match (
        name.strip_suffix(".dist-info"),
        name.strip_suffix(".egg-info"),
    ) {
        (Some(stem), _) => (stem, "METADATA"),
        (_, Some(stem)) => (stem, "PKG-INFO"),
        _ => return None,
    };
    match stem.split_once('-') {
        Some((name, version)) => {
            let version = version
                .split_once("-py")
                .map_or(version, |(version, _)| version);
            Some((name.to_owned(), version.to_owned()))
        }
        // Installed in place: only its metadata has the version.
        None => {
            let text = fs::read_to_string(path.join(metadata)).unwrap_or_default();
            let version = text
                .lines()
                .find_map(|line| line.strip_prefix("Version: "))
                .unwrap_or("unknown");
            Some((stem.to_owned(), version.trim().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_interpreter_is_the_one_that_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("python3.12"), "").unwrap();
        fs::write(
            at("train.py"),
            format!("#!{}\n", at("python3.12").display()),
        )
        .unwrap();
        fs::write(at("train.sh"), "#!/bin/sh\n").unwrap();
        let found = |line: &str| interpreter(&words(line), dir.path());
        for line in [
            "./python3.12 train.py",
            "/usr/bin/env -u X A=1 ./python3.12 train.py",
            "./train.py --lr=1",
        ] {
            assert_eq!(
                found(line).map(|path| path.canonicalize().unwrap()),
                Some(at("python3.12").canonicalize().unwrap()),
                "{line}"
            );
        }
        for line in ["./train.sh", "./nothing", "env", "-c"] {
            assert_eq!(found(line), None, "{line}");
        }
        assert!(!is_python(Path::new("python-config")) && is_python(Path::new("/x/pypy3")));
    }

    #[test]
    fn packages_are_read_from_the_names_of_folders() {
        let dir = tempfile::tempdir().unwrap();
        let make = |folder: &str, name: &str| {
            fs::create_dir_all(dir.path().join(folder).join(name)).unwrap();
        };
        for name in [
            "numpy-2.1.0.dist-info",
            "Typing_Extensions-4.12.2.dist-info",
            "old-1.0-py3.9.egg-info",
            "own.egg-info",
            "numpy",
        ] {
            make("first", name);
        }
        fs::write(
            dir.path().join("first/own.egg-info/PKG-INFO"),
            "Name: own\nVersion: 0.1\n",
        )
        .unwrap();
        make("second", "numpy-1.0.dist-info");
        let folders = ["first", "second", "missing"]
            .map(|name| dir.path().join(name))
            .to_vec();
        let python = Python {
            version: String::new(),
            executable: String::new(),
            folders,
        };
        let mut pythons = Pythons::default();
        let expected = [
            "numpy==2.1.0",
            "old==1.0",
            "own==0.1",
            "typing-extensions==4.12.2",
        ];
        assert_eq!(
            pythons.packages(&python),
            expected,
            "the first on the path counts"
        );
        make("first", "more-3.dist-info");
        assert!(
            pythons.packages(&python).contains(&"more==3".to_owned()),
            "a folder that has changed is read again"
        );
    }

    #[test]
    fn an_interpreter_is_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("python3");
        fs::write(
            &fake,
            "#!/bin/sh\necho x >> asked\necho cpython 3.9.9\necho /x/python3\necho\necho /x/lib\n",
        )
        .unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        let mut pythons = Pythons::default();
        for _ in 0..3 {
            let python = pythons
                .of(&words("./python3 train.py"), dir.path())
                .unwrap();
            assert_eq!(
                (&*python.version, &*python.executable),
                ("cpython 3.9.9", "/x/python3")
            );
            assert_eq!(python.folders, [PathBuf::from("/x/lib")]);
        }
        assert_eq!(fs::read_to_string(dir.path().join("asked")).unwrap(), "x\n");
    }
}
