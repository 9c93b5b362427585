//! The history that W&B's library writes into a file where it works offline (seen with version 0.31): a program that calls `wandb.log` is
//! understood as it is. The library writes in bursts, some seconds apart.

pub(crate) mod frames;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;

use self::frames::{Foreign, Frames};
use super::tail::Tail;
use super::{Reading, record};

/// What the library adds to the history and the summary.
const OWN: [&str; 4] = ["_step", "_runtime", "_timestamp", "_wandb"];

/// Reads what the runs of one attempt log: nearly always one run, several one after the other where the program begins several.
#[derive(Debug, Default)]
pub(crate) struct WandbRuns {
    /// In the order in which they were found, which is the same for each agent.
    files: Vec<PathBuf>,
    /// The one that is being read, by its place. A later one is read when this one has ended, or nobody can write any more: so the order of the
    /// readings is the same however often they are read.
    current: usize,
    run: Option<Run>,
}

/// What a look at the files brought.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// What a person should know.
    pub(crate) complaint: Option<String>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl WandbRuns {
    /// Reads the file of a further run, once those before it have ended.
    pub(crate) fn add(&mut self, path: PathBuf) {
        if self.run.is_none() {
            self.run = Some(Run::new(&path));
        }
        self.files.push(path);
    }

    /// Returns what is new. With `last` nobody can write any more. A file that cannot be read is the program's affair: it is complained of, and looked at
    /// again.
    pub(crate) async fn read(&mut self, last: bool) -> Seen {
        let mut seen = Seen::default();
        if let Err(error) = self.follow(last, &mut seen).await {
            seen.complaint = Some(format!("what W&B's library writes cannot be read, so its metrics are not seen: {error}"));
        }
        seen
    }

    async fn follow(&mut self, last: bool, seen: &mut Seen) -> io::Result<()> {
        let Some(run) = &mut self.run else { return Ok(()) };
        run.read(seen).await?;
        if seen.more {
            return Ok(());
        }
        if last {
            run.end(seen);
        }
        if run.ended && self.current + 1 < self.files.len() {
            self.current += 1;
            self.run = Some(Run::new(&self.files[self.current]));
            seen.more = true;
        }
        Ok(())
    }
}

/// One run, as it lies in its file.
#[derive(Debug)]
struct Run {
    path: PathBuf,
    tail: Tail,
    frames: Frames,
    /// What its history has held.
    logged: BTreeSet<String>,
    /// The last values of its summary.
    summary: BTreeMap<String, f64>,
    /// Nothing more is to come, or nothing that can be read.
    ended: bool,
    complained: bool,
}

impl Run {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            tail: Tail::new(path.to_owned()),
            frames: Frames::default(),
            logged: BTreeSet::new(),
            summary: BTreeMap::new(),
            ended: false,
            complained: false,
        }
    }

    async fn read(&mut self, seen: &mut Seen) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let gain = self.tail.read().await?;
        if gain.restarted {
            self.frames = Frames::default();
        }
        if let Some(obstacle) = gain.obstacle {
            seen.complaint = Some(format!("what W&B's library writes is not read while {obstacle}"));
        }
        seen.more = !gain.bytes.is_empty();
        match self.frames.push(&gain.bytes) {
            Ok(records) => records.iter().for_each(|record| self.take(record, seen)),
            Err(Foreign) => {
                self.ended = true;
                seen.complaint =
                    Some(format!("{} is not in the form that is known of W&B's library; its metrics are not seen", self.name()));
            }
        }
        if self.frames.damaged && !self.complained {
            self.complained = true;
            seen.complaint = Some(format!("{} is damaged; some of its metrics are not seen", self.name()));
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn take(&mut self, bytes: &[u8], seen: &mut Seen) {
        // What is not understood is no history.
        let Ok(record) = Record::decode(bytes) else { return };
        if let Some(history) = record.history {
            let step = history.item.iter().find(|item| item.name() == "_step").and_then(|item| record::value(&item.value_json));
            let step = step.map(|step| step as i64).or(history.step.map(|step| step.num));
            for (name, value) in history.item.iter().filter_map(Item::metric) {
                self.logged.insert(name.clone());
                seen.readings.push(Reading { name, step, value });
            }
        }
        self.summary.extend(record.summary.iter().flat_map(|summary| &summary.update).filter_map(Item::metric));
        if record.exit.is_some() {
            self.end(seen);
        }
    }

    /// What stands in the summary alone was never logged: the program has set it itself.
    fn end(&mut self, seen: &mut Seen) {
        if !std::mem::replace(&mut self.ended, true) {
            let alone = std::mem::take(&mut self.summary).into_iter().filter(|(name, _)| !self.logged.contains(name));
            seen.readings.extend(alone.map(|(name, value)| Reading { name, step: None, value }));
        }
    }
}

/// `wandb_internal.Record`, as far as it matters.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(message, optional, tag = "2")]
    history: Option<History>,
    #[prost(message, optional, tag = "3")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "18")]
    exit: Option<Exit>,
}

#[derive(Clone, PartialEq, Message)]
struct History {
    #[prost(message, repeated, tag = "1")]
    item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    step: Option<Step>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    update: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(string, tag = "1")]
    key: String,
    /// The way to the value, of one key where nothing is nested.
    #[prost(string, repeated, tag = "2")]
    nested_key: Vec<String>,
    #[prost(string, tag = "16")]
    value_json: String,
}

#[derive(Clone, PartialEq, Message)]
struct Step {
    #[prost(int64, tag = "1")]
    num: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exit {
    #[prost(int32, tag = "1")]
    exit_code: i32,
}

impl Item {
    /// Its name as W&B shows it: nested ones with dots.
    fn name(&self) -> String {
        if self.nested_key.is_empty() { self.key.clone() } else { self.nested_key.join(".") }
    }

    fn metric(&self) -> Option<(String, f64)> {
        let first = self.nested_key.first().unwrap_or(&self.key);
        let name = Some(self.name()).filter(|name| !OWN.contains(&first.as_str()) && record::is_name(name))?;
        Some((name, record::value(&self.value_json)?))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn item(name: &str, json: &str) -> Item {
        let nested_key = name.split('.').map(str::to_owned).collect();
        Item { nested_key, value_json: json.to_owned(), ..Item::default() }
    }

    fn logged(step: i64, items: &[(&str, &str)]) -> Vec<u8> {
        let mut items: Vec<_> = items.iter().map(|(name, json)| item(name, json)).collect();
        items.extend([item("_runtime", "0.25"), item("_timestamp", "1.7e9"), item("_step", &step.to_string())]);
        Record { history: Some(History { item: items, step: Some(Step { num: step }) }), ..Record::default() }.encode_to_vec()
    }

    fn summed(items: &[(&str, &str)]) -> Vec<u8> {
        let update = items.iter().map(|(name, json)| item(name, json)).collect();
        Record { summary: Some(Summary { update }), ..Record::default() }.encode_to_vec()
    }

    fn ended() -> Vec<u8> {
        Record { exit: Some(Exit { exit_code: 0 }), ..Record::default() }.encode_to_vec()
    }

    fn write(folder: &Path, run: &str, bytes: &[u8]) {
        fs::write(path(folder, run), bytes).unwrap();
    }

    fn path(folder: &Path, run: &str) -> PathBuf {
        folder.join(format!("run-{run}.wandb"))
    }

    fn of(folder: &Path) -> WandbRuns {
        let mut runs = WandbRuns::default();
        runs.add(path(folder, "1"));
        runs
    }

    async fn all(runs: &mut WandbRuns, last: bool) -> (Vec<(String, Option<i64>, f64)>, Vec<String>) {
        let (mut readings, mut complaints) = (Vec::new(), Vec::new());
        loop {
            let seen = runs.read(last).await;
            readings.extend(seen.readings.into_iter().map(|reading| (reading.name, reading.step, reading.value)));
            complaints.extend(seen.complaint);
            if !seen.more {
                return (readings, complaints);
            }
        }
    }

    fn reading(name: &str, step: Option<i64>, value: f64) -> (String, Option<i64>, f64) {
        (name.to_owned(), step, value)
    }

    #[tokio::test]
    async fn what_is_logged_is_read_as_it_comes_and_what_is_only_summed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut runs = of(folder.path());
        assert_eq!(all(&mut runs, false).await, (vec![], vec![]));
        let mut records = vec![
            b"what nobody knows".to_vec(),
            summed(&[("loss", "0.5"), ("best", "0.9"), ("_step", "0")]),
            logged(0, &[("loss", "0.5"), ("val.acc", "1"), ("image", "{\"_type\": \"image-file\"}"), ("ok", "true"), ("name", "\"x\"")]),
        ];
        write(folder.path(), "1", &frames::file(&records));
        let first = vec![reading("loss", Some(0), 0.5), reading("val.acc", Some(0), 1.0)];
        assert_eq!(all(&mut runs, false).await, (first.clone(), vec![]));
        records.extend([logged(7, &[("loss", "\"Infinity\"")]), summed(&[("best", "0.95")])]);
        let whole = frames::file(&records);
        write(folder.path(), "1", &whole[..whole.len() - 3]);
        let second = vec![reading("loss", Some(7), f64::INFINITY)];
        assert_eq!(all(&mut runs, false).await.0, second);
        write(folder.path(), "1", &whole);
        assert_eq!(all(&mut runs, false).await.0, vec![]);
        let third = vec![reading("best", None, 0.95)];
        assert_eq!(all(&mut runs, true).await.0, third);
        assert_eq!(all(&mut runs, true).await.0, vec![]);
        // Who comes later reads the same.
        assert_eq!(all(&mut of(folder.path()), true).await.0, [first, second, third].concat());
    }

    #[tokio::test]
    async fn a_run_is_read_when_the_one_before_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut runs = WandbRuns::default();
        ["2", "3", "4"].iter().for_each(|run| runs.add(path(folder.path(), run)));
        write(folder.path(), "2", &frames::file(&[logged(0, &[("loss", "2")]), ended()]));
        assert_eq!(all(&mut runs, false).await.0, vec![reading("loss", Some(0), 2.0)]);
        write(folder.path(), "3", &frames::file(&[logged(0, &[("loss", "3")])]));
        write(folder.path(), "4", &frames::file(&[logged(0, &[("loss", "4")])]));
        assert_eq!(all(&mut runs, false).await.0, vec![reading("loss", Some(0), 3.0)]);
        assert_eq!(all(&mut runs, false).await.0, vec![]);
        assert_eq!(all(&mut runs, true).await.0, vec![reading("loss", Some(0), 4.0)]);
    }

    #[tokio::test]
    async fn files_of_another_form_are_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "1", b"something else");
        let (readings, complaints) = all(&mut of(folder.path()), true).await;
        assert!(readings.is_empty() && complaints[0].contains("run-1.wandb is not in the form"), "{complaints:?}");
        let mut damaged = frames::file(&[logged(0, &[("loss", "1")])]);
        damaged[20] ^= 1;
        write(folder.path(), "1", &damaged);
        let (readings, complaints) = all(&mut of(folder.path()), true).await;
        assert!(readings.is_empty() && complaints == ["run-1.wandb is damaged; some of its metrics are not seen"], "{complaints:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_complained_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(path(folder.path(), "1")).unwrap();
        let (readings, complaints) = all(&mut of(folder.path()), true).await;
        assert!(readings.is_empty() && complaints[0].contains("is not read while"), "{complaints:?}");
    }
}
