//! Which changes of the sources make an image of the state useless.

#[path = "../build/fingerprint.rs"]
mod fingerprint;

use std::path::Path;

fn of(text: &str) -> u64 {
    fingerprint::fingerprint([(Path::new("src/sum.rs"), text)])
}

const SOURCE: &str = "//! Sums.

/// Adds.
pub fn add(a: u8, b: u8) -> u8 {
    // Never overflows.
    a + b
}

#[cfg(test)]
#[expect(unused)]
mod tests {
    fn one() {}
}
";

#[test]
fn comments_white_space_and_tests_leave_it_as_it_is() {
    let same = [
        SOURCE.replace("Sums.", "Additions."),
        SOURCE.replace(
            "/// Adds.",
            "/// Adds two numbers.\n///\n/// Both are small.",
        ),
        SOURCE.replace("    // Never overflows.\n", ""),
        SOURCE.replace("a + b", "a   /* plus */ +\n        b"),
        SOURCE.replace("a + b", "a /* a /* nested */ comment */ + b"),
        SOURCE.replace("fn one() {}", "fn two() -> char { '}' }"),
        SOURCE[..SOURCE.find("#[cfg(test)]").unwrap()].to_owned(),
    ];
    for text in same {
        assert_eq!(of(&text), of(SOURCE), "{text}");
    }
    let files = [
        (Path::new("src/sum.rs"), SOURCE),
        (Path::new("src/sum/tests.rs"), "fn one() {}"),
    ];
    assert_eq!(fingerprint::fingerprint(files), of(SOURCE));
}

#[test]
fn code_strings_attributes_names_of_files_and_other_files_change_it() {
    let other = [
        SOURCE.replace("a + b", "a - b"),
        SOURCE.replace("a + b", "a + b + 0"),
        SOURCE.replace("pub fn add", "#[inline]\npub fn add"),
        SOURCE.replace("a + b", "{ let _ = \"x\"; a + b }"),
        SOURCE.replace("#[cfg(test)]", "#[cfg(unix)]"),
    ];
    for text in other {
        assert_ne!(of(&text), of(SOURCE), "{text}");
    }
    assert_ne!(
        fingerprint::fingerprint([(Path::new("src/product.rs"), SOURCE)]),
        of(SOURCE)
    );
    let differs = |one: &str, other: &str| assert_ne!(of(one), of(other), "{one} | {other}");
    differs("let a = \"// one\";", "let a = \"// two\";");
    differs("let a = r#\"\"// one\"#;", "let a = r#\"\"// two\"#;");
    differs(
        "let a = ['\"', '\\'', b]; // \"",
        "let a = ['\"', '\\'', c]; // \"",
    );
    differs("fn f<'a>(x: &'a str) { 1 }", "fn f<'a>(x: &'a str) { 2 }");
    differs("let a = \"\\\\\"; one", "let a = \"\\\\\"; two");
    let json = |text| fingerprint::fingerprint([(Path::new("src/table.json"), text)]);
    assert_ne!(json("{}"), json("{ }"));
}
