//! The description of a version: its commit and the difference from it.

use super::*;

#[test]
fn what_is_not_committed_is_shown_but_for_secrets_and_binary_files() {
    let place = ProjectFolder::repository();
    place.write("deploy/server.pem", "old key\n");
    place.write("plain.txt", "a\n");
    fs::write(place.root().join("weights.bin"), [0, 1, 2]).unwrap();
    place.commit("More");
    let mut code = place.code();
    assert_eq!(&*code.snapshot().unwrap().patch, "");
    place.write("train.py", "print('loss: 0.4')\n");
    place.write("helper.py", "x = 1\n");
    place.write(".env", "TOKEN=1\n");
    fs::write(place.root().join("weights.bin"), [0, 3]).unwrap();
    fs::write(place.root().join("latin.txt"), b"caf\xe9\n").unwrap();
    fs::remove_file(place.root().join("deploy/server.pem")).unwrap();
    place.git(&["config", "diff.noprefix", "true"]);
    place.git(&["config", "color.ui", "always"]);
    let patch = code.snapshot().unwrap().patch;
    for shown in [
        "Not shown, by its name a secret: deploy/server.pem\n",
        "diff --git a/train.py b/train.py\n",
        "-print('loss: 0.5')\n+print('loss: 0.4')\n",
        "+++ b/helper.py\n@@ -0,0 +1 @@\n+x = 1\n",
        "Binary files a/weights.bin and b/weights.bin differ\n",
        "+caf\u{fffd}\n",
    ] {
        assert!(patch.contains(shown), "{shown:?} in {patch}");
    }
    assert!(
        !patch.contains("old key") && !patch.contains("TOKEN") && !patch.contains(".env"),
        "{patch}"
    );
    // A folder below the root shows all of it.
    fs::create_dir(place.root().join("below")).unwrap();
    let below = Working::find(
        &place.root().join("below"),
        &place.folder.path().join("runs"),
    )
    .unwrap()
    .snapshot()
    .unwrap();
    assert_eq!(below.patch, patch);
    place.write("long.txt", &"line\n".repeat(100_000));
    let cut = code.snapshot().unwrap().patch;
    assert!(
        cut.len() <= crate::PATCH_BYTES_MAX
            && cut.ends_with("[cut here: the difference has more than 256 KiB]\n")
    );
}
