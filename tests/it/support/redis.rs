//! A private Redis server on a free port, with AOF as in production. Dropped, it is killed.

#![allow(clippy::panic, reason = "a helper without its server must fail its test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A private Redis with an append-only file, ended with the value.
pub struct RedisServer {
    pub port: u16,
    child: Child,
}

impl RedisServer {
    pub fn start(dir: &Path) -> Self {
        // Another process may take the port between the two binds; then the server exits and the next port is tried.
        (0..20)
            .find_map(|_| {
                let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).ok()?.port();
                Self::start_on(dir, port)
            })
            .expect("redis-server starts; install the package redis-server")
    }

    /// None where the server ends again before it answers.
    pub fn start_on(dir: &Path, port: u16) -> Option<Self> {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--appendonly", "yes"])
            .args(["--save", "", "--dir"])
            .arg(dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed; it is the package redis-server");
        let mut server = RedisServer { port, child };
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if server.child.try_wait().expect("the child can be asked").is_some() {
                return None;
            }
            if server.try_command(&["PING"]).is_some() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server on port {port} did not answer within 20 s");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What the server answers to a command of an independent client.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).expect("the server answers")
    }

    fn try_command(&self, words: &[&str]) -> Option<redis::Value> {
        let client = redis::Client::open(self.url()).expect("a valid URL");
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        let (verb, args) = words.split_first().expect("a command has a verb");
        redis::cmd(verb).arg(args).query(&mut connection).ok()
    }

    /// Stops (`STOP`) or continues (`CONT`) the process; returns when it stands.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let stands = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while name == "STOP" && !stands() {
            assert!(Instant::now() < patience, "redis-server does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
