//! The ledger on Redis: one script per verb, by the server's clock, the same rules as the book.

mod name;
mod report;

use std::sync::atomic::{AtomicI64, Ordering};

use redis::Value;

use crate::domain::ids::RunId;
use crate::domain::limit::{DAY_MS, Scope};
use crate::domain::money::NanoUsd;
use crate::store::redis::{Redis, Script};
use crate::store::{Clock, StoreError};

use super::ask::provider;
use super::binding::{Reading, bind, decide, repeat};
use super::book::{EXPIRED_KEPT_MS, GRACE_MS, HOLD_TTL_MS, KEPT_MS, SWEEP_GAP_MS, VOID_KEPT_MS};
use super::counter::{Bind, CAPACITY};
use super::{Amount, Bill, Expired, HeldRun, HoldState, Reserve, Reserved, Settled, UsageReport};

/// How often an ask is put to the server by another clock, before it counts as refused by a store that can't be used.
const ASKS: usize = 4;

/// Holds that one call renews or ends; more are several calls, so that none holds the server up.
const CHUNK: usize = 500;

pub(super) struct RedisLedger {
    store: Redis,
    clock: Clock,
    /// Milliseconds by which the server's clock is ahead of ours, as far as answers have told. Which calendar window
    /// runs is the server's to say; this makes us ask for the right one.
    ahead_ms: AtomicI64,
    scripts: Scripts,
}

struct Scripts {
    reserve: Script,
    extend: Script,
    settle: Script,
    void: Script,
    renew: Script,
    expire: Script,
    logs: Script,
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
            logs: script(include_str!("logs.lua")),
            now: script(include_str!("now.lua")),
        }
    }
}

impl RedisLedger {
    pub fn new(store: Redis, clock: Clock) -> Self {
        let scripts = Scripts::new(&clock);
        RedisLedger { store, clock, ahead_ms: AtomicI64::new(0), scripts }
    }

    pub async fn reserve(&self, ask: &Reserve) -> Result<Reserved, StoreError> {
        let _place = self.store.place()?;
        for _ in 0..ASKS {
            let at_ms = self.now_ms();
            let binds = bind(&ask.subjects, &ask.limits, at_ms);
            let answer: Vec<Value> = self.run(&self.scripts.reserve, self.reserve_args(ask, &binds, at_ms)).await?;
            let mut answer = Answer::new(answer);
            match answer.text()?.as_str() {
                "none" => return Err(StoreError::NoHold(ask.run)),
                "emptied" => return Err(self.store.emptied()),
                "moved" => self.learn(answer.number()?),
                "repeated" => {
                    let now_ms = answer.number()?;
                    let held = answer.amount()?;
                    let binds = name::binds(&answer.text()?).ok_or_else(unknown_answer)?;
                    return Ok(repeat(&binds, &readings(&binds, &mut answer, now_ms)?, held));
                }
                _ => {
                    let now_ms = answer.number()?;
                    self.learn(now_ms);
                    let decision = decide(&binds, &readings(&binds, &mut answer, now_ms)?, ask.amount, now_ms);
                    if matches!(decision, Reserved::Held { .. }) {
                        self.store.wrote();
                    }
                    return Ok(decision);
                }
            }
        }
        Err(StoreError::Unavailable("the clock of Redis does not stand still enough to tell a window".to_owned()))
    }

    fn reserve_args(&self, ask: &Reserve, binds: &[Bind], at_ms: u64) -> Args {
        let epoch = self.store.epoch().unwrap_or_default();
        let args = Args::new().text(epoch).run(ask.run).amount(ask.amount).number(HOLD_TTL_MS).number(KEPT_MS / DAY_MS);
        binds.iter().fold(args.count(binds.len()), |args, bind| {
            let start_ms = bind.counter.window.span(at_ms).map_or(0, |span| span.start_ms);
            args.number(start_ms).text(&name::bind(bind))
        })
    }

    pub async fn extend(&self, run: RunId, more: Amount) -> Result<Reserved, StoreError> {
        let args = Args::new().run(run).amount(more);
        let answer: Vec<Value> = self.run(&self.scripts.extend, args).await?;
        let mut answer = Answer::new(answer);
        if answer.text()? == "none" {
            return Err(StoreError::NoHold(run));
        }
        let now_ms = answer.number()?;
        let mut binds = name::binds(&answer.text()?).ok_or_else(unknown_answer)?;
        binds.retain(|bind| bind.counter.grows());
        Ok(decide(&binds, &readings(&binds, &mut answer, now_ms)?, more, now_ms))
    }

    pub async fn settle(&self, run: RunId, bill: &Bill) -> Result<Settled, StoreError> {
        let mut parts: Vec<(String, Amount)> = Vec::with_capacity(2 * bill.targets.len());
        for (target, _) in &bill.targets {
            let model = bill.part(|other| other == target);
            let provider_part = bill.part(|other| provider(other) == provider(target));
            parts.push((name::subject(&Scope::Model, target), model.unwrap_or_default()));
            parts.push((name::subject(&Scope::Provider, provider(target)), provider_part.unwrap_or_default()));
        }
        let args = Args::new().run(run).charge(bill.total).count(parts.len());
        let args = parts.iter().fold(args, |args, (name, part)| args.text(name).charge(*part));
        let did: String = self.run(&self.scripts.settle, args).await?;
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
        report::usage(self, now_ms, open_holds).await
    }

    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        let text: Option<String> = self.store.command(redis::cmd("GET").arg(format!("hg:hold:{run}"))).await?;
        text.map(|text| held(run, &text).ok_or_else(unknown_answer)).transpose()
    }

    /// The server's time, as far as it is known.
    fn now_ms(&self) -> u64 {
        self.clock.now().unix_ms.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn learn(&self, server_ms: u64) {
        if matches!(self.clock, Clock::System(_)) {
            let ahead = i128::from(server_ms) - i128::from(self.clock.now().unix_ms);
            self.ahead_ms.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, args: Args) -> Result<T, StoreError> {
        let args = match &self.clock {
            Clock::System(_) => args,
            Clock::Stepped(_) => args.number(self.clock.now().unix_ms),
        };
        self.store.run(script, &args.0).await
    }
}

/// Reads `state usd tokens taken grown;counter counter...`, as the scripts write it.
fn held(run: RunId, text: &str) -> Option<HeldRun> {
    let (head, counters) = text.split_once(';')?;
    let mut words = head.split(' ');
    let state = match words.next()? {
        "open" => HoldState::Open,
        "expired" => HoldState::Expired,
        "void" => return Some(HeldRun::of(run, HoldState::Void, Amount::default(), &[])),
        _ => return None,
    };
    let amount = Amount { usd: NanoUsd::new(words.next()?.parse().ok()?), tokens: words.next()?.parse().ok()? };
    Some(HeldRun::of(run, state, amount, &name::binds(counters)?))
}

fn readings(binds: &[Bind], answer: &mut Answer, now_ms: u64) -> Result<Vec<Reading>, StoreError> {
    let reading = |bind| {
        let (used, oldest, blocker) = (answer.number()?, answer.time()?, answer.time()?);
        Ok(Reading::new(bind, used, oldest, blocker, now_ms))
    };
    binds.iter().map(reading).collect()
}

/// A number that the scripts hold exactly: whatever is above the capacity is refused as twice of it.
fn asked(number: u64) -> u64 {
    if number > CAPACITY { 2 * CAPACITY } else { number }
}

/// ARGV under construction.
struct Args(Vec<Vec<u8>>);

impl Args {
    fn new() -> Self {
        Args(Vec::with_capacity(32))
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

    fn amount(self, amount: Amount) -> Self {
        self.number(asked(amount.usd.get())).number(asked(amount.tokens))
    }

    fn charge(self, part: Amount) -> Self {
        self.number(part.usd.get().min(CAPACITY)).number(part.tokens.min(CAPACITY))
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

    fn amount(&mut self) -> Result<Amount, StoreError> {
        Ok(Amount { usd: NanoUsd::new(self.number()?), tokens: self.number()? })
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
