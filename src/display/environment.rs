//! Prints environments of runs, as text and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use sweep_proto::v1::{DataSet, Environment};

use super::{counted, printable, table};

/// Differences of one kind that are shown.
const DIFFERENCES_MAX: usize = 40;
/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 8;
/// Facts that differ between any two runs and do not affect the result.
const PASSING: [&str; 6] = [
    "slurm_job",
    "slurm_array_job",
    "slurm_array_task",
    "slurm_process",
    "pbs_job",
    "kubernetes_pod",
];

/// The short form, with the facts that most users need.
pub(crate) fn summary(environment: &Environment) -> String {
    let mut text = String::new();
    let fact = |name: &str| environment.facts.get(name).map(|fact| printable(fact));
    let all = |names: &[&str]| {
        names
            .iter()
            .filter_map(|name| fact(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(python) = fact("python") {
        let packages = counted(environment.packages.len() as u64, "package");
        let _ = writeln!(
            text,
            "  interpreter: {python} ({}), {packages}",
            fact("interpreter").unwrap_or_default()
        );
    }
    let cpus = fact("cpus").map(|count| format!("{count} CPUs"));
    let memory = fact("memory_gb").map(|count| format!("{count} GB"));
    let machine: Vec<_> = fact("host")
        .into_iter()
        .chain(fact("container").map(|kind| format!("in {kind}")))
        .chain(cpus)
        .chain(memory)
        .collect();
    let _ = writeln!(text, "  machine: {}", machine.join(", "));
    let mut gpus: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, gpu) in environment
        .facts
        .iter()
        .filter(|(name, _)| name.starts_with("gpu."))
    {
        *gpus.entry(gpu).or_default() += 1;
    }
    if !gpus.is_empty() {
        let gpus: Vec<_> = gpus
            .iter()
            .map(|(gpu, count)| format!("{count} × {}", printable(gpu)))
            .collect();
        let _ = writeln!(
            text,
            "  GPUs: {}; driver {}",
            gpus.join("; "),
            all(&["gpu_driver", "cuda"]).replace(", ", ", CUDA ")
        );
    }
    let jobs: Vec<_> = facts(environment)
        .filter(|(name, _)| is_job(name))
        .map(|(name, fact)| format!("{} {}", printable(name), printable(fact)))
        .collect();
    if !jobs.is_empty() {
        let _ = writeln!(text, "  job: {}", jobs.join(", "));
    }
    for set in &environment.data {
        let _ = writeln!(text, "  data: {}", data(set));
    }
    text
}

/// All of it.
pub(crate) fn full(environment: &Environment) -> String {
    let mut text = String::new();
    for (name, fact) in facts(environment) {
        let _ = writeln!(text, "  {}: {}", printable(name), printable(fact));
    }
    for set in &environment.data {
        let _ = writeln!(text, "  data: {}", data(set));
    }
    for (title, list) in [
        ("Packages", &environment.packages),
        (
            "Variables (values only of those that are known to hold no secret)",
            &environment.variables,
        ),
    ] {
        let _ = writeln!(text, "  {title}: {}", list.len());
        list.iter().for_each(|entry| {
            let _ = writeln!(text, "    {}", printable(entry));
        });
    }
    text
}

/// All of it for programs.
pub(crate) fn json(environment: &Environment) -> Value {
    let sets = environment.data.iter().map(|set| {
        json!({"name": set.name, "location": set.location, "digest": none_if_empty(&set.digest), "basis": none_if_empty(&set.basis),
            "files": set.files, "bytes": set.bytes, "note": none_if_empty(&set.note)})
    });
    json!({
        "digest": environment.digest, "facts": facts(environment).collect::<BTreeMap<_, _>>(), "packages": environment.packages,
        "variables": environment.variables, "data": sets.collect::<Vec<_>>(),
    })
}

fn none_if_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn facts(environment: &Environment) -> impl Iterator<Item = (&String, &String)> {
    environment
        .facts
        .iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
}

fn is_job(name: &str) -> bool {
    ["slurm_", "pbs_", "kubernetes_"]
        .iter()
        .any(|start| name.starts_with(start))
}

fn data(set: &DataSet) -> String {
    let name = if set.name == set.location {
        printable(&set.name)
    } else {
        format!("{} ({})", printable(&set.name), printable(&set.location))
    };
    let note = if set.note.is_empty() {
        String::new()
    } else {
        format!("; {}", printable(&set.note))
    };
    if set.digest.is_empty() {
        return format!("{name}: not known{note}");
    }
    let digest: String = printable(&set.digest).chars().take(DIGEST_DIGITS).collect();
    format!(
        "{name}: {digest} by {}, {}, {:.1} MB{note}",
        printable(&set.basis),
        counted(set.files, "file"),
        set.bytes as f64 / 1e6
    )
}

/// Something that differs: what, and how it is on each side.
pub(crate) type Difference = [String; 3];

/// Lists the differences between two environments. Facts that differ with every job are left out, and so are variables whose values are not known.
pub(crate) fn differences(left: &Environment, right: &Environment) -> Vec<Difference> {
    let facts = |side: &Environment| -> BTreeMap<String, String> {
        facts(side)
            .filter(|(name, _)| !PASSING.contains(&name.as_str()))
            .map(|(name, fact)| (name.clone(), fact.clone()))
            .collect()
    };
    let named = |list: &[String], border: &str| -> BTreeMap<String, String> {
        let pairs = list.iter().filter_map(|entry| entry.split_once(border));
        pairs
            .filter(|(name, _)| !name.starts_with("SLURM_") && *name != "HOSTNAME")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let sets = |side: &Environment| -> BTreeMap<String, String> {
        let words = |set: &DataSet| {
            if set.digest.is_empty() {
                format!("not known: {}", set.note)
            } else {
                data(set)
            }
        };
        side.data
            .iter()
            .map(|set| (format!("data {}", set.name), words(set)))
            .collect()
    };
    let same_data = |name: &str| {
        let find = |side: &Environment| {
            side.data
                .iter()
                .find(|set| format!("data {}", set.name) == name)
                .map(|set| (set.digest.clone(), set.basis.clone()))
        };
        find(left) == find(right)
    };
    let data = differing(&sets(left), &sets(right))
        .into_iter()
        .filter(|[name, ..]| !same_data(name));
    let packages = differing(&named(&left.packages, "=="), &named(&right.packages, "=="));
    let variables = differing(&named(&left.variables, "="), &named(&right.variables, "="));
    let all = data
        .chain(differing(&facts(left), &facts(right)))
        .chain(cut(packages, "packages"))
        .chain(cut(variables, "variables"));
    all.map(|row| row.map(|text| printable(&text))).collect()
}

fn differing(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let cell = |side: &BTreeMap<String, String>, name: &String| {
        side.get(name).cloned().unwrap_or_else(|| "-".to_owned())
    };
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| [name.clone(), cell(left, name), cell(right, name)])
        .collect()
}

fn cut(mut rows: Vec<Difference>, what: &str) -> Vec<Difference> {
    let more = rows.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        rows.truncate(DIFFERENCES_MAX);
        rows.push([
            format!("and {more} more {what}"),
            String::new(),
            String::new(),
        ]);
    }
    rows
}

/// How two environments differ, as a table.
pub(crate) fn compared(heads: (&str, &str), left: &Environment, right: &Environment) -> String {
    let rows = differences(left, right);
    if rows.is_empty() {
        return "The same environment and data.".to_owned();
    }
    table::compared(&["ENVIRONMENT", heads.0, heads.1], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(host: &str, numpy: &str, digest: &str) -> Environment {
        let facts = [
            ("host", host),
            ("python", "cpython 3.12.1"),
            ("interpreter", "/usr/bin/python3"),
            ("gpu.0", "A GPU, 80 GB"),
            ("gpu.1", "A GPU, 80 GB"),
        ];
        Environment {
            digest: "d".to_owned(),
            facts: facts
                .iter()
                .map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned()))
                .collect(),
            packages: vec![format!("numpy=={numpy}"), "same==1".to_owned()],
            variables: vec!["HF_TOKEN".to_owned(), "OMP_NUM_THREADS=4".to_owned()],
            data: vec![DataSet {
                name: "train".to_owned(),
                location: "a.csv".to_owned(),
                digest: digest.to_owned(),
                basis: "content".to_owned(),
                files: 1,
                bytes: 10,
                ..DataSet::default()
            }],
        }
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let one = environment("a", "1.0", "aaaaaaaaaaaa");
        let rows = differences(&one, &environment("b", "2.0", "bbbbbbbbbbbb"));
        let names: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["data train", "host", "numpy"]);
        assert!(differences(&one, &one).is_empty());
    }

    #[test]
    fn the_short_form_says_what_matters_and_cannot_steer_a_terminal() {
        let text = summary(&environment("a\x1b[2J", "1.0", "aaaaaaaaaaaa"));
        assert!(
            text.contains("cpython 3.12.1 (/usr/bin/python3), 2 packages")
                && text.contains("2 × A GPU, 80 GB"),
            "{text}"
        );
        assert!(
            text.contains("train (a.csv): aaaaaaaa by content") && !text.contains('\x1b'),
            "{text}"
        );
    }
}
