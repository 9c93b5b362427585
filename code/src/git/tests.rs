//! Tests of how git is run.

use super::*;

#[test]
fn many_make_one_repository_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("code/of");
    thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| make_bare(&place, "sha1").map(|()| place.join("config").exists()))
            })
            .collect();
        assert!(
            makers
                .into_iter()
                .all(|maker| maker.join().unwrap().unwrap()),
            "one saw a repository that was not whole"
        );
    });
    assert_eq!(
        fs::read_dir(folder.path().join("code")).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_call_that_takes_too_long_is_ended_with_all_that_it_has_started() {
    let mut sleeps = Command::new("sh");
    sleeps.args(["-c", "sleep 1000 & sleep 1000", "git", "sleep"]);
    let began = std::time::Instant::now();
    let (_, ended) = run(&mut sleeps, None, Duration::from_millis(100), |stdout| {
        drop(stdout.read(&mut [0]));
    })
    .unwrap();
    let error = ended.checked(&sleeps).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(100) && error.is_lasting());
    assert_eq!(
        error.to_string(),
        "git sleep took longer than 0 s and was ended"
    );
}

#[test]
fn memory_is_bounded_and_no_program_of_the_user_is_named() {
    let mut shell = git();
    shell.args(["-c", "alias.limits=!ulimit -d; ulimit -t; env", "limits"]);
    let said = String::from_utf8(output(&mut shell).unwrap()).unwrap();
    assert!(said.starts_with("2097152\n900\n"), "{said}");
    assert!(
        said.contains("GIT_CONFIG_GLOBAL=/dev/null") && said.contains("GIT_NO_LAZY_FETCH=1"),
        "{said}"
    );
}

#[test]
fn what_says_more_than_is_read_is_ended() {
    let mut endless = Command::new("sh");
    endless.args(["-c", "yes"]);
    let (read, _) = run(&mut endless, None, TIME_MAX, |stdout| {
        stdout.take(10).read_to_end(&mut Vec::new())
    })
    .unwrap();
    assert_eq!(read.unwrap(), 10);
}

#[test]
fn one_that_was_begun_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("objects/pack")).unwrap();
    make_bare(folder.path(), "sha1").unwrap();
    assert!(quick(
        git()
            .current_dir(folder.path())
            .args(["rev-parse", "--is-bare-repository"])
    ));
}
