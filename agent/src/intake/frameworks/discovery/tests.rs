use std::fs;

use super::writer::{FOLDER_PATIENCE, writing_process};
use super::*;

fn place(root: &Path, run: u64) -> Workplace {
    let folder = root.join(format!("runs/abcd1234/{run}/1"));
    let checkpoints = root.join(format!("runs/abcd1234/{run}/checkpoint"));
    let workdir = root.join("work");
    for folder in [&folder, &checkpoints, &workdir] {
        fs::create_dir_all(folder).unwrap();
    }
    Workplace {
        folder,
        checkpoints,
        workdir,
        runs_dir: root.join("runs"),
        sweep: "abcd1234".to_owned(),
        run,
        metric_files: Vec::new(),
        mlflow_store: None,
    }
}

fn found(discovery: &mut Discovery) -> Vec<String> {
    let names = discovery
        .look(
            &Tree {
                marker: "no attempt".to_owned(),
                ..Tree::default()
            },
            false,
        )
        .into_iter();
    let mut names: Vec<_> = names
        .map(|file| {
            file.path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn write(path: PathBuf) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "epoch,loss\n").unwrap();
}

#[test]
fn files_of_the_attempt_are_found_once_and_older_ones_are_not() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path(), 1);
    write(place.workdir.join("old/metrics.csv"));
    let mut discovery = Discovery::new(place.clone(), SystemTime::now());
    for (path, _, stamp) in discovery.look_before() {
        let before = BaselineFile {
            bytes: stamp.bytes,
            modified_ns: stamp.modified_ns,
            inode: stamp.inode,
            ..BaselineFile::default()
        };
        discovery.baseline.insert(path, before);
    }
    write(place.workdir.join("logs/metrics.csv"));
    write(place.folder.join("log.csv"));
    write(root.path().join("runs/abcd1234/2/1/results.csv"));
    write(place.workdir.join("data.csv"));
    assert_eq!(found(&mut discovery), ["log.csv", "metrics.csv"]);
    assert!(found(&mut discovery).is_empty());
    fs::write(place.workdir.join("old/metrics.csv"), "epoch,loss\n1,2\n").unwrap();
    assert_eq!(found(&mut discovery), ["metrics.csv"], "it was changed");
}

#[test]
fn files_that_several_attempts_can_have_written_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let places = [place(root.path(), 1), place(root.path(), 2)];
    let began = SystemTime::now() - Duration::from_secs(5);
    let mut one = Discovery::new(places[0].clone(), began);
    let two = Discovery::new(places[1].clone(), began);
    let work = &places[0].workdir;
    write(work.join("version_0/metrics.csv"));
    write(work.join("abcd1234-1/metrics.csv"));
    write(work.join("abcd1234-12/metrics.csv"));
    write(work.join("x/events.out.tfevents.1700000000.box.example.4711.0"));
    assert_eq!(
        found(&mut one),
        ["metrics.csv"],
        "its path names the attempt"
    );
    assert!(one.unclear(false).is_none() && one.unclear(true).is_some());
    one.pids.insert(4711);
    assert_eq!(
        found(&mut one),
        ["events.out.tfevents.1700000000.box.example.4711.0"]
    );
    two.registration.claim([work.join("version_0")]);
    found(&mut one);
    assert_eq!(one.unclear(true), None, "it is another attempt's");
    write(work.join("version_1/metrics.csv"));
    one.written.insert(work.join("version_1"));
    assert!(
        found(&mut one).is_empty(),
        "another one may write there, too"
    );
    one.unclear.insert(
        work.join("version_1/metrics.csv"),
        Instant::now() - FOLDER_PATIENCE,
    );
    assert_eq!(found(&mut one), ["metrics.csv"]);
}

#[test]
fn a_file_is_of_the_only_attempt_that_was_there_when_it_was_created() {
    let root = tempfile::tempdir().unwrap();
    let places = [place(root.path(), 1), place(root.path(), 2)];
    let mut one = Discovery::new(places[0].clone(), SystemTime::now());
    let file = places[0].workdir.join("version_0/metrics.csv");
    write(file.clone());
    if file.metadata().unwrap().created().is_err() {
        return eprintln!("SKIPPED: this file system does not record when files are created");
    }
    std::thread::sleep(Duration::from_millis(20));
    let mut two = Discovery::new(places[1].clone(), SystemTime::now());
    assert_eq!(found(&mut one), ["metrics.csv"]);
    assert!(found(&mut two).is_empty());
}

#[test]
fn globs_name_files_in_the_working_folder_in_that_of_the_attempt_and_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    fs::create_dir(root.join("scratch")).unwrap();
    let globs = vec![
        "curves/*.jsonl".to_owned(),
        format!("{}/**/*.csv", root.join("scratch").display()),
    ];
    let place = Workplace {
        metric_files: globs,
        ..place(&root, 1)
    };
    let mut discovery = Discovery::new(place.clone(), SystemTime::now());
    write(place.workdir.join("curves/a.jsonl"));
    write(place.workdir.join("curves/below/b.jsonl"));
    write(place.folder.join("curves/c.jsonl"));
    write(root.join("scratch/x/d.csv"));
    assert_eq!(found(&mut discovery), ["a.jsonl", "c.jsonl", "d.csv"]);
}

#[test]
fn event_files_name_their_process() {
    let pid = |name: &str| writing_process(Path::new(name));
    assert_eq!(pid("events.out.tfevents.1700000000.box.4711.0"), Some(4711));
    assert_eq!(
        pid("events.out.tfevents.1700000000.box.example.org.4711.0.v2"),
        Some(4711)
    );
    assert_eq!(
        pid("events.out.tfevents.1700000000.box.4711.1.v2"),
        Some(4711)
    );
    assert_eq!(pid("events.out.tfevents.1700000000.box"), None);
}

#[test]
fn a_run_of_wandb_that_is_elsewhere_and_over_is_found_by_what_its_library_prints() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path(), 1);
    let mut discovery = Discovery::new(place, SystemTime::now());
    let run = root.path().join("elsewhere/wandb/offline-run-1");
    write(run.join("run-1.wandb"));
    assert!(found(&mut discovery).is_empty());
    assert!(discovery.note_printed(&run) && !discovery.note_printed(&run));
    assert_eq!(found(&mut discovery), ["run-1.wandb"]);
    assert!(
        discovery.note_printed(Path::new("wandb/offline-run-2")),
        "from the working folder on"
    );
    assert!(discovery.is_due());
}
