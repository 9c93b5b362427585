//! The controller as a process: serves in the foreground; starts, shows and stops the one in the background.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::libc::O_NOFOLLOW;
use serde_json::json;
use sweep_access::{TOKEN_FILE, Token, card};
use sweep_controller::engine::Terms;
use sweep_controller::serve::{self, Controller, ServeError, ServeOptions};
use sweep_controller::store::StoreError;
use sweep_proto::v1::{GetStatusRequest, StopControllerRequest};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{ServeArgs, StatusArgs};
use crate::client::ControllerArgs;
use crate::discovery;
use crate::display::{ago, out};
use crate::failure::CommandError;
use crate::places;

pub(super) async fn foreground(args: &ServeArgs) -> Result<ExitCode> {
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
    // A link that logs in would let every reader of a service's log in.
    say!(
        "Page: http://{}/ (`sweep controller status` prints a link that logs you in)",
        controller.address()
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
pub(super) fn announce_token(controller: &Controller, data_dir: &Path) {
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

pub(super) async fn start(args: &ServeArgs) -> Result<ExitCode> {
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

pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

pub(super) async fn spawn(args: &ServeArgs, data_dir: &Path) -> Result<()> {
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
            let page = target.connect().await?.page_link(&target, "/").await;
            say!("Page: {page}");
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

pub(super) async fn status(args: &StatusArgs) -> Result<ExitCode> {
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

pub(super) async fn stop(args: &ControllerArgs) -> Result<ExitCode> {
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
