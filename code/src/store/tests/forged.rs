//! Bundles and trees that git would not make.

use super::*;

/// Writes an object that git itself would not make; returns its hash.
fn object(place: &StoreFixture, kind: &str, body: &[u8]) -> String {
    fs::write(place.path("object"), body).unwrap();
    place.git(&[
        "hash-object",
        "-t",
        kind,
        "--literally",
        "-w",
        place.path("object").to_str().unwrap(),
    ])
}

fn raw(hash: &str) -> Vec<u8> {
    (0..20)
        .map(|byte| u8::from_str_radix(&hash[2 * byte..2 * byte + 2], 16).unwrap())
        .collect()
}

fn tree(place: &StoreFixture, entries: &[(&str, &str, &str)]) -> String {
    let body: Vec<u8> = entries
        .iter()
        .flat_map(|(mode, name, hash)| [format!("{mode} {name}\0").as_bytes(), &raw(hash)].concat())
        .collect();
    object(place, "tree", &body)
}

/// A bundle that is exactly what it says, with any content.
fn honest(place: &StoreFixture, tree: &str) -> PathBuf {
    let commit =
        crate::store::commit(Command::new("git").arg("-C").arg(place.root()), tree).unwrap();
    place.forged(&commit, tree)
}

#[test]
fn trees_that_git_would_not_make_are_refused_even_under_the_right_name() {
    let place = StoreFixture::new();
    let blob = place.git(&["rev-parse", "HEAD:train.py"]);
    let link = object(&place, "blob", b"/tmp");
    let inner = tree(&place, &[("100644", "x", &blob)]);
    for entries in [
        vec![("100644", "..", blob.as_str())],
        vec![("100644", ".git", &blob)],
        vec![("40000", ".GIT", &inner)],
        vec![("100644", "/etc/passwd", &blob)],
        vec![("100644", "a/../../b", &blob)],
        // A link that leads out, and a folder of the same name with a file in it.
        vec![("120000", "out", &link), ("40000", "out", &inner)],
        vec![("40000", "out", &inner), ("120000", "out", &link)],
    ] {
        let tree = tree(&place, &entries);
        let bundle = honest(&place, &tree);
        let error = place.refuses(&tree, &bundle);
        assert!(
            matches!(error, CodeError::Git { .. } | CodeError::Mismatch(_)),
            "{entries:?}: {error}"
        );
        assert!(
            place
                .store
                .check_out(&tree, &place.path("elsewhere"))
                .is_err()
        );
    }
    for outside in ["b", "x", "passwd"] {
        assert!(
            !place.path(outside).exists() && !Path::new("/tmp").join(outside).join("x").exists(),
            "{outside}"
        );
    }
}

#[test]
fn a_link_that_leads_out_is_a_link_and_nothing_is_written_through_it() {
    let place = StoreFixture::new();
    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    let (blob, link) = (
        place.git(&["rev-parse", "HEAD:train.py"]),
        object(&place, "blob", outside.to_str().unwrap().as_bytes()),
    );
    let inner = tree(&place, &[("100644", "x", &blob)]);
    // Told apart by case: a folder and a link that are one where names have no case.
    let tree = tree(
        &place,
        &[("120000", "Out", &link), ("40000", "out", &inner)],
    );
    let bundle = honest(&place, &tree);
    place.store.receive(&tree, &bundle).unwrap();
    place
        .store
        .check_out(&tree, &place.path("elsewhere"))
        .unwrap();
    assert!(place.path("elsewhere/Out").is_symlink());
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn a_small_bundle_that_unfolds_to_more_than_any_code_is_refused_when_it_comes() {
    let place = StoreFixture::new();
    let blob = place.git(&["rev-parse", "HEAD:train.py"]);
    // Ten entries a folder, nine folders deep: a billion files.
    let names: Vec<String> = (0..10).map(|number| format!("f{number}")).collect();
    let all = |mode, hash: &str| {
        tree(
            &place,
            &names
                .iter()
                .map(|name| (mode, name.as_str(), hash))
                .collect::<Vec<_>>(),
        )
    };
    let wide = (0..8).fold(all("100644", &blob), |hash, _| all("40000", &hash));
    // One file of 100 MB, a hundred times.
    fs::File::create(place.path("zeros"))
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let zeros = place.git(&["hash-object", "-w", place.path("zeros").to_str().unwrap()]);
    let names: Vec<String> = (100..200).map(|number| format!("f{number}")).collect();
    let heavy = tree(
        &place,
        &names
            .iter()
            .map(|name| ("100644", name.as_str(), zeros.as_str()))
            .collect::<Vec<_>>(),
    );
    // A billion folders, and no file at all.
    let empty = (0..9).fold(tree(&place, &[]), |hash, _| {
        tree(
            &place,
            &(0..10)
                .map(|number| format!("f{number}"))
                .collect::<Vec<_>>()
                .iter()
                .map(|name| ("40000", name.as_str(), hash.as_str()))
                .collect::<Vec<_>>(),
        )
    });
    for (bomb, bytes) in [(wide, 2000), (heavy, 1 << 20), (empty, 2000)] {
        let bundle = honest(&place, &bomb);
        assert!(fs::metadata(&bundle).unwrap().len() < bytes);
        let refused = place.refuses(&bomb, &bundle);
        assert!(matches!(&refused, CodeError::TooLarge(_)), "{refused}");
        // A version that an earlier program has taken in.
        git_in_store(
            &place,
            &["update-ref", &format!("refs/sweep/{bomb}"), &bomb],
        );
        let (first, _) = place.bundle(&[], "first");
        for refused in [
            place
                .store
                .check_out(&bomb, &place.path("elsewhere"))
                .unwrap_err(),
            place.store.diff(&bomb, &first, false, false).unwrap_err(),
            place.store.changes(&first, &bomb).unwrap_err(),
        ] {
            assert!(matches!(&refused, CodeError::TooLarge(_)), "{refused}");
        }
        assert!(!place.path("elsewhere").exists());
    }
}
