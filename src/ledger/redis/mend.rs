//! Looking after the server: what it has forgotten is written again.

use crate::store::StoreError;

use super::RedisLedger;
use super::tail::Gap;
use super::words::Args;

impl RedisLedger {
    /// Looks after the store: whether it takes writes, and whether it still is what it was. What it has forgotten of this
    /// process's last writes is written again. Returns how many that were.
    pub async fn check(&self) -> Result<usize, StoreError> {
        self.store.check_settings().await?;
        let answered = self.ask(&self.scripts.check, self.guarded()).await?;
        match answered.word.as_str() {
            "emptied" if self.store.is_accepted().await? => {
                self.tail.forgive();
                self.repeat_after(0).await
            }
            "emptied" => {
                self.store.warn_others().await?;
                Err(self.store.emptied())
            }
            "lost" => self.repeat_after(answered.number).await,
            _ => {
                self.store.is_sound();
                Ok(0)
            }
        }
    }

    /// Writes everything once more that came after write `known`, in order. Until the last of it is written the guard
    /// keeps new work out; what was written by an earlier try is passed over by its number.
    async fn repeat_after(&self, known: u64) -> Result<usize, StoreError> {
        let mut known = known;
        let mut repeated = 0;
        while known < self.tail.newest() {
            let lost = match self.tail.after(known) {
                Err(Gap(_)) if !self.store.is_strict() => {
                    self.tail.forgive();
                    continue;
                }
                Err(Gap(writes)) => {
                    self.store.warn_others().await?;
                    return Err(self.store.lost_too_much(writes));
                }
                Ok(lost) => lost,
            };
            for (number, write) in lost {
                let epoch = self.store.epoch();
                let args = Args::repeated(&epoch, self.tail.process(), number, write.at_ms, &write.args);
                self.ask(self.scripts.of(write.verb), args).await?;
                (known, repeated) = (number, repeated + 1);
            }
        }
        self.store.is_sound();
        Ok(repeated)
    }
}
