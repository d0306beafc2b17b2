//! The composition root: builds the rooms, starts the doors, reloads, drains. The only file that knows every room.

mod build;
mod look;
mod prices;
mod reload;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::rt::System;
use socket2::{Domain, Socket, Type};
use tokio::runtime::{self, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::pipeline::{Hall, LogSink};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::{admin, server, workers};

use reload::Reloader;

pub use build::check;
pub use look::{Explained, explain, usage};
pub use prices::prices;

/// What a gateway process is started with.
pub struct Start {
    pub config: PathBuf,
    /// Environment for `${NAME}` and `HEADGATE_*`; the process's own, with flags laid over it.
    pub env: BTreeMap<String, String>,
    /// Takes one JSON line per finished run.
    pub log: LogSink,
}

/// Why a gateway does not start. The text says what to do.
#[derive(Debug)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError(error.to_string())
    }
}

/// A gateway that serves. Dropping it stops it at once; [`Gateway::stop`] drains first.
pub struct Gateway {
    pub client: SocketAddr,
    pub admin: SocketAddr,
    pub admin_token: String,
    /// The token was made up at this start, because config names none.
    pub admin_token_is_new: bool,
    /// Remarks on the config that do not keep it from serving.
    pub warnings: Vec<String>,
    hall: Arc<Hall>,
    stop: CancellationToken,
    drain: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts a gateway on threads of its own and returns once it accepts connections.
    pub fn start(start: Start) -> Result<Gateway, StartError> {
        // Redis over TLS takes the process's provider. It is already there when another gateway runs in this process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (ready, started) = mpsc::channel();
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let (stopping, draining) = (stop.clone(), drain.clone());
        let thread = std::thread::Builder::new().name("headgate".to_owned()).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error.into()));
                    return;
                }
            };
            let detached = runtime.handle().clone();
            System::new().block_on(async move {
                match Opened::open(start, detached).await {
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                    Ok(opened) => opened.serve(ready, stopping, draining).await,
                }
            });
            // What has not ended by now is given up, as every run is that its drain did not wait for.
            runtime.shutdown_background();
        })?;
        let outcome = started.recv().unwrap_or_else(|_| Err(StartError("the gateway died while starting".to_owned())));
        let about = outcome?;
        Ok(Gateway {
            client: about.client,
            admin: about.admin,
            admin_token: about.token,
            admin_token_is_new: about.token_is_new,
            warnings: about.warnings,
            hall: about.hall,
            stop,
            drain,
            thread: Some(thread),
        })
    }

    pub fn hall(&self) -> &Arc<Hall> {
        &self.hall
    }

    /// Stops accepting, lets open runs end within `server.drain`, then stops. Blocks until it is done.
    pub fn stop(mut self) {
        self.drain.cancel();
        self.join();
    }

    /// Ends what `stop` waits for. For a second signal, from another thread.
    pub fn stop_now(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the gateway's main thread panicked; this is a defect");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.drain.cancel();
        self.join();
    }
}

/// What the starting thread tells its caller.
struct About {
    client: SocketAddr,
    admin: SocketAddr,
    token: String,
    token_is_new: bool,
    warnings: Vec<String>,
    hall: Arc<Hall>,
}

/// All rooms built and sockets open; nothing is served yet.
struct Opened {
    hall: Arc<Hall>,
    /// Where runs go on that no connection owns.
    detached: Handle,
    reloader: Reloader,
    client: TcpListener,
    admin: TcpListener,
    token: String,
    token_is_new: bool,
}

impl Opened {
    async fn open(start: Start, detached: Handle) -> Result<Opened, StartError> {
        let (first, fingerprint) = build::snapshot(&start.config, &start.env, 1, Vec::new())
            .map_err(|refused| StartError(refused.problems))?;
        let config = Arc::clone(&first.config);
        let client = listen("server.listen", config.server.listen)?;
        let admin = listen("server.admin_listen", config.server.admin_listen)?;
        let store = Store::open(build::store_spec(&config.store)).map_err(|e| StartError(e.to_string()))?;
        let hall = Hall::new(first, &store, Arc::new(Metrics::default()), start.log, detached.clone())
            .map_err(|error| StartError(error.to_string()))?;
        let given = config.server.admin_token.as_ref().map(|token| token.expose().to_owned());
        let token_is_new = given.is_none();
        let token = given.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let reloader = Reloader::new(Arc::clone(&hall), start.config, start.env, fingerprint);
        Ok(Opened { hall, detached, reloader, client, admin, token, token_is_new })
    }

    async fn serve(
        self,
        ready: mpsc::Sender<Result<About, StartError>>,
        stop: CancellationToken,
        drain: CancellationToken,
    ) {
        let config = Arc::clone(&self.hall.snapshot().config);
        let about = |client: &TcpListener, admin: &TcpListener| -> io::Result<About> {
            Ok(About {
                client: client.local_addr()?,
                admin: admin.local_addr()?,
                token: self.token.clone(),
                token_is_new: self.token_is_new,
                warnings: config.warnings.iter().map(ToString::to_string).collect(),
                hall: Arc::clone(&self.hall),
            })
        };
        let started = about(&self.client, &self.admin).and_then(|about| {
            let clients = server::start(self.client, Arc::clone(&self.hall))?;
            let admin = admin::start(self.admin, Arc::clone(&self.hall), &self.token)?;
            Ok((about, clients, admin))
        });
        let (about, clients, admin) = match started {
            Ok(started) => started,
            Err(error) => {
                let _ = ready.send(Err(error.into()));
                return;
            }
        };
        let (clients_handle, admin_handle) = (clients.handle(), admin.handle());
        let (clients, admin) = (actix_web::rt::spawn(clients), actix_web::rt::spawn(admin));
        let ended = CancellationToken::new();
        let upkeep = workers::upkeep(&self.hall, &ended);
        let jobs = workers::respond(&self.hall, &self.detached, &drain);
        let watching = self.reloader.start(&ended);
        let _ = ready.send(Ok(about));
        drain.cancelled().await;
        self.hall.status().start_draining();
        let patience = config.server.drain;
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                clients_handle.stop(true).await;
                idle(&self.hall, patience).await;
            } => {}
        }
        self.hall.hand_jobs_back().await;
        clients_handle.stop(false).await;
        admin_handle.stop(false).await;
        ended.cancel();
        for task in upkeep.into_iter().chain([jobs, watching]) {
            let _ = task.await;
        }
        let _ = (clients.await, admin.await);
        self.hall.money().close().await;
        self.hall.runs().flush().await;
    }
}

/// Goes on with a Redis that has lost what was spent. False where no gateway has found a loss.
pub fn accept_loss(config: &Config) -> Result<bool, StartError> {
    Store::accept_loss(&build::store_spec(&config.store)).map_err(|error| StartError(error.to_string()))
}

/// The threads of runs that no connection owns.
fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(2).thread_name("detached-runs").enable_all().build()
}

/// Waits for runs that their connections left behind: they still settle.
async fn idle(hall: &Hall, patience: Duration) {
    let by = tokio::time::Instant::now() + patience;
    while hall.metrics().runs_open.get() > 0 && tokio::time::Instant::now() < by {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Opens a listening socket. `key` names the setting in messages.
fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restarted gateway must not wait until the kernel forgets old connections.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(4_096)?;
        Ok(socket.into())
    };
    open().map_err(|error| {
        StartError(format!("{key}: can't listen on {address}: {error}. Free the port or name another address."))
    })
}
