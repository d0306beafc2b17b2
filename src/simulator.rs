//! Door: `headgate mock`, a model provider to test against.
//!
//! It answers as OpenAI (chat and responses), Anthropic and Gemini do, or fails as they do and worse: scripted per model
//! name, counted exactly. It shares no codec with the gateway, so that a bug in one can't cancel out in the other.

mod answer;
mod ask;
mod book;
mod call;
mod connection;
mod control;
mod counts;
mod errors;
mod flood;
mod format;
mod log;
mod meter;
mod peer;
mod plain;
mod presets;
mod reply;
mod request;
mod script;
mod seen;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{AbortHandle, JoinSet};

use book::Book;

pub use counts::Counts;
pub use script::{
    ErrorWords, Fault, Finish, FixedUsage, Framing, InBandError, KeepAlive, RetryAfter, ScriptError, StatusFault, Step,
    ToolCall, UsageReport,
};
pub use seen::SeenRequest;

/// Connections the kernel holds for us while a burst of them arrives.
const BACKLOG: u32 = 4_096;

/// A running simulator. Dropped, it stops accepting and aborts its connections.
pub struct Simulator {
    addr: SocketAddr,
    book: Arc<Book>,
    accepting: AbortHandle,
}

impl Simulator {
    /// Listens on `listen` (port 0 for any free one) and serves from the current tokio runtime.
    ///
    /// Errors: the address can't be listened on.
    pub async fn start(listen: SocketAddr) -> io::Result<Simulator> {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the last one's connections to leave TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let book = Arc::new(Book::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&book))).abort_handle();
        Ok(Simulator { addr, book, accepting })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL as OpenAI's SDK writes it.
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Base URL as Anthropic's SDK writes it.
    pub fn anthropic_base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Base URL as Google's SDK writes it, with the version.
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}/v1beta", self.addr)
    }

    /// Tells a model how to answer: call n from now on uses step n, the last repeats. No steps: as without a script.
    pub fn script(&self, model: &str, steps: Vec<Step>) {
        self.book.script(model, steps);
    }

    /// Reads a script file, YAML or JSON: model names with their steps. Returns how many models it names.
    ///
    /// Errors: where the text is wrong; nothing is changed then.
    pub fn load(&self, text: &str) -> Result<usize, ScriptError> {
        let models = script::parse_models(text)?;
        let count = models.len();
        for (model, steps) in models {
            self.script(&model, steps);
        }
        Ok(count)
    }

    /// Writes a JSON line to `file` for every call that ends from now on: request id, format, model, status, end, and
    /// the usage that was reported. The first file counts.
    pub fn log_to(&self, file: std::fs::File) {
        self.book.log_to(file);
    }

    /// The sum over all models.
    pub fn counts(&self) -> Counts {
        self.book.counts()
    }

    /// Calls whose body names no model are counted under the empty name.
    pub fn model_counts(&self, model: &str) -> Counts {
        self.book.model_counts(model)
    }

    /// The newest 1,000 requests for a model, oldest first; fewer where they hold more than 16 MiB.
    pub fn requests(&self, model: &str) -> Vec<SeenRequest> {
        self.book.requests(model)
    }

    /// Forgets scripts, requests and counts. What is open stays open, and counted as open.
    pub fn reset(&self) {
        self.book.reset();
    }

    /// What people need to know to use it by hand.
    pub fn help() -> String {
        presets::help()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, book: Arc<Book>) {
    // Owned by this task, so that its end aborts them all.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection::run(socket, Arc::clone(&book)));
                }
                // Out of descriptors, most likely; the next accept would fail as fast.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
