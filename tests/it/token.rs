//! Beyond loopback nothing goes without a token.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Bench, finish, wait_for};

#[test]
fn a_controller_beyond_loopback_asks_for_its_token() {
    let bench = Bench::new();
    let data = bench.path("controller").display().to_string();
    let controller = bench.start(&["controller", "--listen", &format!("0.0.0.0:{}", bench.port()), "--data-dir", &data]);
    bench.listening(&controller);
    let token_file = bench.path("controller/token");
    wait_for("the line to paste", || controller.output().contains("--token swp_").then_some(()));
    let token = fs::read_to_string(&token_file).expect("the token was written").trim().to_owned();
    assert_eq!(fs::metadata(&token_file).expect("it exists").permissions().mode() & 0o777, 0o600);
    let line = format!("sweep agent <id> --controller http://HOST:{} --token {token}", bench.port());
    let (before, after) = line.split_once("HOST").expect("it is in it");
    let output = controller.output();
    assert!(output.contains(before) && output.contains(after), "{output}");

    let refused = bench.run(&["ls"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("token"), "{refused:?}");
    let mut wrong = bench.sweep(&["ls"]);
    wrong.env("SWEEP_TOKEN", "wrong");
    assert_ne!(finish(wrong).code, 0);
    let mut right = bench.sweep(&["ls"]);
    right.env("SWEEP_TOKEN", &token);
    let right = finish(right);
    assert_eq!(right.code, 0, "{right:?}");
}
