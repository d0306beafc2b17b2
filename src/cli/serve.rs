//! `headgate serve`

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Gateway, Start};
use crate::pipeline::LogSink;

use super::{ConfigArgs, Failure, environment, start_log};

/// Serve clients with the config in config.yaml.
///
/// Config and policies are watched: a good edit is live within a second, a bad one changes nothing and is named in
/// the log, in /readyz and in metrics. One JSON line per finished run goes to stdout. SIGTERM drains, a second one
/// ends at once, SIGHUP reloads.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address for clients, instead of server.listen
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address for operators, instead of server.admin_listen
    #[arg(long, value_name = "HOST:PORT")]
    admin_listen: Option<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        start_log("info");
        let mut env = environment();
        let flags = [("HEADGATE_SERVER__LISTEN", self.listen), ("HEADGATE_SERVER__ADMIN_LISTEN", self.admin_listen)];
        for (name, value) in flags {
            if let Some(value) = value {
                env.insert(name.to_owned(), value);
            }
        }
        let (log, writer) = run_log()?;
        let gateway = Gateway::start(Start { config: self.config.config, env, log })?;
        for warning in &gateway.warnings {
            tracing::warn!("{warning}");
        }
        let now = gateway.hall().snapshot();
        if now.config.keys.is_empty() {
            tracing::info!("no keys in config: serving loopback only, everybody is `local`");
        }
        tracing::info!("clients: http://{}/v1   admin: http://{}", gateway.client, gateway.admin);
        if gateway.admin_token_is_new {
            tracing::info!("admin token, new at every start until server.admin_token is set: {}", gateway.admin_token);
        }
        wait_for_stop(&gateway)?;
        drop(now);
        gateway.stop();
        writer.join().map_err(|_| "the log writer panicked")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns at the first SIGTERM or SIGINT; a second one cuts the drain short.
fn wait_for_stop(gateway: &Gateway) -> Result<(), Failure> {
    let stop_now = gateway.stop_now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async {
        Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    })?;
    let mut next = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = signals.0.recv() => {}
                _ = signals.1.recv() => {}
            }
        });
    };
    next();
    tracing::info!("draining: no new calls; open ones may end. A second signal ends them now.");
    std::thread::Builder::new().name("second-signal".to_owned()).spawn(move || {
        next();
        stop_now.cancel();
    })?;
    Ok(())
}

/// How long a line waits for others.
const LOG_EVERY: Duration = Duration::from_millis(50);

/// A sink that never blocks a run: lines are written by a thread of their own, in one write for all that wait.
fn run_log() -> Result<(LogSink, std::thread::JoinHandle<()>), Failure> {
    let (sender, lines) = mpsc::channel::<String>();
    let writer = std::thread::Builder::new().name("run-log".to_owned()).spawn(move || {
        let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
        while let Ok(line) = lines.recv() {
            // A closed stdout must not stop the gateway.
            let _ = out.write_all(line.as_bytes());
            // While this thread sleeps, a run that ends wakes nobody: a wake costs more than its line.
            std::thread::sleep(LOG_EVERY);
            while let Ok(line) = lines.try_recv() {
                let _ = out.write_all(line.as_bytes());
            }
            let _ = out.flush();
        }
    })?;
    let sink: LogSink = Box::new(move |line| {
        let _ = sender.send(line);
    });
    Ok((sink, writer))
}
