//! The way to the controller: channel, token, deadlines, retries with the same request id.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use sweep_access::Token;
use sweep_agent::channel::{ControllerTarget, Trust, is_outcome_unknown};
use sweep_proto::CONTROLLER_HEADER;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{CreateLoginLinkRequest, GetStatusRequest, GetSweepRequest, Sweep};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::discovery;
use crate::failure::CommandError;
use crate::places::{LOCAL, state_dir};

const CONNECT: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(20);
const TRIES: u32 = 6;
/// A page of runs may be long; the server limits what it sends.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Which controller.
#[derive(Clone, Debug, Args)]
pub(crate) struct ControllerArgs {
    /// The controller: `host:port` or `http://host:port`
    ///
    /// By default the one on this machine, 127.0.0.1:7433.
    #[arg(
        long,
        value_name = "URL",
        env = "SWEEP_CONTROLLER",
        help_heading = "Controller"
    )]
    pub(crate) controller: Option<String>,

    /// The token of a controller on another machine or of another user; your own controller's on this machine is found by itself
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SWEEP_TOKEN",
        hide_env_values = true,
        help_heading = "Controller"
    )]
    pub(crate) token: Option<String>,

    /// A file with the token: other users of this machine can see what --token says
    #[arg(
        long,
        value_name = "FILE",
        env = "SWEEP_TOKEN_FILE",
        help_heading = "Controller"
    )]
    pub(crate) token_file: Option<PathBuf>,
}

/// Where to connect, and what to show there.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `host:port`.
    address: String,
    pub(crate) token: Option<String>,
    trust: Trust,
}

impl ControllerArgs {
    /// Returns whether the user has named a controller.
    pub(crate) fn is_named(&self) -> bool {
        self.controller
            .as_deref()
            .is_some_and(|controller| !controller.is_empty())
    }

    /// Returns `host:port`.
    pub(crate) fn address(&self) -> &str {
        let named = self
            .controller
            .as_deref()
            .filter(|controller| !controller.is_empty())
            .unwrap_or(LOCAL);
        named
            .strip_prefix("http://")
            .unwrap_or(named)
            .trim_end_matches('/')
    }

    /// Returns arguments that name the controller of this user at an address of this machine.
    pub(crate) fn local(address: SocketAddr) -> Self {
        Self {
            controller: Some(address.to_string()),
            token: None,
            token_file: None,
        }
    }

    /// Returns whether it is named by an address of this machine that no other one can reach.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self
            .address()
            .rsplit_once(':')
            .map_or(self.address(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Finds the token: `--token`, `--token-file`, that of this user's own controller on this machine, or `SWEEP_TOKEN`, in this order. The
    /// variable is last, since it is mostly set for a controller elsewhere.
    pub(crate) fn access(&self) -> Result<Access> {
        let given = self
            .token
            .as_deref()
            .map(str::trim)
            .filter(|token| !token.is_empty());
        let is_from_environment = given.is_some_and(|given| {
            std::env::var("SWEEP_TOKEN").is_ok_and(|token| token.trim() == given)
        });
        let address = self.address().to_owned();
        if let Some(token) = given.filter(|_| !is_from_environment) {
            return Ok(Access {
                address,
                token: Some(token.to_owned()),
                trust: Trust::First,
            });
        }
        if let Some(file) = &self.token_file {
            let token = Token::read(file)
                .map_err(|error| CommandError::input(format!("--token-file {error}")))?;
            return Ok(Access {
                address,
                token: Some(token.reveal().to_owned()),
                trust: Trust::First,
            });
        }
        let given = given.map(str::to_owned);
        let found = discovery::find(&address);
        let address = found
            .as_ref()
            .map_or(address, |found| found.address.to_string());
        let own = found
            .and_then(|found| found.token)
            .map(|token| token.reveal().to_owned());
        // A variable that is meant for a controller elsewhere names none on this machine.
        let is_elsewhere = given.is_some() && self.is_named();
        let trust = if own.is_none() && is_elsewhere {
            Trust::First
        } else {
            Trust::Own
        };
        Ok(Access {
            address,
            token: own.or(given),
            trust,
        })
    }

    /// Returns the controller's address for a connection.
    pub(crate) fn controller(&self) -> Result<ControllerTarget> {
        let Access { address, trust, .. } = self.access()?;
        Ok(ControllerTarget {
            endpoint: Self::endpoint_at(&address)?,
            trust,
        })
    }

    fn endpoint_at(address: &str) -> Result<Endpoint> {
        let wrong = |reason: String| {
            let hint = "for example --controller http://gpu-head:7433";
            anyhow::Error::from(
                CommandError::input(format!(
                    "`{address}` is no address of a controller: {reason}"
                ))
                .hint(hint),
            )
        };
        if address.contains("://") {
            return Err(wrong("only http:// is spoken here".to_owned()));
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| wrong(error.to_string()))?;
        if endpoint.uri().port().is_none() {
            return Err(wrong("the port is missing".to_owned()));
        }
        // Without keep-alive a silently dropped connection is waited for without end.
        Ok(endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true))
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let access = self.access()?;
        let bearer = access
            .token
            .as_deref()
            .map(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>())
            .transpose();
        let mut bearer = bearer
            .map_err(|_| CommandError::input("the token holds characters that no token has"))?;
        if let Some(bearer) = &mut bearer {
            bearer.set_sensitive(true);
        }
        let controller = ControllerTarget {
            endpoint: Self::endpoint_at(&access.address)?,
            trust: access.trust,
        };
        let channel = controller
            .connect()
            .await
            .map_err(|error| unreachable(self, &error))?;
        let service = SweepServiceClient::with_interceptor(channel, Bearer(bearer))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Client {
            service,
            address: self.address().to_owned(),
        })
    }

    /// Returns whether a controller answers.
    ///
    /// # Errors
    /// One answers that asks for another token: that of another user or of another data directory.
    pub(crate) async fn answers(&self) -> Result<bool> {
        let Ok(client) = self.connect().await else {
            return Ok(false);
        };
        match client.service.clone().get_status(GetStatusRequest {}).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::Unauthenticated => Err(client.explain(&status)),
            Err(_) => Ok(false),
        }
    }
}

fn unreachable(args: &ControllerArgs, error: &tonic::transport::Error) -> CommandError {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    let failure = CommandError::new(format!(
        "no controller answers at {}: {reason}",
        args.address()
    ));
    if args.is_named() {
        failure.hint("is it running there, and is the port open? --controller http://host:7433 or $SWEEP_CONTROLLER names another")
    } else {
        failure
            .hint("start one here with `sweep controller start`, or name another with --controller http://host:7433 or $SWEEP_CONTROLLER")
    }
}

/// Adds the token to every call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// The generated client with the token in place.
pub(crate) type Service = SweepServiceClient<InterceptedService<Channel, Bearer>>;

/// A connection to the controller.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) service: Service,
    address: String,
}

impl Client {
    /// Makes a call that may be repeated: reads, and writes that carry a request id.
    pub(crate) async fn call<Q: Clone, R>(
        &self,
        request: Q,
        call: impl AsyncFn(Service, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R> {
        self.call_within(CALL, request, call).await
    }

    /// As [`Client::call`], of a call that waits for something.
    pub(crate) async fn call_within<Q: Clone, R>(
        &self,
        limit: Duration,
        request: Q,
        call: impl AsyncFn(Service, Request<Q>) -> Result<Response<R>, Status>,
    ) -> Result<R> {
        let mut wait = Duration::from_millis(100);
        for attempt in 1.. {
            let mut timed = Request::new(request.clone());
            timed.set_timeout(limit);
            match call(self.service.clone(), timed).await {
                Ok(response) => return Ok(response.into_inner()),
                // The controller has waited, or the sweep is paused: the user decides how often to ask.
                Err(status)
                    if status.code() == Code::Unavailable
                        && status.message().ends_with("; ask again") =>
                {
                    return Err(CommandError::new(status.message()).into());
                }
                // The outcome is unknown: the same request again has the same effect.
                Err(status) if attempt < TRIES && is_outcome_unknown(status.code()) => {
                    tokio::time::sleep(wait).await;
                }
                Err(status) => return Err(self.explain(&status)),
            }
            wait *= 2;
        }
        Err(CommandError::new("the controller could not be asked").into())
    }

    /// Turns a status into an error for people.
    pub(crate) fn explain(&self, status: &Status) -> anyhow::Error {
        let message = status.message();
        let failure = match status.code() {
            Code::Unauthenticated => CommandError::new(format!("{} refuses the call: {message}", self.address))
                .hint("set $SWEEP_TOKEN or --token-file to the token in <data-dir>/token on the controller's machine; only a controller that you started on this machine is found without"),
            Code::NotFound if message.starts_with("no sweep") => match Self::other_controller(status) {
                Some(other) => CommandError::input(format!("{message}; {other}")).hint("--controller or $SWEEP_CONTROLLER names another controller"),
                None => CommandError::input(message).hint("`sweep ls` lists the sweeps"),
            },
            Code::Unimplemented => CommandError::new(format!("the controller at {} cannot do this: {message}", self.address))
                .hint(format!("this is sweep {}; `sweep controller status` shows the version of the controller: install the same on both", env!("CARGO_PKG_VERSION"))),
            Code::NotFound => CommandError::input(message),
            Code::InvalidArgument => CommandError::input(message),
            code if is_outcome_unknown(code) => CommandError::new(format!("the controller at {} did not answer: {message}", self.address))
                .hint("what was asked for may have happened; `sweep ls` shows what did"),
            _ => CommandError::new(message),
        };
        failure.into()
    }

    /// Says so where this controller does not have a sweep whose runs on this machine belong to another one.
    fn other_controller(status: &Status) -> Option<String> {
        let this = status.metadata().get(CONTROLLER_HEADER)?.to_str().ok()?;
        let sweep = status.message().split('`').nth(1)?;
        let owner = sweep_agent::controller_of(&state_dir().ok()?, sweep)?;
        (owner != this).then(|| format!("this is controller {this}, and the runs of {sweep} on this machine belong to controller {owner}"))
    }

    /// Returns a link to a page that logs the browser in, once; without a code where it must not be printed or the controller is of an earlier version.
    pub(crate) async fn page_link(&self, args: &ControllerArgs, page: &str) -> String {
        let base = format!("http://{}", args.address());
        // What others can read, such as the output of CI, must not let them in.
        let plain = format!("{base}{page}");
        if !args.is_loopback() && !std::io::stderr().is_terminal() {
            return plain;
        }
        match self
            .service
            .clone()
            .create_login_link(CreateLoginLinkRequest {})
            .await
            .map(Response::into_inner)
        {
            Ok(link) if link.valid_s > 0 => format!("{base}{}&next={page}", link.path),
            _ => plain,
        }
    }

    /// Returns the controller's id; empty where it has none.
    pub(crate) async fn controller_id(&self) -> Result<String> {
        let status = self
            .call(GetStatusRequest {}, async |mut service, request| {
                service.get_status(request).await
            })
            .await?;
        Ok(status.controller_id)
    }

    /// Returns a sweep by id, prefix or name.
    pub(crate) async fn sweep(&self, text: &str) -> Result<Sweep> {
        let request = GetSweepRequest {
            sweep_id: text.to_owned(),
        };
        let response = self
            .call(request, async |mut service, request| {
                service.get_sweep(request).await
            })
            .await?;
        response
            .sweep
            .ok_or_else(|| CommandError::new("the controller's answer is empty").into())
    }
}

/// Makes a request id: 128 random bits.
pub(crate) fn request_id() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandError::new(format!("the system gives no random numbers: {error}"))
    })?;
    Ok(hex::encode(bytes))
}

/// Splits `sweep/run`.
pub(crate) fn split_run(text: &str) -> Result<(String, Option<u64>)> {
    let Some((sweep, run)) = text.rsplit_once('/') else {
        return Ok((text.to_owned(), None));
    };
    match run.parse() {
        Ok(run) => Ok((sweep.to_owned(), Some(run))),
        Err(_) => Err(CommandError::input(format!(
            "`{text}` names no run: `{run}` is not a number"
        ))
        .hint("a run is written <sweep>/<number>, for example ab12cd34/7")
        .into()),
    }
}
