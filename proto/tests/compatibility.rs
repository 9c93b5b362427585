//! Compares the protocol with the last released one: what a release has may be added to, and never changed or removed.
//!
//! At a release, `cargo test -p sweep-proto --test compatibility -- --ignored` writes `proto/released.txt`.

use std::collections::BTreeMap;

/// The protocol as it is now: one line for each method, message, field, enum and value.
const CURRENT: &str = include_str!(concat!(env!("OUT_DIR"), "/protocol.txt"));

const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/released.txt");

/// Returns what breaks programs of the released protocol.
fn breaks(released: &str, current: &str) -> Vec<String> {
    let current = entries(current);
    let broken = |(name, was): (&str, &str)| match current.get(name) {
        None => Some(format!("{name} was removed; it was: {was}")),
        Some(is) if *is != was => Some(format!("{name} was changed; it was: {was}; it is: {is}")),
        Some(_) => None,
    };
    entries(released).into_iter().filter_map(broken).collect()
}

fn entries(summary: &str) -> BTreeMap<&str, &str> {
    summary
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .collect()
}

#[test]
fn the_protocol_breaks_no_released_program() {
    let released = std::fs::read_to_string(RELEASED).unwrap();
    assert!(
        entries(&released).len() > 100,
        "{RELEASED} is no summary of a protocol"
    );
    assert_eq!(
        breaks(&released, CURRENT),
        Vec::<String>::new(),
        "docs/explanation/compatibility.md has the rules"
    );
}

#[test]
#[ignore = "writes the released protocol, at a release"]
fn release() {
    std::fs::write(RELEASED, CURRENT).unwrap();
}

#[test]
fn the_summary_has_every_kind_of_entry() {
    let current = entries(CURRENT);
    let has = |name: &str, value: &str| assert_eq!(current.get(name), Some(&value), "{name}");
    has(
        "rpc sweep.v1.AgentService/Acquire",
        ".sweep.v1.AcquireRequest -> .sweep.v1.AcquireResponse",
    );
    has(
        "rpc sweep.v1.SweepService/GetLogs",
        ".sweep.v1.GetLogsRequest -> stream .sweep.v1.GetLogsResponse",
    );
    has("message sweep.v1.Failure", "message");
    has("value sweep.v1.Directive.Kind 001", "KIND_CONTINUE");
    assert!(
        CURRENT.contains(" LABEL_REPEATED\n")
            && CURRENT.contains(" LABEL_PRESENCE\n")
            && CURRENT.contains(" in next\n")
    );
}

#[test]
fn each_kind_of_break_is_found() {
    let released = "rpc s/M = .A -> .B\nmessage A = message\nfield A 001 = x TYPE_INT32 LABEL_OPTIONAL\nfield A 002 = y TYPE_STRING LABEL_OPTIONAL in next\n\
                    enum E = enum\nvalue E 001 = E_ONE\n";
    let cases = [
        ("rpc s/M = .A -> .B\n", "", "rpc s/M was removed"),
        (".A -> .B", ".A -> stream .B", "rpc s/M was changed"),
        (".A -> .B", ".C -> .B", "rpc s/M was changed"),
        ("message A = message\n", "", "message A was removed"),
        (
            "field A 001 = x TYPE_INT32 LABEL_OPTIONAL\n",
            "",
            "field A 001 was removed",
        ),
        ("field A 001", "field A 003", "field A 001 was removed"),
        (
            "= x TYPE_INT32",
            "= z TYPE_INT32",
            "field A 001 was changed",
        ),
        ("TYPE_INT32", "TYPE_INT64", "field A 001 was changed"),
        (
            "TYPE_INT32 LABEL_OPTIONAL",
            "TYPE_INT32 LABEL_REPEATED",
            "field A 001 was changed",
        ),
        (
            "TYPE_STRING LABEL_OPTIONAL in next",
            "TYPE_STRING LABEL_OPTIONAL",
            "field A 002 was changed",
        ),
        ("enum E = enum\n", "", "enum E was removed"),
        ("value E 001 = E_ONE\n", "", "value E 001 was removed"),
        ("E_ONE", "E_FIRST", "value E 001 was changed"),
    ];
    for (was, is, expected) in cases {
        let current = released.replace(was, is);
        assert_ne!(current, released, "{was}");
        let found = breaks(released, &current);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{was} -> {is}: {found:?}"
        );
    }
}

#[test]
fn additions_break_nothing() {
    let released = "message A = message\nfield A 001 = x TYPE_INT32 LABEL_OPTIONAL\n";
    let more =
        "rpc s/N = .A -> .A\nfield A 002 = y TYPE_INT32 LABEL_OPTIONAL\nvalue E 002 = E_TWO\n";
    assert_eq!(
        breaks(released, &format!("{released}{more}")),
        Vec::<String>::new()
    );
}
