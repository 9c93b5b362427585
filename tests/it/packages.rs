//! Programs of frameworks as they are, with the real packages: each gives its objective, with its steps, and needs nothing in the program.

use serde_json::Value;

use crate::harness::{Bench, has_python};

const REQUIREMENTS: &str = "tests/it/requirements.txt";

/// Runs a program twice with a learning rate, and returns the bench, the sweep, and its runs.
fn execute(
    program: &str,
    objective: &str,
    environment: &[(&str, &str)],
) -> (Bench, String, Vec<Value>) {
    let bench = Bench::new();
    let controller = bench.controller();
    let head = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--lr', type=float)\nlr = parser.parse_args().lr\n";
    bench.write("train.py", &format!("{head}{program}"));
    let file = bench.write(
        "sweep.yaml",
        &format!(
            "program: train.py\nmethod: grid\nretry: {{crashed: 0}}\nmetric: {{name: {objective}, goal: minimize}}\nparameters: {{lr: {{values: [0.01, 0.1]}}}}\n"
        ),
    );
    let id = bench.create(&[&file]);
    let mut agent = bench.sweep(&["agent", &id]);
    agent.envs(environment.iter().copied());
    let (code, output) = bench.start_command(agent).wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 2
            && runs
                .iter()
                .all(|run| run["state"] == "finished" && run["value"].is_number()),
        "{runs:?}\n{output}"
    );
    assert!(!output.contains("not read"), "{output}");
    // Its metrics are read through it.
    std::mem::forget(controller);
    (bench, id, runs)
}

fn metric(run: &Value, name: &str) -> f64 {
    run["metrics"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name}: {}", run["metrics"]))
}

#[test]
fn torch_writes_event_files() {
    if !has_python("torch.utils.tensorboard", "torch", REQUIREMENTS) {
        return;
    }
    let program = "from torch.utils.tensorboard import SummaryWriter\nwith SummaryWriter() as writer:\n    for epoch in range(6):\n        \
                   writer.add_scalar('Loss/train', lr / (epoch + 1), epoch)\n        writer.add_scalar('Loss/test', lr, epoch, new_style=True)\n    \
                   writer.add_scalars('both', {'a': 1.0, 'b': 2.0}, 0)\n    writer.add_hparams({'lr': lr}, {'Loss/test': 7.0})\n";
    let (bench, id, runs) = execute(program, "Loss/test", &[]);
    for (run, lr) in runs.iter().zip([0.01, 0.1]) {
        assert_eq!(run["params"]["lr"].as_f64(), Some(lr));
        assert_eq!(
            run["value"].as_f64(),
            Some(lr),
            "as the program has it, and not as its hyperparameters have it: {run}"
        );
        assert_eq!(
            (metric(run, "both_a/both"), metric(run, "both_b/both")),
            (1.0, 2.0)
        );
    }
    assert_eq!(bench.steps(&id, 1, "Loss/test"), (0..6).collect::<Vec<_>>());
}

#[test]
fn keras_writes_event_files_and_tables() {
    if !has_python("keras, tensorflow", "keras", REQUIREMENTS) {
        return;
    }
    let program = "import keras, numpy\nkeras.utils.set_random_seed(0)\nx = numpy.random.rand(64, 4); y = x.sum(1)\n\
                   model = keras.Sequential([keras.layers.Dense(1)])\nmodel.compile(keras.optimizers.SGD(lr), 'mse')\n";
    let board = "model.fit(x, y, validation_split=0.25, epochs=3, verbose=0, callbacks=[keras.callbacks.TensorBoard('logs')])\n";
    let (bench, id, runs) = execute(
        &format!("{program}{board}"),
        "val_loss",
        &[("TF_CPP_MIN_LOG_LEVEL", "3")],
    );
    assert_eq!(bench.steps(&id, 1, "val_loss"), [0, 1, 2]);
    assert!(
        metric(&runs[0], "validation/epoch_loss") == metric(&runs[0], "val_loss")
            && metric(&runs[0], "train/epoch_loss") > 0.0
    );
    let table = "model.fit(x, y, validation_split=0.25, epochs=3, verbose=0, callbacks=[keras.callbacks.CSVLogger('training.log')])\n";
    let (bench, id, runs) = execute(
        &format!("{program}{table}"),
        "val_loss",
        &[("TF_CPP_MIN_LOG_LEVEL", "3")],
    );
    assert_eq!(bench.steps(&id, 2, "val_loss"), [0, 1, 2]);
    assert!(metric(&runs[1], "loss") > 0.0);
}

#[test]
fn lightning_writes_event_files_and_tables() {
    if !has_python("lightning, tensorboard", "lightning", REQUIREMENTS) {
        return;
    }
    let both = "[TensorBoardLogger('my_tb'), CSVLogger('my_csv')]";
    for (logger, objective) in [
        ("True", "val_loss"),
        ("CSVLogger('logs')", "val_loss"),
        (both, "val_loss"),
    ] {
        let program = format!(
            "import torch, lightning\nfrom lightning.pytorch.loggers import CSVLogger, TensorBoardLogger\nclass Model(lightning.LightningModule):\n    \
             def __init__(self, width=4):\n        super().__init__()\n        self.save_hyperparameters()\n        self.layer = torch.nn.Linear(width, 1)\n    \
             def training_step(self, batch, _):\n        loss = self.layer(batch).square().mean()\n        self.log('train_loss', loss)\n        return loss\n    \
             def validation_step(self, batch, _):\n        self.log('val_loss', self.layer(batch).square().mean())\n    \
             def configure_optimizers(self):\n        return torch.optim.SGD(self.parameters(), lr=lr)\nlightning.seed_everything(0)\n\
             data = torch.utils.data.DataLoader(torch.randn(32, 4), 8)\n\
             trainer = lightning.Trainer(max_epochs=3, accelerator='cpu', logger={logger}, log_every_n_steps=1, enable_progress_bar=False, enable_checkpointing=False)\n\
             trainer.fit(Model(), data, data)\n"
        );
        let (bench, id, runs) = execute(&program, objective, &[]);
        assert_eq!(bench.steps(&id, 1, objective), [3, 7, 11], "{logger}");
        assert_eq!(
            bench.steps(&id, 2, "train_loss"),
            (0..12).collect::<Vec<_>>(),
            "{logger}"
        );
        assert_ne!(runs[0]["value"], runs[1]["value"]);
    }
}

#[test]
fn transformers_write_their_state_and_event_files() {
    if !has_python(
        "transformers, torch, tensorboard, accelerate",
        "transformers",
        REQUIREMENTS,
    ) {
        return;
    }
    let program = |report_to: &str| {
        format!(
            "import torch\nfrom transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments\n\
             data = [{{'input_ids': torch.tensor([i % 8, 1, 2]), 'labels': torch.tensor(i % 2)}} for i in range(16)]\n\
             config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)\n\
             arguments = TrainingArguments('out', learning_rate=lr, num_train_epochs=2, eval_strategy='epoch', save_strategy='epoch', save_total_limit=1, \
             logging_steps=1, per_device_train_batch_size=8, use_cpu=True, report_to='{report_to}', disable_tqdm=True, log_level='error')\n\
             trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=data, eval_dataset=data)\n\
             trainer.callback_handler.callbacks = [c for c in trainer.callback_handler.callbacks if type(c).__name__ != 'PrinterCallback']\n\
             trainer.train()\n"
        )
    };
    let (bench, id, _) = execute(&program("none"), "eval_loss", &[]);
    assert_eq!(
        bench.steps(&id, 1, "eval_loss"),
        [2, 4],
        "from trainer_state.json"
    );
    assert_eq!(
        bench.steps(&id, 1, "loss"),
        [1, 2, 3, 4],
        "each point once, though each checkpoint has all"
    );
    let (bench, id, _) = execute(&program("tensorboard"), "eval/loss", &[]);
    assert_eq!(bench.steps(&id, 2, "eval/loss"), [2, 4], "from event files");
}

#[test]
fn mlflow_logs_to_the_endpoint_and_autolog_works() {
    if !has_python("mlflow, sklearn", "mlflow", REQUIREMENTS) {
        return;
    }
    let program = "import mlflow, os, numpy\nfrom sklearn.linear_model import Ridge\nmlflow.set_experiment('demo')\nmlflow.sklearn.autolog(log_models=False)\n\
                   with mlflow.start_run() as run:\n    mlflow.log_params({'lr': lr})\n    mlflow.set_tag('a', 'b')\n    \
                   for step in range(5): mlflow.log_metric('val_loss', lr / (step + 1), step=step)\n    mlflow.log_dict({'a': 1}, 'd.json')\n    \
                   Ridge().fit(numpy.eye(4), numpy.arange(4))\n\
                   found = mlflow.get_run(run.info.run_id)\nassert found.info.status == 'FINISHED' and found.data.tags['a'] == 'b', found\n\
                   assert os.path.exists(f'{os.environ[\"SWEEP_RUN_DIR\"]}/mlflow/{run.info.run_id}/artifacts/d.json')\n";
    let (bench, id, runs) = execute(program, "val_loss", &[]);
    assert_eq!(bench.steps(&id, 1, "val_loss"), [0, 1, 2, 3, 4]);
    assert!(metric(&runs[0], "training_r2_score").is_finite());
}

#[test]
fn runs_of_wandb_are_read_wherever_the_library_puts_them() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let log = "for step in range(5): run.log({'val_loss': lr * step})\nrun.finish()\n";
    for begin in [
        "import wandb\nrun = wandb.init(dir='.')\n",
        "import wandb, os\nos.makedirs('elsewhere', exist_ok=True)\nos.environ['WANDB_DIR'] = 'elsewhere'\nrun = wandb.init()\n",
        "import wandb, os\nos.makedirs('root', exist_ok=True)\nrun = wandb.init(settings=wandb.Settings(root_dir='root'))\n",
    ] {
        let (bench, id, _) = execute(&format!("{begin}{log}"), "val_loss", &[]);
        for run in [1, 2] {
            assert_eq!(
                bench.steps(&id, run, "val_loss"),
                [0, 1, 2, 3, 4],
                "{begin}"
            );
        }
    }
}
