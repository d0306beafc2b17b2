//! One TCP connection: every wait and every write also watches for the peer to leave.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;

/// The peer closed or reset the connection. A FIN counts: HTTP clients don't half-close.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// A peer that sends more than this while it should wait for its answer is treated as gone.
const INBOX_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;

pub(super) struct Peer {
    socket: TcpStream,
    /// Bytes received and not yet used.
    pub(super) inbox: BytesMut,
    /// Splits every write; none writes as much as the kernel takes.
    pub(super) bytes_per_write: Option<NonZeroUsize>,
}

impl Peer {
    pub(super) fn new(socket: TcpStream) -> Peer {
        // Without it the last frame of an answer can wait 40 ms for the peer's delayed acknowledgement.
        let _ = socket.set_nodelay(true);
        Peer { socket, inbox: BytesMut::new(), bytes_per_write: None }
    }

    /// Waits for more bytes in the inbox.
    pub(super) async fn receive(&mut self) -> Result<(), Gone> {
        receive(&self.socket, &mut self.inbox).await
    }

    pub(super) async fn gone(&mut self) -> Gone {
        gone(&self.socket, &mut self.inbox).await
    }

    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            biased;
            gone = gone(&self.socket, &mut self.inbox) => Err(gone),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let Some(size) = self.bytes_per_write else { return self.write_whole(bytes).await };
        for piece in bytes.chunks(size.get()) {
            self.write_whole(piece).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write_whole(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        let Peer { socket, inbox, .. } = self;
        // A stream without gaps never waits, so it has to look for a peer that left, and let other tasks run, here.
        tokio::task::consume_budget().await;
        while received(socket, inbox)? {}
        while !bytes.is_empty() {
            match socket.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::select! {
                    biased;
                    gone = gone(socket, inbox) => return Err(gone),
                    writable = socket.writable() => writable.map_err(|_| Gone)?,
                },
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Makes the close that follows a TCP reset instead of an orderly end.
    pub(super) fn reset_on_close(&self) {
        // Fails only on a socket that is broken already, which the peer sees as a reset too.
        let _ = self.socket.set_zero_linger();
    }
}

async fn gone(socket: &TcpStream, inbox: &mut BytesMut) -> Gone {
    while receive(socket, inbox).await.is_ok() {
        if inbox.len() > INBOX_BYTES {
            break;
        }
    }
    Gone
}

async fn receive(socket: &TcpStream, inbox: &mut BytesMut) -> Result<(), Gone> {
    while !received(socket, inbox)? {
        socket.readable().await.map_err(|_| Gone)?;
    }
    Ok(())
}

/// Whether bytes had come; never waits.
fn received(socket: &TcpStream, inbox: &mut BytesMut) -> Result<bool, Gone> {
    inbox.reserve(READ_BYTES);
    match socket.try_read_buf(inbox) {
        Ok(0) => Err(Gone),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(_) => Err(Gone),
    }
}
