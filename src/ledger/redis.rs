//! The ledger on Redis: one script per verb, by the server's clock, the same rules as the book.

mod name;
mod report;

use redis::Value;

use crate::domain::ids::RunId;
use crate::domain::limit::Quota;
use crate::domain::money::NanoUsd;
use crate::store::redis::{Redis, Script};
use crate::store::{Clock, StoreError};

use super::binding::{Bind, CAPACITY, Reading, bind, decide, repeat};
use super::book::{EXPIRED_KEPT_MS, GRACE_MS, HOLD_TTL_MS, KEPT_DAYS, SWEEP_GAP_MS, VOID_KEPT_MS};
use super::{Expired, Reserve, Reserved, Settled, UsageReport};

/// Holds that one call renews or ends; more are several calls, so that none holds the server up.
const CHUNK: usize = 500;

pub(super) struct RedisLedger {
    store: Redis,
    clock: Clock,
    scripts: Scripts,
}

struct Scripts {
    reserve: Script,
    extend: Script,
    settle: Script,
    void: Script,
    renew: Script,
    expire: Script,
    now: Script,
}

impl Scripts {
    fn new(clock: &Clock) -> Self {
        let clock = match clock {
            Clock::System(_) => include_str!("clock.lua"),
            Clock::Stepped(_) => include_str!("clock_stepped.lua"),
        };
        let script = |verb| Script::new(&[clock, include_str!("common.lua"), verb]);
        Scripts {
            reserve: script(include_str!("reserve.lua")),
            extend: script(include_str!("extend.lua")),
            settle: script(include_str!("settle.lua")),
            void: script(include_str!("void.lua")),
            renew: script(include_str!("renew.lua")),
            expire: script(include_str!("expire.lua")),
            now: script(include_str!("now.lua")),
        }
    }
}

impl RedisLedger {
    pub fn new(store: Redis, clock: Clock) -> Self {
        let scripts = Scripts::new(&clock);
        RedisLedger { store, clock, scripts }
    }

    pub async fn reserve(&self, ask: &Reserve) -> Result<Reserved, StoreError> {
        let binds = bind(&ask.caller, &ask.limits);
        let epoch = self.store.epoch().unwrap_or_default();
        let mut args = Args::new().text(epoch).run(ask.run).number(amount(ask.amount)).number(HOLD_TTL_MS);
        args = args.number(KEPT_DAYS).count(binds.iter().filter(|bind| bind.is_usd()).count());
        for bind in &binds {
            if let Quota::UsdPerDay { max_nano } = bind.quota {
                args = args.text(&name::of(bind)).number(max_nano);
            }
        }
        args = args.count(binds.iter().filter(|bind| !bind.is_usd()).count());
        for bind in &binds {
            if let Quota::Requests { max, window_ms } = bind.quota {
                args = args.text(&name::of(bind)).number(window_ms).number(max.min(CAPACITY));
            }
        }
        let answer: Vec<Value> = self.run(&self.scripts.reserve, args).await?;
        let mut answer = Answer::new(answer);
        let verdict = answer.text()?;
        match verdict.as_str() {
            "none" => return Err(StoreError::NoHold(ask.run)),
            "emptied" => return Err(self.store.emptied()),
            _ => {}
        }
        let (now_ms, day) = (answer.number()?, answer.number()?);
        let readings = readings(&binds, &mut answer, now_ms, day)?;
        Ok(if verdict == "repeated" {
            repeat(&binds, &readings, ask.amount)
        } else {
            decide(&binds, &readings, ask.amount, now_ms)
        })
    }

    pub async fn extend(&self, run: RunId, more: NanoUsd) -> Result<Reserved, StoreError> {
        let args = Args::new().run(run).number(amount(more));
        let answer: Vec<Value> = self.run(&self.scripts.extend, args).await?;
        let mut answer = Answer::new(answer);
        if answer.text()? == "none" {
            return Err(StoreError::NoHold(run));
        }
        let (now_ms, day) = (answer.number()?, answer.number()?);
        let binds = name::counters(&answer.text()?).ok_or_else(unknown_answer)?;
        let readings = readings(&binds, &mut answer, now_ms, day)?;
        Ok(decide(&binds, &readings, more, now_ms))
    }

    pub async fn settle(&self, run: RunId, price: NanoUsd) -> Result<Settled, StoreError> {
        let price = price.get().min(CAPACITY);
        let did: String = self.run(&self.scripts.settle, Args::new().run(run).number(price)).await?;
        match did.as_str() {
            "booked" => Ok(Settled::Booked),
            "corrected" => Ok(Settled::Corrected),
            "nothing" => Ok(Settled::Nothing),
            _ => Err(unknown_answer()),
        }
    }

    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        self.run(&self.scripts.void, Args::new().run(run).number(VOID_KEPT_MS / 1_000)).await
    }

    pub async fn renew(&self, runs: &[RunId]) -> Result<(), StoreError> {
        for chunk in runs.chunks(CHUNK) {
            let args = Args::new().number(HOLD_TTL_MS).count(chunk.len());
            let args = chunk.iter().fold(args, |args, run| args.run(*run));
            self.run::<()>(&self.scripts.renew, args).await?;
        }
        Ok(())
    }

    pub async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        let mut all = Vec::new();
        loop {
            let args = Args::new().number(SWEEP_GAP_MS).number(GRACE_MS).count(CHUNK).number(EXPIRED_KEPT_MS / 1_000);
            let ended: Vec<(String, u64)> = self.run(&self.scripts.expire, args).await?;
            for (run, amount) in &ended {
                let run = RunId::parse(run).ok_or_else(unknown_answer)?;
                all.push(Expired { run, amount: NanoUsd::new(*amount) });
            }
            if ended.len() < CHUNK {
                return Ok(all);
            }
        }
    }

    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        let (now_ms, open_holds): (u64, u64) = self.run(&self.scripts.now, Args::new()).await?;
        report::usage(&self.store, now_ms, open_holds).await
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, args: Args) -> Result<T, StoreError> {
        let args = match &self.clock {
            Clock::System(_) => args,
            Clock::Stepped(_) => args.number(self.clock.now().unix_ms),
        };
        self.store.run(script, &args.0).await
    }
}

/// The readings of `binds`, which the scripts give for all dollars first and then for all windows.
fn readings(binds: &[Bind], answer: &mut Answer, now_ms: u64, day: u64) -> Result<Vec<Reading>, StoreError> {
    let mut readings = vec![Reading::usd(0, day); binds.len()];
    let mut at = |wanted_usd: bool| -> Result<(), StoreError> {
        for (bind, reading) in binds.iter().zip(&mut readings) {
            match bind.quota {
                Quota::UsdPerDay { .. } if wanted_usd => *reading = Reading::usd(answer.number()?, day),
                Quota::Requests { window_ms, .. } if !wanted_usd => {
                    let (used, oldest, blocker) = (answer.number()?, answer.time()?, answer.time()?);
                    *reading = Reading::requests(used, window_ms, oldest, blocker, now_ms);
                }
                _ => {}
            }
        }
        Ok(())
    };
    at(true)?;
    at(false)?;
    Ok(readings)
}

/// An amount that the scripts hold exactly: whatever is above the capacity is refused as twice of it.
fn amount(amount: NanoUsd) -> u64 {
    if amount.get() > CAPACITY { 2 * CAPACITY } else { amount.get() }
}

/// ARGV under construction.
struct Args(Vec<Vec<u8>>);

impl Args {
    fn new() -> Self {
        Args(Vec::with_capacity(24))
    }

    fn text(mut self, text: &str) -> Self {
        self.0.push(text.as_bytes().to_vec());
        self
    }

    fn number(self, number: u64) -> Self {
        self.text(&number.to_string())
    }

    fn count(self, count: usize) -> Self {
        self.text(&count.to_string())
    }

    fn run(self, run: RunId) -> Self {
        self.text(&run.to_string())
    }
}

/// A script's answer, read from front to back.
struct Answer(std::vec::IntoIter<Value>);

impl Answer {
    fn new(values: Vec<Value>) -> Self {
        Answer(values.into_iter())
    }

    fn text(&mut self) -> Result<String, StoreError> {
        self.next()
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        self.next()
    }

    /// -1 stands for none.
    fn time(&mut self) -> Result<Option<u64>, StoreError> {
        let number: i64 = self.next()?;
        Ok(u64::try_from(number).ok())
    }

    fn next<T: redis::FromRedisValue>(&mut self) -> Result<T, StoreError> {
        let value = self.0.next().ok_or_else(unknown_answer)?;
        T::from_redis_value(value).map_err(|_| unknown_answer())
    }
}

fn unknown_answer() -> StoreError {
    StoreError::Corrupt(
        "a ledger script gave an unknown answer; is another program using keys that start with hg:?".to_owned(),
    )
}
