//! Facts about the machine, from files of its kernel and its surroundings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::gpu::GpuDriver;

/// Variables that say which job of a cluster this is, with the names of the facts.
const JOB: [(&str, &str); 8] = [
    ("SLURM_JOB_ID", "slurm_job"),
    ("SLURM_ARRAY_JOB_ID", "slurm_array_job"),
    ("SLURM_ARRAY_TASK_ID", "slurm_array_task"),
    ("SLURM_PROCID", "slurm_process"),
    ("SLURM_CLUSTER_NAME", "slurm_cluster"),
    ("SLURM_JOB_PARTITION", "slurm_partition"),
    ("SLURMD_NODENAME", "slurm_node"),
    ("PBS_JOBID", "pbs_job"),
];

/// Returns facts about the machine, from the files below `root` and from its environment.
pub(super) fn facts(
    root: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    driver: &dyn GpuDriver,
) -> BTreeMap<String, String> {
    let mut facts = driver.facts();
    let mut add = |name: &str, fact: Option<String>| {
        if let Some(fact) = fact.filter(|fact| !fact.is_empty()) {
            facts.insert(name.to_owned(), fact);
        }
    };
    add(
        "os",
        read(root, "etc/os-release").and_then(|text| value(&text, "PRETTY_NAME", '=')),
    );
    add(
        "kernel",
        read(root, "proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
    );
    let cpus = read(root, "proc/cpuinfo").unwrap_or_default();
    add("cpu", value(&cpus, "model name", ':'));
    add(
        "cpus",
        std::thread::available_parallelism()
            .ok()
            .map(|count| count.to_string()),
    );
    let memory = read(root, "proc/meminfo").and_then(|text| value(&text, "MemTotal", ':'));
    add("memory_gb", memory.and_then(|text| gigabytes(&text)));
    add("container", container(root, variable));
    for (name, fact) in JOB {
        add(fact, variable(name));
    }
    if variable("KUBERNETES_SERVICE_HOST").is_some() {
        let namespace = read(
            root,
            "var/run/secrets/kubernetes.io/serviceaccount/namespace",
        );
        add(
            "kubernetes_namespace",
            namespace.map(|text| text.trim().to_owned()),
        );
        add("kubernetes_pod", variable("HOSTNAME"));
        add("kubernetes_node", variable("NODE_NAME"));
    }
    facts
}

fn container(root: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    // Enroot and Apptainer say so in the environment.
    let named = [
        ("APPTAINER_CONTAINER", "apptainer"),
        ("SINGULARITY_CONTAINER", "singularity"),
    ];
    let by_variable = named
        .iter()
        .find_map(|(name, kind)| variable(name).map(|image| format!("{kind} {image}")));
    let image = read(root, "run/.containerenv").map(|text| match value(&text, "image", '=') {
        Some(image) => format!("podman {image}"),
        None => "podman".to_owned(),
    });
    let docker = || {
        root.join(".dockerenv")
            .exists()
            .then(|| "docker".to_owned())
    };
    let by_group = || {
        let groups = read(root, "proc/1/cgroup")?;
        ["kubepods", "docker", "containerd", "lxc"]
            .iter()
            .find(|kind| groups.contains(*kind))
            .map(|kind| (*kind).to_owned())
    };
    by_variable.or(image).or_else(docker).or_else(by_group)
}

/// The value of the first line that has a name, without its quotes.
fn value(text: &str, name: &str, separator: char) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn gigabytes(text: &str) -> Option<String> {
    let kilobytes: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(format!("{:.1}", kilobytes / f64::from(1 << 20)))
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::paper::Paper;

    fn found(files: &[(&str, &str)], variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        facts(root.path(), &variable, &Paper(&[]))
    }

    #[test]
    fn a_machine_is_told_from_its_files() {
        let cpu = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: another\n";
        let facts = found(
            &[
                ("etc/os-release", "NAME=x\nPRETTY_NAME=\"An OS 12\"\n"),
                ("proc/sys/kernel/osrelease", "6.1.0\n"),
                ("proc/cpuinfo", cpu),
                ("proc/meminfo", "MemTotal:       16777216 kB\n"),
                (".dockerenv", ""),
            ],
            &[("SLURM_JOB_ID", "17")],
        );
        let expected = [
            ("os", "An OS 12"),
            ("kernel", "6.1.0"),
            ("cpu", "A CPU @ 2 GHz"),
            ("memory_gb", "16.0"),
            ("container", "docker"),
            ("slurm_job", "17"),
        ];
        for (name, fact) in expected {
            assert_eq!(facts[name], fact, "{name}");
        }
    }

    #[test]
    fn a_pod_is_told_from_its_namespace_and_name() {
        let namespace = (
            "var/run/secrets/kubernetes.io/serviceaccount/namespace",
            "ml\n",
        );
        let facts = found(
            &[namespace, ("proc/1/cgroup", "0::/kubepods/x")],
            &[("KUBERNETES_SERVICE_HOST", "1"), ("HOSTNAME", "train-0")],
        );
        assert_eq!(
            (
                &*facts["kubernetes_namespace"],
                &*facts["kubernetes_pod"],
                &*facts["container"]
            ),
            ("ml", "train-0", "kubepods")
        );
        assert!(!found(&[], &[]).contains_key("container"));
    }
}
