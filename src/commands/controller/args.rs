//! Arguments of the subcommands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use sweep_access::Token;
use sweep_controller::engine::Terms;
use sweep_controller::serve::AccessPolicy;

use crate::client::ControllerArgs;
use crate::commands::agent::duration;
use crate::failure::CommandError;
use crate::places;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The backup; an existing file is never replaced
    pub(super) file: PathBuf,

    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DataDirArgs {
    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", env = "SWEEP_LISTEN", default_value = places::LOCAL)]
    pub(super) listen: SocketAddr,

    /// Where the data lives; by default $XDG_DATA_HOME/sweep
    #[arg(long, value_name = "DIR", env = "SWEEP_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// An agent or attempt without news for this long is lost
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) lease: Duration,

    /// As --lease, for runs that a program asked for (`sweep ask`): nothing is heard of them while they are executed
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(super) ask_lease: Duration,

    /// Wait up to this long for a suggestion that rests on all results, before an older one is handed out
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(super) patience: Duration,

    /// A file with a token to accept beside that of the data directory; it may also be given in $SWEEP_TOKEN
    #[arg(long, value_name = "FILE", env = "SWEEP_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,

    /// Ask for no token, on loopback alone: every user of this machine can then change sweeps and so run programs as you
    #[arg(long)]
    pub(super) no_token: bool,
}

impl ServeArgs {
    pub(super) fn terms(&self) -> Terms {
        Terms {
            lease: self.lease,
            ask_lease: self.ask_lease,
            patience: self.patience,
        }
    }

    pub(super) fn access(&self) -> Result<AccessPolicy> {
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
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) controller: ControllerArgs,
}
