//! The built binary, as its users start it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::until;

/// `headgate ARGS` in `folder`, with nothing in its environment but `env`.
pub fn headgate(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.args(args).current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    headgate(folder, args, &[]).output().expect("the binary runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A running `headgate serve`. Dropped, it is killed.
pub struct Serving {
    pub client: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Starts `headgate serve` with `config.yaml` in `folder` and waits until it tells its addresses.
    pub async fn start(folder: &Path, env: &[(&str, &str)]) -> Self {
        Self::of(headgate(folder, &["serve"], env)).await
    }

    /// The same, of a process that sees an error where one of its files would pass its size limit, as on a full disk,
    /// instead of the signal that ends it.
    pub async fn start_limitable(folder: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve", env!("CARGO_BIN_EXE_headgate")]);
        command.current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
        Self::of(command).await
    }

    /// Lets no file of the process grow beyond so many bytes; none = without a limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let most = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let limit = ["--pid", &self.child.id().to_string(), &format!("--fsize={most}:")].map(str::to_owned);
        assert!(Command::new("prlimit").args(limit).status().expect("prlimit runs; it is in util-linux").success());
    }

    async fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &stdout),
            collect(child.stderr.take().expect("piped"), &stderr),
        ];
        until("it tells its addresses", || address(&stderr, "admin: http://").is_some()).await;
        let client = address(&stderr, "clients: http://").expect("it stands on the same line");
        let admin = address(&stderr, "admin: http://").expect("just seen");
        Serving { client, admin, child, stdout, stderr, readers }
    }

    /// What went to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no panic under the lock").clone()
    }

    /// Ends it with SIGKILL, which it can't notice.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Sends SIGTERM and waits for the end. Returns everything that went to stdout and to stderr, and the exit code.
    pub fn stop(mut self) -> (String, String, Option<i32>) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill runs").success());
        let code = self.child.wait().expect("it ends").code();
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        let stderr = self.stderr.lock().expect("no panic under the lock").clone();
        (self.stdout(), stderr, code)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = into.lock().expect("no panic under the lock");
            text.push_str(&line);
            text.push('\n');
        }
    })
}

fn address(text: &Mutex<String>, after: &str) -> Option<SocketAddr> {
    let text = text.lock().expect("no panic under the lock");
    let rest = text.split_once(after)?.1;
    let end = rest.find(|c: char| c == '/' || c.is_whitespace())?;
    rest[..end].parse().ok()
}
