//! Where an attempt's program is started, and with which command line and variables.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::argv::{self, Argv, AttemptPaths, Machine, Project, Template};
use crate::intake::frameworks::Workplace;
use crate::job::Job;
use crate::machine::ThisMachine;
use crate::mlflow;
use crate::private::{self, Durability, Obstruction};
use crate::process::exit::Obstacle;
use crate::process::fence::FenceOrder;
use crate::process::launch::Launch;
use crate::process::shims::Shims;
use crate::process::spawn::{self, Program};

/// Returns the folders and files of an attempt, as its program is told of them.
pub(super) fn place_of(job: &Job) -> AttemptPaths {
    let folder = job.folder();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    AttemptPaths {
        sweep: job.sweep.clone(),
        run: job.run,
        attempt: job.attempt,
        repeat: job.repeat,
        seed: job.seed,
        params_file: text(&folder.join("params.json")),
        wandb_file: text(&folder.join("wandb-config.yaml")),
        metrics_file: text(&folder.join("metrics.jsonl")),
        stop_file: text(&folder.join("stop")),
        checkpoints: text(&job.run_folder().join("checkpoint")),
        folder: text(&folder),
    }
}

/// Returns where files of frameworks are looked for.
pub(super) fn workplace(job: &Job, place: &AttemptPaths) -> Workplace {
    Workplace {
        folder: PathBuf::from(&place.folder),
        checkpoints: PathBuf::from(&place.checkpoints),
        workdir: job.workdir.clone(),
        runs_dir: job.runs_dir.clone(),
        sweep: job.sweep.clone(),
        run: job.run,
        metric_files: job.metric_files.clone(),
        mlflow_store: ThisMachine
            .variable(mlflow::VARIABLE)
            .and_then(|uri| mlflow::store_of(&uri, &job.workdir)),
    }
}

/// Makes the folders and files that the program needs. Returns the file that was in place of its
/// checkpoint folder.
pub(super) fn write_place(
    job: &Job,
    place: &AttemptPaths,
) -> Result<Option<Obstruction>, (PathBuf, io::Error)> {
    let trouble = |path: &str| {
        let path = PathBuf::from(path);
        |error| (path, error)
    };
    job.make_folder(Path::new(&place.folder))
        .map_err(trouble(&place.folder))?;
    let replaced = job
        .make_checkpoint_folder(Path::new(&place.checkpoints))
        .map_err(trouble(&place.checkpoints))?;
    let files = [
        (&place.params_file, argv::params_json(&job.params)),
        (&place.wandb_file, argv::wandb_config(&job.params)),
        (&place.metrics_file, String::new()),
    ];
    for (path, text) in files {
        private::replace(Path::new(path), text.as_bytes(), Durability::Cached)
            .map_err(trouble(path))?;
    }
    Ok(replaced)
}

/// Returns the command line of the program.
pub(super) fn build_argv(job: &Job, place: &AttemptPaths) -> Argv {
    let template = Template {
        command: &job.command,
        program: &job.program,
        params: &job.params,
        omits_none: job.omits_none,
        place,
    };
    argv::build(template, &ThisMachine)
}

/// Starts the shim that starts the program.
pub(super) async fn start(
    shims: &Arc<Shims>,
    job: &Job,
    place: &AttemptPaths,
    argv: &Argv,
) -> Result<Program, Obstacle> {
    if let Some(reason) = &job.obstacle {
        return Err(Obstacle::Machine(reason.clone()));
    }
    let project = Project {
        project: &job.project,
        entity: &job.entity,
    };
    let mut variables = argv::variables(place, &job.params, project, &ThisMachine);
    if argv::starts_ranks(&argv.items) {
        variables.remove("WANDB_RUN_ID");
    }
    if let Some(devices) = &job.slot.devices {
        variables.insert("CUDA_VISIBLE_DEVICES".to_owned(), devices.clone());
    }
    if job.slot.driver_order && ThisMachine.variable("CUDA_DEVICE_ORDER").is_none() {
        variables.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    }
    let preflight = match &job.preflight[..] {
        [] => None,
        preflight => Some(spawn::resolve(preflight, None, &job.workdir)?),
    };
    let launch = Launch {
        command: spawn::resolve(&argv.items, argv.script, &job.workdir)?,
        preflight,
        variables,
        marker: job.marker(),
        workdir: job.workdir.clone(),
        output: job.output(),
        grace: job.limits.grace,
        alone: job.alone.clone(),
        fence: Some(FenceOrder {
            run_folder: job.run_folder(),
            attempt: job.attempt,
        }),
        mlflow: ThisMachine
            .variable(mlflow::VARIABLE)
            .is_none()
            .then(|| format!("{}-{}", job.sweep, job.run)),
    };
    spawn::spawn(shims, &job.folder(), &launch).await
}
