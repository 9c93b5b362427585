//! Repositories that want something executed, and files that no other user should see.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::CodeStore;

const HOOKS: [&str; 10] = [
    "post-index-change",
    "fsmonitor-watchman",
    "pre-commit",
    "post-checkout",
    "reference-transaction",
    "post-rewrite",
    "pre-auto-gc",
    "post-merge",
    "update",
    "sendemail-validate",
];

/// A program that leaves a file where it was executed, and passes on what it reads.
fn program(place: &ProjectFolder) -> String {
    let path = place.folder.path().join("evil.sh");
    let executed = place.folder.path().join("executed");
    fs::write(
        &path,
        format!(
            "#!/bin/sh\necho \"$0 $*\" >>'{}'\ncat\n",
            executed.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Has a repository name the program wherever one can be named.
fn arm(folder: &Path, program: &str) {
    let git_dir = PathBuf::from(git_in(folder, &["rev-parse", "--absolute-git-dir"]));
    let hooks = git_dir.join("evil-hooks");
    for hooks in [&hooks, &git_dir.join("hooks")] {
        fs::create_dir_all(hooks).unwrap();
        for hook in HOOKS {
            let _ = fs::remove_file(hooks.join(hook));
            symlink(program, hooks.join(hook)).unwrap();
        }
    }
    let hooks = hooks.display().to_string();
    let shell = format!("!{program}");
    for (key, value) in [
        ("core.hooksPath", hooks.as_str()),
        ("core.fsmonitor", program),
        ("core.sshCommand", program),
        ("core.pager", program),
        ("core.editor", program),
        ("core.askPass", program),
        ("core.alternateRefsCommand", program),
        ("credential.helper", &shell),
        ("filter.evil.clean", program),
        ("filter.evil.smudge", program),
        ("filter.evil.required", "true"),
        ("filter.process.process", program),
        ("diff.evil.textconv", program),
        ("diff.evil.command", program),
        ("diff.external", program),
        ("merge.evil.driver", program),
        ("gpg.program", program),
        ("log.showSignature", "true"),
        ("interactive.diffFilter", program),
        ("uploadpack.packObjectsHook", program),
        ("submodule.recurse", "true"),
        ("status.submoduleSummary", "true"),
        ("remote.origin.url", &format!("ext::{program} %S")),
        ("remote.origin.uploadpack", program),
        ("remote.origin.promisor", "true"),
    ] {
        git_in(folder, &["config", key, value]);
    }
    fs::write(
        folder.join(".gitattributes"),
        "*.txt filter=evil diff=evil merge=evil\n*.dat filter=process\n",
    )
    .unwrap();
    fs::create_dir_all(git_dir.join("info")).unwrap();
    fs::write(
        git_dir.join("info/attributes"),
        "*.csv filter=evil diff=evil\n",
    )
    .unwrap();
}

fn fill(folder: &Path, text: &str) {
    for name in ["tracked.txt", "tracked.dat", "tracked.csv"] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn nothing_that_a_repository_names_is_executed() {
    let place = ProjectFolder::repository();
    let program = program(&place);
    let executed = || fs::read_to_string(place.folder.path().join("executed")).unwrap_or_default();
    // A submodule, and a data set that was unpacked with its repository.
    let other = place.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    git_in(&other, &["init", "--quiet", "--initial-branch", "main"]);
    fill(&other, "1\n");
    git_in(&other, &["add", "--all"]);
    git_in(&other, &["commit", "--quiet", "--message", "Other"]);
    place.git(&[
        "submodule",
        "--quiet",
        "add",
        other.to_str().unwrap(),
        "module",
    ]);
    place.git(&["clone", "--quiet", other.to_str().unwrap(), "data"]);
    fill(&place.root(), "1\n");
    place.git(&[
        "add",
        "tracked.txt",
        "tracked.dat",
        "tracked.csv",
        ".gitmodules",
        "module",
    ]);
    place.git(&["commit", "--quiet", "--message", "All"]);
    place.git(&["config", "submodule.module.update", &format!("!{program}")]);
    for folder in ["", "module", "data"] {
        arm(&place.root().join(folder), &program);
        fill(&place.root().join(folder), "2\n");
        fs::write(place.root().join(folder).join("untracked.txt"), "3\n").unwrap();
    }
    let _ = fs::remove_file(place.folder.path().join("executed"));

    let mut code = place.code();
    let first = code.snapshot().unwrap();
    assert_eq!(code.snapshot().unwrap(), first);
    fill(&place.root().join("data"), "4\n");
    fill(&place.root(), "4\n");
    let second = code.snapshot().unwrap();
    assert_ne!(second.version, first.version);
    assert!(
        second.patch.contains("tracked.txt") && second.patch.contains("data/tracked.csv"),
        "{}",
        second.patch
    );
    assert_eq!(second.remote, "ext::[hidden]");
    assert_eq!(second.subject, "All");
    let source = code.source();
    let bundle = place.folder.path().join("bundle");
    source.bundle(&second.version, &[], &bundle).unwrap();
    source.suspects(&second.version).unwrap();
    source
        .turn(&first.version, &second.version, Duration::ZERO)
        .unwrap();
    let store = CodeStore::open(&place.folder.path().join("store.git")).unwrap();
    store.receive(&second.version, &bundle).unwrap();
    let written = place.folder.path().join("written");
    store.check_out(&second.version, &written).unwrap();
    assert_eq!(
        fs::read_to_string(written.join("module/untracked.txt")).unwrap(),
        "3\n"
    );
    assert_eq!(
        fs::read_to_string(written.join("data/tracked.csv")).unwrap(),
        "4\n"
    );
    assert_eq!(executed(), "");

    // What git itself does with them.
    let _ = Command::new("git")
        .current_dir(place.root())
        .args(["add", "--all"])
        .output()
        .unwrap();
    assert!(executed().contains("evil.sh"), "the repository is armed");
}

#[test]
fn secrets_are_left_out_and_named_whether_git_tracks_them_or_not() {
    let place = ProjectFolder::repository();
    let key = format!(
        "hf_{}",
        "aB3dE5gH7jK9"
            .repeat(3)
            .chars()
            .take(34)
            .collect::<String>()
    );
    place.write("config.py", "rate = 0.1\n");
    place.write("deploy/.streamlit/secrets.toml", "password = 1\n");
    place.write("tests/known.py", &format!("key = '{key}'\n"));
    place.write(".sweepignore", "*.tmp\n!tests/known.py\n!deploy/kept.pem\n");
    place.write("deploy/kept.pem", "public\n");
    place.commit("Two");
    place.write("notes.txt", &format!("{key}\n"));
    place.write("config.py", &format!("rate = 0.1\nHF_TOKEN = '{key}'\n"));
    let mut code = place.code();
    let snapshot = code.snapshot().unwrap();
    let listed = |version: &str| {
        let mut git = crate::git::git();
        let out = crate::git::output(git.env("GIT_DIR", code_dir(&place)).args([
            "ls-tree",
            "-r",
            "--name-only",
            version,
        ]))
        .unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        listed(&snapshot.version),
        ".sweepignore\ndeploy/kept.pem\ntests/known.py\ntrain.py\n"
    );
    assert_eq!(
        snapshot.notes,
        [
            "deploy/.streamlit/secrets.toml: not part of the code version, by name a secret (a line `!PATH` in .sweepignore keeps one that is none)",
            "config.py (a Hugging Face token), notes.txt (a Hugging Face token): not part of the code version, since there is what looks like a secret in it \
             (a line `!PATH` in .sweepignore keeps one that is none)",
        ]
    );
    assert!(!snapshot.patch.contains(&key), "{}", snapshot.patch);
    assert_eq!(snapshot.changed, (0, 0, 0));
    assert_eq!(code.snapshot().unwrap(), snapshot, "nothing has changed");
    // Once the key is gone the file belongs to the code.
    place.write("config.py", "rate = 0.2\n");
    let clean = code.snapshot().unwrap();
    assert!(listed(&clean.version).contains("config.py\n"));
    assert!(clean.patch.contains("+rate = 0.2\n"), "{}", clean.patch);
    // For callers that ask the user.
    place.write("config.py", &format!("rate = 0.1\nHF_TOKEN = '{key}'\n"));
    let mut code = place.code().taking_secrets();
    let taken = code.snapshot().unwrap();
    let suspects: Vec<_> = code
        .source()
        .suspects(&taken.version)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        suspects,
        [
            "config.py:2: a Hugging Face token",
            "deploy/.streamlit/secrets.toml: a file of that name mostly holds a secret",
            "notes.txt:1: a Hugging Face token",
        ]
    );
}

/// The repository in which the code of a place is kept.
fn code_dir(place: &ProjectFolder) -> PathBuf {
    fs::read_dir(place.folder.path().join("runs/code"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path()
}

#[test]
fn what_a_filter_encrypts_is_kept_as_committed_and_large_files_as_pointers() {
    let place = ProjectFolder::repository();
    place.write(
        ".gitattributes",
        "secret.txt filter=git-crypt diff=git-crypt\n*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    place.write("secret.txt", "\u{1}encrypted\n");
    let pointer = |oid: &str, size: usize| {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
    };
    place.write("weights.bin", &pointer("00", 1));
    place.commit("Two");
    let committed = place.git(&["rev-parse", "HEAD:secret.txt"]);
    place.write("secret.txt", "as it is read here\n");
    place.write("weights.bin", "weights\n");
    let mut code = place.code();
    let snapshot = code.snapshot().unwrap();
    assert_eq!(code.snapshot().unwrap(), snapshot);
    let show = |path: &str| {
        let mut git = crate::git::git();
        git.env("GIT_DIR", code_dir(&place)).args([
            "cat-file",
            "blob",
            &format!("{}:{path}", snapshot.version),
        ]);
        String::from_utf8(crate::git::output(&mut git).unwrap()).unwrap()
    };
    assert_eq!(
        show("secret.txt"),
        place.git(&["cat-file", "blob", &committed]) + "\n"
    );
    // What `sha256sum` says of it.
    assert_eq!(
        show("weights.bin"),
        pointer(
            "1b465fa6b6bcbc06a3199e3d2d8aec35d37494a712f888b6d5536684dd89d0f0",
            8
        )
    );
    assert!(
        snapshot.notes[0].starts_with("secret.txt: part of the code version only as committed"),
        "{:?}",
        snapshot.notes
    );
    place.write("weights.bin", "others\n");
    assert_ne!(code.snapshot().unwrap().version, snapshot.version);
}

#[test]
fn a_repository_inside_cannot_say_that_its_files_are_elsewhere() {
    let place = ProjectFolder::repository();
    let private = place.folder.path().join("private");
    fs::create_dir(&private).unwrap();
    fs::write(private.join("diary.md"), "mine\n").unwrap();
    place.write("data/a.csv", "1\n");
    let data = place.root().join("data");
    git_in(&data, &["init", "--quiet"]);
    git_in(
        &data,
        &["config", "core.worktree", private.to_str().unwrap()],
    );
    let version = place.snapshot().version;
    let mut list = crate::git::git();
    list.env("GIT_DIR", code_dir(&place))
        .args(["ls-tree", "-r", "--name-only", &version]);
    assert_eq!(
        String::from_utf8(crate::git::output(&mut list).unwrap()).unwrap(),
        "data/a.csv\ntrain.py\n"
    );
}

#[test]
fn what_takes_the_place_of_something_else_is_taken_as_git_takes_it() {
    let place = ProjectFolder::repository();
    place.write("folder/a.py", "1\n");
    place.write("other/b.py", "1\n");
    place.write("file", "1\n");
    place.write("deep/c", "1\n");
    place.commit("Two");
    let mut code = place.code();
    code.snapshot().unwrap();
    let elsewhere = place.folder.path().join("elsewhere");
    fs::rename(place.root().join("folder"), &elsewhere).unwrap();
    symlink(&elsewhere, place.root().join("folder")).unwrap();
    fs::remove_file(place.root().join("file")).unwrap();
    place.write("file/inside", "2\n");
    fs::remove_dir_all(place.root().join("deep")).unwrap();
    place.write("deep", "2\n");
    let version = code.snapshot().unwrap().version;
    place.git(&["add", "--all"]);
    assert_eq!(
        version,
        place.git(&["write-tree"]),
        "what git itself makes of it"
    );
}

#[test]
fn a_fifo_in_the_place_of_a_file_is_not_waited_for() {
    let place = ProjectFolder::repository();
    place.write("helper.py", "x\n");
    place.commit("Two");
    let before = place.snapshot();
    fs::remove_file(place.root().join("helper.py")).unwrap();
    let fifo = |name: &str| {
        nix::unistd::mkfifo(&place.root().join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    fifo("helper.py");
    fifo("untracked.py");
    let after = place.snapshot();
    assert_ne!(after.version, before.version);
    assert!(
        after.patch.contains("deleted file mode 100644"),
        "{}",
        after.patch
    );
    fifo(".gitignore");
    let refused = place.code().snapshot().unwrap_err().to_string();
    assert!(
        refused.ends_with(".gitignore: it is not a regular file, and git would wait for it"),
        "{refused}"
    );
}
