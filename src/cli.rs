//! Commands: one file per command. Results go to stdout, remarks and errors to stderr.
//!
//! Exit codes: 0 done, 1 the thing asked about is not as it should be, 2 it could not be done.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod decode;
mod demo;
mod explain;
mod mock;
mod policy;
mod prices;
mod serve;
mod store;
mod usage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// A gate in front of language models: tiers, policies, budgets and fallbacks from one config file.
///
/// Start with `headgate demo`: it needs no key, no Redis and no config, shows what the gateway does, and stays up to
/// be tried with curl. Then write a config.yaml, look at it with `headgate check`, and run `headgate serve`.
#[derive(Parser)]
#[command(name = "headgate", version, styles = STYLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Mock(mock::Mock),
    Check(check::Check),
    /// Work on policy scripts
    #[command(subcommand)]
    Policy(policy::Policy),
    Usage(usage::Usage),
    Prices(prices::Prices),
    Explain(explain::Explain),
    /// Decide about a store in trouble
    #[command(subcommand)]
    Store(store::Store),
}

/// Where the config is.
#[derive(Args)]
struct ConfigArgs {
    /// Config file. HEADGATE_* variables are laid over it, for instance HEADGATE_SERVER__LISTEN
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml", env = "HEADGATE_CONFIG")]
    config: PathBuf,
}

/// Parses the process's arguments and runs the command they name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Mock(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Policy(command) => command.run(),
        Command::Usage(command) => command.run(),
        Command::Prices(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Store(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("headgate: {error}");
            ExitCode::from(2)
        }
    }
}

/// A command that could not be done. The text says why and what to do.
type Failure = Box<dyn std::error::Error>;

/// The process's environment, as config sees it.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Remarks of the gateway itself go to stderr; stdout belongs to one JSON line per run.
fn start_log(default: &str) {
    use std::io::IsTerminal;
    // actix tells of each of its threads, and reports every stream that is broken off on purpose as an error; the
    // run's own line has the reason.
    let usual = format!("{default},actix_http::h1=off,actix_server=warn");
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(colour);
    // A second start in the same process keeps the first one's.
    let _ = log.with_target(false).try_init();
}
