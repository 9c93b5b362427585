//! Any text is a sweep file or has mistakes that can be shown; what is understood survives the log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sweep_lifecycle::spec::{SweepSpec, parse, render};

fuzz_target!(|text: &str| {
    let (spec, diagnostics) = parse(text);
    let shown = render(&diagnostics, "sweep.yaml", text, false);
    assert!(
        spec.is_some() || !shown.is_empty(),
        "a refusal without a word"
    );
    if let Some(spec) = spec {
        let json = serde_json::to_string(&spec).expect("what was read can be written");
        let again: SweepSpec = serde_json::from_str(&json).expect("what was written can be read");
        assert_eq!(
            serde_json::to_string(&again).expect("it was written before"),
            json
        );
    }
});
