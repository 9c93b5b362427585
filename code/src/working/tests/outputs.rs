//! Snapshots of folders into which programs write.

use super::*;

impl ProjectFolder {
    fn tracking(&self, sweep: &str) -> Working {
        self.code().for_sweep(sweep)
    }
}

/// Takes a snapshot, has a program write something, and takes another one while it runs and one after it has ended. Returns the version that all of
/// them have.
fn run(place: &ProjectFolder, code: &mut Working, write: impl FnOnce(&ProjectFolder)) -> String {
    let before = code.snapshot().unwrap();
    let running = code.attempts().begin().unwrap();
    write(place);
    assert_eq!(
        code.snapshot().unwrap().version,
        before.version,
        "while it runs"
    );
    drop(running);
    assert_eq!(
        code.snapshot().unwrap().version,
        before.version,
        "after it has ended"
    );
    before.version
}

#[test]
fn what_programs_write_makes_no_version_and_is_named() {
    for place in [ProjectFolder::repository(), ProjectFolder::bare()] {
        place.write("results.csv", "run,loss\n");
        let mut code = place.tracking("s1");
        let first = run(&place, &mut code, |place| {
            place.write("exp/2026-01-01/config.yaml", "lr: 1\n");
            place.write("exp/2026-01-01/train.py", "a copy\n");
            place.write("metrics.json", "{}\n");
            place.write("results.csv", "run,loss\n1,0.5\n");
            place.write("lightning_logs/version_0/metrics.csv", "x\n");
        });
        let second = run(&place, &mut code, |place| {
            place.write("exp/2026-01-02/config.yaml", "lr: 2\n");
            place.write("metrics.json", "{\"a\": 1}\n");
            fs::remove_file(place.root().join("results.csv")).unwrap();
        });
        assert_eq!(first, second);
        let names = [
            "exp/",
            "lightning_logs/",
            "metrics.json",
            "results.csv (as it was before the runs)",
        ];
        assert_eq!(code.snapshot().unwrap().outputs, names);
        // An agent that is started again knows it, and so does one beside it.
        let mut again = place.tracking("s1");
        assert_eq!(again.snapshot().unwrap().version, first);
        // Another sweep begins with what is there, without what has appeared.
        place.write("results.csv", "run,loss\n");
        assert_eq!(place.tracking("s2").snapshot().unwrap().version, first);
        assert_eq!(
            place.code().snapshot().unwrap().version,
            first,
            "a snapshot for a sweep that is pinned"
        );
    }
}

#[test]
fn source_that_is_edited_while_runs_train_is_another_version() {
    for place in [ProjectFolder::repository(), ProjectFolder::bare()] {
        place.write("conf/config.yaml", "lr: 1\n");
        place.write("run", "#!/bin/sh\n");
        let mut code = place.tracking("s1");
        let mut versions = vec![code.snapshot().unwrap().version];
        let _running = code.attempts().begin().unwrap();
        for (path, text) in [
            ("train.py", "other\n"),
            ("conf/config.yaml", "lr: 2\n"),
            ("run", "#!/bin/bash\n"),
            ("model.py", "new\n"),
            ("lib/a.py", "new\n"),
        ] {
            place.write(path, text);
            place.write("log.txt", path);
            versions.push(code.snapshot().unwrap().version);
        }
        let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len());
        assert_eq!(code.snapshot().unwrap().outputs, ["log.txt"]);
    }
}

#[test]
fn an_edit_while_nothing_runs_is_code_whatever_it_is() {
    let place = ProjectFolder::repository();
    place.write("prompt.txt", "a\n");
    let mut code = place.tracking("s1");
    run(&place, &mut code, |place| {
        place.write("prompt.txt", "changed by a program\n");
    });
    let frozen = code.snapshot().unwrap();
    place.write("prompt.txt", "b\n");
    let edited = code.snapshot().unwrap();
    assert_ne!(edited.version, frozen.version);
    assert_eq!(edited.outputs, [""; 0]);
    place.write("notes.txt", "x\n");
    assert_ne!(code.snapshot().unwrap().version, edited.version);
}

#[test]
fn an_agent_that_was_killed_has_left_outputs_all_the_same() {
    let place = ProjectFolder::bare();
    let mut code = place.tracking("s1");
    let before = code.snapshot().unwrap();
    drop(code.attempts().begin().unwrap());
    drop(code);
    place.write("out/a.txt", "x\n");
    let after = place.tracking("s1").snapshot().unwrap();
    assert_eq!(
        (after.version, after.outputs),
        (before.version, vec!["out/".to_owned()])
    );
}

#[test]
fn tracking_ignoring_and_including_decide_otherwise() {
    let place = ProjectFolder::repository();
    place.write("keep.txt", "x\n");
    place.write(".sweepignore", "!kept/\n!outputs/\n");
    let mut code = place.tracking("s1");
    code.include(&[
        "included/*.json".to_owned(),
        "./mlruns".to_owned(),
        "../elsewhere".to_owned(),
        "/etc/hosts".to_owned(),
    ]);
    let mut versions = vec![code.snapshot().unwrap().version];
    let _running = code.attempts().begin().unwrap();
    for path in [
        "kept/a.txt",
        "kept/b.txt",
        "outputs/a.txt",
        "included/a.json",
        "included/b.json",
        "mlruns/0/meta.txt",
    ] {
        place.write(path, "x\n");
        versions.push(code.snapshot().unwrap().version);
    }
    place.write("included/a.txt", "x\n");
    assert_eq!(code.snapshot().unwrap().version, *versions.last().unwrap());
    place.git(&["add", "keep.txt"]);
    place.write("keep.txt", "changed\n");
    versions.push(code.snapshot().unwrap().version);
    let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
    assert_eq!(distinct.len(), versions.len());
}

#[test]
fn many_outputs_of_a_kind_are_named_once() {
    let place = ProjectFolder::bare();
    place.write("config.json", "{}\n");
    let mut code = place.tracking("s1");
    let mut versions = std::collections::BTreeSet::new();
    for number in 0..12 {
        versions.insert(run(&place, &mut code, |place| {
            place.write(format!("result-{number}.json"), "{}\n");
        }));
    }
    assert_eq!(versions.len(), 1);
    assert_eq!(code.snapshot().unwrap().outputs, ["result-[0-9]*.json"]);
    place.write("config.json", "{\"a\": 1}\n");
    assert_ne!(
        code.snapshot().unwrap().version,
        *versions.first().unwrap(),
        "it was there before"
    );
}

#[test]
fn sweep_files_and_what_sweep_writes_are_no_code() {
    let place = ProjectFolder::repository();
    let clean = place.snapshot().version;
    let sweep = |cap: u32| {
        format!("method: bayes\nrun_cap: {cap}\nparameters: {{x: {{min: 0, max: 1}}}}\n")
    };
    place.write("sweep.yaml", &sweep(1));
    assert_eq!(place.snapshot().version, clean);
    place.commit("Sweep");
    place.write("sweep.yaml", &sweep(2));
    place.write(
        "report.html",
        "<!DOCTYPE html><html><head><meta name=\"generator\" content=\"sweep\"></head></html>\n",
    );
    place.write("ab12cd34-7/.sweep-reproduced", "\n");
    place.write("ab12cd34-7/train.py", "print(1)\n");
    for file in ["sweep.db.id", "controller.json", "token"] {
        place.write(format!("controller/{file}"), "\n");
    }
    let mut code = place.code();
    let snapshot = code.snapshot().unwrap();
    assert_eq!(
        (
            snapshot.version.as_str(),
            snapshot.changed,
            &*snapshot.patch
        ),
        (clean.as_str(), (0, 0, 0), "")
    );
    place.write("sweep.yaml", &sweep(3));
    assert_eq!(code.snapshot().unwrap().version, clean);
    place.write("report.html", "<html></html>\n");
    assert_ne!(code.snapshot().unwrap().version, clean, "somebody else's");
}

#[test]
fn in_a_folder_that_is_no_repository_data_are_no_code() {
    let place = ProjectFolder::bare();
    let clean = place.snapshot();
    place.write("images/1.png", "x\n");
    place.write("model.onnx", "x\n");
    fs::File::create(place.root().join("rows.txt"))
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    let mut code = place.code();
    let snapshot = code.snapshot().unwrap();
    assert_eq!(snapshot.version, clean.version);
    let said = "images/1.png, model.onnx, rows.txt: not part of the code version, since the folder is not a repository";
    assert!(
        snapshot.notes.len() == 1 && snapshot.notes[0].starts_with(said),
        "{:?}",
        snapshot.notes
    );
    code.include(&["images".to_owned()]);
    assert_ne!(code.snapshot().unwrap().version, clean.version);
    fs::File::create(place.root().join("rows.txt"))
        .unwrap()
        .set_len(2 << 10)
        .unwrap();
    let mut code = place.code();
    assert_ne!(code.snapshot().unwrap().version, clean.version);
}

#[test]
fn what_the_user_writes_under_a_pattern_of_outputs_is_code() {
    for place in [ProjectFolder::repository(), ProjectFolder::bare()] {
        let mut code = place.tracking("s1");
        let before = run(&place, &mut code, |place| {
            for letter in 'a'..='l' {
                place.write(format!("{letter}/log.txt"), "x\n");
                place.write(format!("{letter}.json"), "{}\n");
            }
            for number in 1..=3 {
                place.write(format!("exp/model{number}/weights.txt"), "x\n");
            }
        });
        let mut versions = vec![before];
        let mut add = |path: &str, code: &mut Working| {
            place.write(path, "x = 1\n");
            versions.push(code.snapshot().unwrap().version);
        };
        add("newpkg/__init__.py", &mut code);
        add("newpkg/inner.py", &mut code);
        // Also where an agent is started again.
        let mut code = place.tracking("s1");
        add("model3d/net.py", &mut code);
        let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len(), "{versions:?}");
        // Outputs stay outputs, and so do those of a program that the user runs by hand.
        let last = run(&place, &mut code, |place| {
            place.write("m/log.txt", "x\n");
            place.write("m.json", "{}\n");
        });
        place.write("exp/model4/weights.txt", "x\n");
        place.write("wandb/x.txt", "x\n");
        assert_eq!(code.snapshot().unwrap().version, last);
        // Source that is written while runs train.
        let _running = code.attempts().begin().unwrap();
        place.write("another/part.py", "x = 1\n");
        assert_ne!(code.snapshot().unwrap().version, last);
    }
}

#[test]
fn data_that_the_user_writes_while_nothing_runs_is_code() {
    let place = ProjectFolder::repository();
    let mut code = place.tracking("s1");
    let before = run(&place, &mut code, |place| {
        for letter in 'a'..='l' {
            place.write(format!("used_{letter}.json"), "{}\n");
        }
    });
    place.write("experiment.json", "{\"lr\": 1}\n");
    let with = code.snapshot().unwrap().version;
    assert_ne!(with, before);
    assert_eq!(
        run(&place, &mut code, |place| place
            .write("used_z.json", "{}\n")),
        with
    );
}
