//! Forms in which programs print metrics.

use std::collections::BTreeMap;

use super::{case, is_close, reason};

#[test]
fn files_01_tqdm_glued() {
    let Some(case) = case("files/01-tqdm-glued", "tqdm") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.finished(7);
    for run in &outcome.runs {
        let wanted = match run["params"]["mode"].as_str() {
            Some("end" | "manual") => vec![0.55],
            _ => (0..10).map(|epoch| 1.0 - f64::from(epoch) / 20.0).collect(),
        };
        assert_eq!(
            case.values(&outcome, run, "val_loss"),
            wanted,
            "{}",
            run["params"]
        );
    }
    let outcome = case.execute("silent.yaml");
    outcome.finished(8);
    for run in &outcome.runs {
        let count = run["params"]["N"].as_u64().expect("N is a number");
        let values = case.values(&outcome, run, "val_acc");
        assert!(
            values.len() as u64 == count && values.last() == Some(&1.0) && run["value"] == 1.0,
            "{run}: {values:?}"
        );
    }
}

#[test]
fn files_08_metric_forms() {
    let Some(case) = case("files/08-metric-forms", "json") else {
        return;
    };
    let outcome = case.execute("all.yaml");
    assert_eq!(outcome.runs.len(), 40, "{}", outcome.output);
    let half = "plain pydict prefix tqdm tqdm_stdout cr_json ansi indent string nested np latin latinin nonl crlf bom longline longjson stderr file filenonl \
                filerm tracebackok";
    let mut wanted: BTreeMap<&str, f64> = half.split_whitespace().map(|name| (name, 0.5)).collect();
    wanted.extend([
        ("two", 0.4),
        ("nanthen", 0.4),
        ("thennan", 0.4),
        ("huge", 1.7e308),
        ("filetrunc", 0.6),
    ]);
    // What is not read, and a word of the remedy or the cause that the agent names. Values that are no numbers have a separate test.
    let named: BTreeMap<&str, &str> = BTreeMap::from([
        ("nestedonly", "train.loss"),
        ("nan", "NaN"),
        ("inf", "inf"),
        ("neginf", "inf"),
        ("1e400", "inf"),
        ("lowernan", "NaN"),
        ("printtext", "metric_patterns"),
        ("hf", "eval_loss"),
        ("filecsv", "`loss,epoch`; write lines like"),
        ("exitafter", "exit status 1"),
    ]);
    assert_eq!(wanted.len() + named.len(), 38);
    let mut wrong = Vec::new();
    for run in &outcome.runs {
        let form = run["params"]["case"].as_str().expect("a case has a name");
        if let Some(value) = wanted.get(form) {
            if run["state"] != "finished"
                || !run["value"]
                    .as_f64()
                    .is_some_and(|found| is_close(found, *value, 1e-9))
            {
                wrong.push(format!(
                    "{form}: {} {} {}",
                    run["state"], run["value"], run["reason"]
                ));
            }
        } else if let Some(word) = named.get(form) {
            let note = format!("Note run {} ", run["run"]);
            let notes = outcome
                .output
                .lines()
                .filter(|line| line.contains(&note))
                .collect::<Vec<_>>()
                .join("\n");
            let said = format!("{}\n{notes}", reason(run));
            if run["state"] != "failed" || !said.contains(word) {
                wrong.push(format!("{form}, not named: {} {said}", run["state"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_08_metric_forms_that_are_no_numbers() {
    let Some(case) = case("files/08-metric-forms", "json") else {
        return;
    };
    let yaml = case.read("all.yaml");
    let begin = yaml.find("  case: ").expect("the file has the parameter");
    case.write(
        "all.yaml",
        &format!("{}  case: {{values: [bool, list]}}\n", &yaml[..begin]),
    );
    let outcome = case.execute("all.yaml");
    for (run, line) in outcome
        .runs
        .iter()
        .zip(["{\"loss\": true}", "{\"loss\": [0.5]}"])
    {
        assert!(
            reason(run).contains(line) || outcome.output.contains(line),
            "{line} is not named: {run}\n{}",
            outcome.output
        );
    }
}
