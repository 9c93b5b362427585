//! Files that interpreters, trackers and training frameworks write beside the code. They are excluded from the start, unless git tracks them.

/// Files and folders of these names, wherever they are, in the form of `.gitignore`.
pub(crate) const ANYWHERE: &[&str] = &[
    "__pycache__/",
    "*.pyc",
    ".ipynb_checkpoints/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".venv/",
    "venv/",
    "node_modules/",
    "wandb/",
    "mlruns/",
    "mlartifacts/",
    "mlflow.db",
    "mlflow.db-*",
    "lightning_logs/",
    "tb_logs/",
    "csv_logs/",
    "ray_results/",
    "catboost_info/",
    ".hydra/",
    ".aim/",
    ".neptune/",
    "checkpoints/",
    "*.ckpt",
    "*.pt",
    "*.pth",
    "*.safetensors",
    "*.npz",
    "events.out.tfevents.*",
    "*.log",
    "nohup.out",
    "slurm-*.out",
    ".DS_Store",
    "core.[0-9]*",
    // The data of a controller: a version that held those before it would grow with each.
    "sweep.db",
    "sweep.db-*",
    "code.git/",
];

/// Folders of these names in the working folder and at the root of the code: elsewhere a folder of such a name may well hold source.
pub(crate) const IN_WORKING_FOLDER: &[&str] = &["outputs", "multirun", "runs"];

/// Folders that people may miss in a version: they are named where they are there.
pub(crate) const NAMED: &[&str] = &[
    "outputs",
    "multirun",
    "runs",
    "wandb",
    "mlruns",
    "mlartifacts",
    "mlflow.db",
    "lightning_logs",
    "tb_logs",
    "csv_logs",
    "ray_results",
    "catboost_info",
    "checkpoints",
];
