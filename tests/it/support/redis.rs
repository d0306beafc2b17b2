//! A private Redis server on a free port, with AOF as in production. Dropped, it is killed.

#![allow(clippy::panic, reason = "a helper without its server must fail its test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where a server of version 7 keeps its append-only file, in its own directory.
const FILES: &str = "appendonlydir";

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

    /// What the server, in `dir`, has acknowledged so far, as an operator's copy.
    pub fn copy_of(&self, dir: &Path) -> TempDir {
        // While it syncs its file, a server keeps what comes in its memory for up to two seconds.
        let is_written = || {
            let redis::Value::BulkString(info) = self.command(&["INFO", "persistence"]) else { panic!("no INFO") };
            let info = String::from_utf8_lossy(&info).into_owned();
            ["aof_buffer_length:0\r", "aof_pending_bio_fsync:0\r"].iter().all(|line| info.contains(line))
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while !is_written() {
            assert!(Instant::now() < patience, "redis-server does not write its file");
            std::thread::sleep(Duration::from_millis(10));
        }
        let copy = TempDir::new().expect("a temporary folder");
        copy_files(&dir.join(FILES), copy.path());
        copy
    }

    /// The server dies, and one that knows no more than the copy takes its place.
    pub fn replaced_by_copy(self, dir: &Path, copy: &Path) -> Self {
        let port = self.port;
        drop(self);
        let files = dir.join(FILES);
        std::fs::remove_dir_all(&files).expect("removes");
        std::fs::create_dir(&files).expect("creates");
        copy_files(copy, &files);
        Self::start_on(dir, port).expect("the port is still free")
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

fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("a directory") {
        let file = file.expect("reads");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("copies");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
