//! `headgate mock`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::simulator::Simulator;

use super::Failure;
use super::decode::Decode;

/// Run a model provider to test against, with faults on request; or read a recorded answer with --decode.
///
/// Speaks OpenAI chat (Mistral's, too), Anthropic messages and Gemini, plain and streamed. What a model does is scripted per model name: some
/// names have a script of their own, others come from --script or over HTTP while it runs.
#[derive(Args)]
#[command(after_long_help = Simulator::help())]
pub(super) struct Mock {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// YAML or JSON file: model name -> steps
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// File that gets a JSON line for each call that ends: request id, format, model, status, end, reported usage
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    decode: Decode,
}

impl Mock {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if let Some(file) = &self.decode.file {
            return self.decode.run(file);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let simulator = Simulator::start(self.listen)
                .await
                .map_err(|e| format!("can't listen on {}: {e}. Name another address with --listen.", self.listen))?;
            if let Some(file) = &self.script {
                let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
                simulator.load(&text).map_err(|e| format!("{}: {e}", file.display()))?;
            }
            if let Some(file) = &self.log {
                let opened = std::fs::File::create(file).map_err(|e| format!("{}: {e}", file.display()))?;
                simulator.log_to(opened);
            }
            println!("base_url for kind openai:    {}", simulator.openai_base_url());
            println!("base_url for kind anthropic: {}", simulator.anthropic_base_url());
            println!("base_url for kind gemini:    {}", simulator.gemini_base_url());
            println!("counts: http://{0}/_mock/counts   requests: http://{0}/_mock/requests", simulator.addr());
            tokio::signal::ctrl_c().await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}
