//! The environment variables of programs: all names, and the values of those that are known to hold
//! no secret.

/// Variables with recorded values: those that change the result of a run.
const VALUES: [&str; 20] = [
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "CONDA_DEFAULT_ENV",
    "HOSTNAME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "TF_DETERMINISTIC_OPS",
    "TORCH_CUDA_ARCH_LIST",
    "TZ",
    "VIRTUAL_ENV",
    "XLA_FLAGS",
];
/// The same for all that begin so.
const VALUES_OF: [&str; 4] = ["NCCL_", "SLURM_", "PYTORCH_CUDA_", "TORCH_NCCL_"];
/// Parts of the names of secrets. They take precedence over the lists above.
const SECRET: [&str; 9] = [
    "TOKEN",
    "KEY",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "AUTH",
    "PRIVATE",
    "COOKIE",
];
/// Variables that the agent sets for each run, and variables that change with every shell.
const PASSING: [&str; 4] = ["SWEEP_", "WANDB_SWEEP_", "SHLVL", "_"];
/// A longer value was not set by hand.
const VALUE_BYTES_MAX: usize = 1000;

/// Returns `NAME=value` or `NAME` for each variable, sorted.
pub(super) fn listed(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let passing = |name: &str| {
        name == "_"
            || PASSING
                .iter()
                .any(|start| *start != "_" && name.starts_with(start))
    };
    let mut listed: Vec<_> = variables
        .filter(|(name, _)| !passing(name))
        .map(|(name, value)| {
            if is_open(&name) && value.len() <= VALUE_BYTES_MAX {
                format!("{name}={}", sweep_code::redacted(&value))
            } else {
                name
            }
        })
        .collect();
    listed.sort_unstable();
    listed
}

fn is_open(name: &str) -> bool {
    let upper = name.to_uppercase();
    !SECRET.iter().any(|secret| upper.contains(secret))
        && (VALUES.contains(&name) || VALUES_OF.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_recorded_by_name_alone_and_never_of_secrets() {
        let variables = [
            ("OMP_NUM_THREADS", "4"),
            ("NCCL_DEBUG", "INFO"),
            ("WANDB_API_KEY", "hidden"),
            ("SLURM_JWT_TOKEN", "hidden"),
            ("NCCL_SECRET_x", "hidden"),
            ("HF_HOME", "hidden"),
            ("SWEEP_RUN", "17"),
            ("SLURM_COMMENT", "postgres://me:hunter22@db.local/x"),
            ("_", "/bin/x"),
        ];
        let listed = listed(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let expected = [
            "HF_HOME",
            "NCCL_DEBUG=INFO",
            "NCCL_SECRET_x",
            "OMP_NUM_THREADS=4",
            "SLURM_COMMENT=[hidden]/x",
            "SLURM_JWT_TOKEN",
            "WANDB_API_KEY",
        ];
        assert_eq!(listed, expected);
    }
}
