//! Files that are refused or waited for: sizes, filters, locks.

use super::*;

#[test]
fn too_many_files_are_refused_in_words() {
    let place = ProjectFolder::bare();
    for number in 0..50_001 {
        let folder = place.root().join(format!("d{}", number / 500));
        if number % 500 == 0 {
            fs::create_dir(&folder).unwrap();
        }
        fs::write(folder.join(number.to_string()), "").unwrap();
    }
    let refused = place.code().snapshot().unwrap_err();
    assert!(refused.is_lasting());
    assert!(
        refused
            .to_string()
            .contains("50002 files (0 MB) that git does not track: too many to be code"),
        "{refused}"
    );
}

#[test]
fn a_filter_that_is_not_there_and_an_lfs_pointer_are_no_trouble() {
    let place = ProjectFolder::with_lfs_pointer();
    let before = place.snapshot();
    assert_eq!(before.version, place.git(&["rev-parse", "HEAD^{tree}"]));
    place.write("weights.bin", "changed\n");
    assert_ne!(place.snapshot().version, before.version);
}

#[test]
fn two_agents_in_one_folder_see_the_same() {
    let place = ProjectFolder::repository();
    let (mut one, mut other) = (place.code(), place.code());
    let first = one.snapshot().unwrap();
    assert_eq!(other.snapshot().unwrap(), first);
    place.write("train.py", "changed\n");
    let second = other.snapshot().unwrap();
    assert_eq!(one.snapshot().unwrap(), second);
    place.git(&["checkout", "--quiet", "train.py"]);
    assert_eq!(one.snapshot().unwrap(), first);
    assert_eq!(other.snapshot().unwrap(), first);
}

#[test]
fn a_lock_that_another_process_keeps_is_given_up_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.lock");
    let open = || {
        fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .unwrap()
    };
    let kept = open();
    kept.lock().unwrap();
    let refused =
        crate::working::lock::lock_within(&open(), &path, std::time::Duration::from_millis(50))
            .unwrap_err()
            .to_string();
    assert!(
        refused.contains("sweep.lock locked for") && refused.contains("SIGSTOP"),
        "{refused}"
    );
    drop(kept);
    crate::working::lock::lock_within(&open(), &path, std::time::Duration::ZERO).unwrap();
}
