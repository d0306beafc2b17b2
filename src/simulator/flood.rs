//! More bytes than anybody should hold.

use super::peer::{Gone, Peer};
use super::reply::chunk;

const BLOCK_BYTES: usize = 64 << 10;

/// The same few bytes over and over.
pub(super) struct Flood {
    pub(super) unit: &'static [u8],
    pub(super) units: u64,
}

impl Flood {
    pub(super) fn bytes(&self) -> u64 {
        self.units.saturating_mul(self.unit.len() as u64)
    }

    pub(super) async fn pour(&self, peer: &mut Peer) -> Result<(), Gone> {
        let block = block(self.unit);
        let mut left = self.bytes();
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            peer.write(block.get(..size).unwrap_or_default()).await?;
            left -= size as u64;
        }
        Ok(())
    }
}

/// Chunks of the same bytes until the peer leaves.
pub(super) async fn endless(peer: &mut Peer, unit: &[u8]) -> Gone {
    let block = chunk(&block(unit));
    while peer.write(&block).await.is_ok() {}
    Gone
}

fn block(unit: &[u8]) -> Vec<u8> {
    unit.repeat(BLOCK_BYTES / unit.len().max(1))
}
