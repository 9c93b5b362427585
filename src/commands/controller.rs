//! `sweep controller`: serves in the foreground; starts, looks at and stops the one in the background.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use nix::libc::O_NOFOLLOW;
use nix::sys::stat::{Mode, umask};
use serde_json::json;
use sweep_access::{TOKEN_FILE, Token, card};
use sweep_controller::engine::Terms;
use sweep_controller::serve::{self, AccessPolicy, Controller, ServeError, ServeOptions};
use sweep_controller::store::StoreError;
use sweep_proto::v1::{GetStatusRequest, StopControllerRequest};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::ControllerArgs;
use crate::commands::agent::duration;
use crate::discovery;
use crate::display::{ago, out};
use crate::failure::CommandError;
use crate::places;

/// Serves sweeps to agents and clients
///
/// Without a subcommand it serves in the foreground until Ctrl-C. Everything that was acknowledged is on disk; after a crash, start it again on the
/// same data directory and all goes on.
///
/// Every caller shows a token. The first start makes one, in the file `token` of the data directory; commands and agents of the same user on this machine
/// find it there, and elsewhere it is given in $SWEEP_TOKEN.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  sweep controller                                  on this machine alone
  sweep controller --listen 0.0.0.0:7433            for agents on other machines
  sweep controller start                            in the background
  sweep controller status
  sweep controller stop
  sweep controller backup ~/sweep-2026-11-23.db
  sweep controller restore ~/sweep-2026-11-23.db --data-dir ~/restored
  sweep controller verify
  sweep controller rebuild                          after verify found rows that do not fit the log")]
pub(crate) struct ControllerCommandArgs {
    #[command(subcommand)]
    command: Option<ControllerCommand>,

    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum ControllerCommand {
    /// Starts a controller in the background
    Start(ServeArgs),
    /// Says whether a controller answers, and what it is doing
    Status(StatusArgs),
    /// Stops the controller in good order; agents go on and wait for it to come back
    Stop(ControllerArgs),
    /// Copies all data into one file, and the code of runs into another one beside it, also while the controller runs
    Backup(BackupArgs),
    /// Puts a backup into a data directory that has no data yet
    Restore(BackupArgs),
    /// Makes a new token for a controller that is stopped; agents and users need it from its next start on
    RotateToken(DataDirArgs),
    /// Checks all data: reads the whole log, and compares everything else with what follows from it
    Verify(VerifyArgs),
    /// Makes the tables that commands and the page read from the event log again, while no controller runs
    Rebuild(VerifyArgs),
}

#[derive(Debug, Args)]
struct BackupArgs {
    /// The backup; an existing file is never replaced
    file: PathBuf,

    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DataDirArgs {
    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
struct ServeArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", env = "SWEEP_LISTEN", default_value = places::LOCAL)]
    listen: SocketAddr,

    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// An agent or attempt without news for this long is lost
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    lease: Duration,

    /// As --lease, for runs that a program asked for (`sweep ask`): nothing is heard of them while they are executed
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    ask_lease: Duration,

    /// Wait up to this long for a suggestion that rests on all results, before an older one is handed out
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    patience: Duration,

    /// A file with a token to accept beside that of the data directory; it may also be given in $SWEEP_TOKEN
    #[arg(long, value_name = "FILE", env = "SWEEP_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// Ask for no token, on loopback alone: every user of this machine can then change sweeps and so run programs as you
    #[arg(long)]
    no_token: bool,
}

impl ServeArgs {
    fn terms(&self) -> Terms {
        Terms {
            lease: self.lease,
            ask_lease: self.ask_lease,
            patience: self.patience,
        }
    }

    fn access(&self) -> Result<AccessPolicy> {
        if self.no_token {
            if self.token_file.is_some() {
                return Err(CommandError::input(
                    "--no-token asks for no token, and --token-file (or $SWEEP_TOKEN_FILE) gives one: leave one of them out",
                )
                .into());
            }
            if std::env::var_os("SWEEP_TOKEN").is_some_and(|token| !token.is_empty()) {
                say!("warning: $SWEEP_TOKEN is set, and --no-token asks for none");
            }
            return Ok(AccessPolicy::Open);
        }
        let given = match (&self.token_file, std::env::var("SWEEP_TOKEN")) {
            (Some(file), _) => Some(
                Token::read(file)
                    .map_err(|error| CommandError::input(format!("--token-file {error}")))?,
            ),
            (None, Ok(text)) if !text.trim().is_empty() => Some(
                Token::parse(&text)
                    .map_err(|error| CommandError::input(format!("$SWEEP_TOKEN: {error}")))?,
            ),
            _ => None,
        };
        Ok(AccessPolicy::Token { given })
    }
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: ControllerCommandArgs) -> Result<ExitCode> {
    // Whatever these commands write is for this user alone.
    umask(Mode::from_bits_truncate(0o077));
    match args.command {
        None => foreground(&args.serve).await,
        Some(ControllerCommand::Start(serve)) => start(&serve).await,
        Some(ControllerCommand::Status(args)) => status(&args).await,
        Some(ControllerCommand::Stop(args)) => stop(&args).await,
        Some(ControllerCommand::Backup(args)) => back_up(&args),
        Some(ControllerCommand::Restore(args)) => restore(&args),
        Some(ControllerCommand::RotateToken(args)) => rotate_token(args),
        Some(ControllerCommand::Verify(args)) => verify(&args),
        Some(ControllerCommand::Rebuild(args)) => rebuild(&args),
    }
}

async fn foreground(args: &ServeArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let options = ServeOptions {
        listen: args.listen,
        data_dir: data_dir.clone(),
        terms: args.terms(),
        grace: Duration::from_secs(10),
        access: args.access()?,
    };
    serve::raise_file_limit();
    let mut controller = serve::start(options).await.map_err(explain)?;
    let _announcement = discovery::announce(controller.address(), &data_dir);
    say!(
        "Listening on {}, data in {}",
        controller.address(),
        data_dir.display()
    );
    announce_token(&controller, &data_dir);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            ended = controller.ended() => {
                ended.map_err(explain)?;
                say!("Stopped.");
                return Ok(ExitCode::SUCCESS);
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => {}
        }
    }
    say!("Stopping.");
    controller.stop().await.map_err(explain)?;
    Ok(ExitCode::SUCCESS)
}

/// Says how others get in. The token itself is in no output: that of a service is kept in logs.
fn announce_token(controller: &Controller, data_dir: &Path) {
    if controller.token().is_none() {
        say!(
            "warning: --no-token: every user of this machine can change sweeps and so run programs as you"
        );
    } else if !controller.address().ip().is_loopback() {
        let port = controller.address().port();
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_else(|| "this-host".to_owned());
        say!(
            "On a GPU box:\n\n  SWEEP_TOKEN=… sweep agent <id> --controller http://{host}:{port}\n\nThe token is in {}.",
            data_dir.join(TOKEN_FILE).display()
        );
    }
}

/// Turns a controller's error into one that says what to do.
pub(crate) fn explain(error: ServeError) -> anyhow::Error {
    let restore = "`sweep controller restore FILE --data-dir DIR` puts a backup in place";
    let hint = match &error {
        ServeError::OpenBeyondLoopback(_) => "leave out --no-token, or listen on 127.0.0.1",
        ServeError::Foreign { .. } => {
            "start the controller as that user, change the owner with chown, or give another --data-dir"
        }
        ServeError::DatabaseLost { evidence, .. } => &format!(
            "{restore}; to begin with an empty database instead, move {} away",
            evidence.display()
        ),
        ServeError::Store(StoreError::Removed(_)) => {
            "nothing may remove or replace files in the data directory while a controller runs; `sweep controller restore FILE --data-dir DIR` puts a \
             copy in place, and `sweep controller verify` checks what is there"
        }
        ServeError::Store(StoreError::Damaged(_)) => {
            "`sweep controller verify` says what is damaged: where the log is whole, `sweep controller rebuild` makes the rest from it again; otherwise \
             move the database away and put a backup in place with `sweep controller restore FILE --data-dir DIR`; check the disk too"
        }
        ServeError::Held { .. } => {
            "use that one, stop it with `sweep controller stop`, or give another --data-dir"
        }
        ServeError::Listen { .. } => {
            "another program has the port; --listen 127.0.0.1:0 takes any free one"
        }
        ServeError::File { path, source }
            if source.kind() == ErrorKind::NotFound && path.ends_with("sweep.db") =>
        {
            "no controller keeps its data there; --data-dir names the folder of the one that is meant"
        }
        _ => return anyhow::Error::from(error),
    };
    CommandError::new(error.to_string()).hint(hint).into()
}

async fn start(args: &ServeArgs) -> Result<ExitCode> {
    let target = ControllerArgs::local(args.listen);
    if target.answers().await? {
        say!("A controller is already there at {}.", args.listen);
        return Ok(ExitCode::SUCCESS);
    }
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    spawn(args, &data_dir).await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a controller on the local port, for `sweep create`.
pub(crate) async fn start_in_background(target: &ControllerArgs) -> Result<()> {
    let listen = target.address().parse().map_err(|_| {
        CommandError::input(format!("`{}` is no address to listen on", target.address()))
    })?;
    let Terms {
        lease,
        ask_lease,
        patience,
    } = Terms::default();
    let args = ServeArgs {
        listen,
        data_dir: None,
        lease,
        ask_lease,
        patience,
        token_file: None,
        no_token: false,
    };
    spawn(&args, &places::data_dir()?).await
}

fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

async fn spawn(args: &ServeArgs, data_dir: &Path) -> Result<()> {
    // It is started in another folder.
    let data_dir = &std::path::absolute(data_dir)?;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir);
    made.with_context(|| format!("cannot make {}", data_dir.display()))?;
    let log_path = data_dir.join("controller.log");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(&log_path)
        .with_context(|| format!("cannot write {}", log_path.display()))?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(["controller", "--listen", &args.listen.to_string()])
        .args([
            "--lease",
            &milliseconds(args.lease),
            "--ask-lease",
            &milliseconds(args.ask_lease),
        ])
        .args(["--patience", &milliseconds(args.patience), "--data-dir"])
        .arg(data_dir)
        .args(args.no_token.then_some("--no-token"));
    if let Some(file) = &args.token_file {
        command.arg("--token-file").arg(std::path::absolute(file)?);
    }
    let mut child = command
        // Its own process group: Ctrl-C in this terminal is not meant for it. It ignores the hang-up when the terminal closes.
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start a controller")?;
    loop {
        // Its own token: it may not have noted yet where its data is.
        let token = Token::read(&data_dir.join(TOKEN_FILE))
            .ok()
            .map(|token| token.reveal().to_owned());
        let target = ControllerArgs {
            token,
            ..ControllerArgs::local(args.listen)
        };
        if target.answers().await.unwrap_or(false) {
            say!(
                "Started a controller at {} (process {}, data in {}); `sweep controller stop` ends it",
                args.listen,
                child.id(),
                data_dir.display()
            );
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(3).collect();
            let said = last.into_iter().rev().collect::<Vec<_>>().join("\n  ");
            return Err(CommandError::new(format!(
                "the controller did not start ({status}):\n  {said}"
            ))
            .hint(format!("the whole log is in {}", log_path.display()))
            .into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn status(args: &StatusArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let status = client
        .call(GetStatusRequest {}, async |mut service, request| {
            service.get_status(request).await
        })
        .await?;
    let page = client.page_link(&args.controller, "/").await;
    if args.json {
        let object = json!({
            "address": args.controller.address(), "version": status.version, "data_dir": status.data_dir, "started_ms": status.started_ms,
            "pid": status.pid, "sweeps": status.sweeps, "agents": status.agents, "running": status.running,
            "controller_id": status.controller_id, "epoch": status.epoch, "page": page,
        });
        writeln!(out(), "{object}")?;
    } else {
        let mut out = out();
        writeln!(
            out,
            "controller  {} (version {}, process {})",
            args.controller.address(),
            status.version,
            status.pid
        )?;
        writeln!(
            out,
            "id          {} (epoch {})",
            status.controller_id, status.epoch
        )?;
        writeln!(out, "data        {}", status.data_dir)?;
        writeln!(out, "started     {}", ago(status.started_ms))?;
        writeln!(out, "sweeps      {}", status.sweeps)?;
        writeln!(
            out,
            "agents      {}, {} runs running",
            status.agents, status.running
        )?;
        writeln!(out, "page        {page}")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn stop(args: &ControllerArgs) -> Result<ExitCode> {
    let client = args.connect().await?;
    let status = client
        .call(GetStatusRequest {}, async |mut service, request| {
            service.get_status(request).await
        })
        .await;
    let data_dir = status.ok().map(|status| PathBuf::from(status.data_dir));
    client
        .call(StopControllerRequest {}, async |mut service, request| {
            service.stop_controller(request).await
        })
        .await?;
    // It answers before it ends; another one can start on its data directory only afterwards.
    let is_held = || {
        data_dir
            .as_deref()
            .is_some_and(|data_dir| card(data_dir).is_some())
    };
    for _ in 0..200 {
        if args.connect().await.is_err() && !is_held() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    say!("The controller at {} has stopped.", args.address());
    Ok(ExitCode::SUCCESS)
}

fn back_up(args: &BackupArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let code = serve::back_up(&data_dir, &args.file).map_err(explain)?;
    for file in std::iter::once(&args.file).chain(&code) {
        let size = std::fs::metadata(file).map_or(0, |found| found.len());
        say!("Wrote {} ({} KiB).", file.display(), size.div_ceil(1024));
    }
    Ok(ExitCode::SUCCESS)
}

fn restore(args: &BackupArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    serve::restore(&args.file, &data_dir).map_err(explain)?;
    say!(
        "Restored into {}; `sweep controller --data-dir {}` serves it.",
        data_dir.display(),
        data_dir.display()
    );
    say!(
        "Agents that still run are asked what they hold; new runs are handed out after one lease (60 s by default)."
    );
    Ok(ExitCode::SUCCESS)
}

fn rotate_token(args: DataDirArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.map_or_else(places::data_dir, Ok)?;
    let token = serve::rotate_token(&data_dir).map_err(explain)?;
    writeln!(out(), "{token}")?;
    say!(
        "The token is also in {}; the old one is refused from the next start on.",
        data_dir.join(TOKEN_FILE).display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Exit status 1: something is wrong.
fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let found = serve::verify(&data_dir).map_err(explain)?;
    let is_well = found.problems.is_empty();
    if args.json {
        let object = json!({
            "data_dir": data_dir, "events": found.events, "sweeps": found.sweeps, "runs": found.runs, "agents": found.agents,
            "points": found.points, "problems": found.problems, "can_rebuild": found.can_rebuild,
        });
        writeln!(out(), "{object}")?;
    } else {
        let mut out = out();
        writeln!(out, "events   {}", found.events)?;
        writeln!(
            out,
            "sweeps   {}, {} runs, {} metric points",
            found.sweeps, found.runs, found.points
        )?;
        writeln!(out, "agents   {}", found.agents)?;
        for problem in &found.problems {
            writeln!(out, "wrong    {problem}")?;
        }
        if is_well {
            writeln!(
                out,
                "All is well: checksums, log, tables and metrics fit each other."
            )?;
        }
        if found.can_rebuild {
            writeln!(
                out,
                "The log is whole: stop the controller, and `sweep controller rebuild` makes the rows from it again."
            )?;
        }
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn rebuild(args: &VerifyArgs) -> Result<ExitCode> {
    let data_dir = args.data_dir.clone().map_or_else(places::data_dir, Ok)?;
    let rebuilt = serve::rebuild(&data_dir).map_err(explain)?;
    if args.json {
        let tables = rebuilt.tables.iter().map(|table| {
            let counts =
                json!({"rows": table.rows, "changed": table.changed, "removed": table.removed});
            (table.name.to_owned(), counts)
        });
        let tables: serde_json::Map<_, _> = tables.collect();
        writeln!(
            out(),
            "{}",
            json!({"data_dir": data_dir, "events": rebuilt.events, "tables": tables})
        )?;
    } else {
        let mut out = out();
        for table in &rebuilt.tables {
            writeln!(
                out,
                "{:<13}{} rows, {} changed, {} removed",
                table.name, table.rows, table.changed, table.removed
            )?;
        }
        writeln!(
            out,
            "All rows follow from the {} events of the log. The output of runs is not in the log and stays as it is.",
            rebuilt.events
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
