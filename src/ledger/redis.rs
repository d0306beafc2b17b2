//! The ledger on Redis: one script per verb, by the server's clock, the same rules as the book.

mod mend;
mod name;
mod report;
mod tail;
mod words;

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
use super::counter::Bind;
use super::{Amount, Bill, Expired, HeldRun, HoldState, Reserve, Reserved, Settled, UsageReport};
use tail::{Tail, Verb, Write};
use words::{Answer, Args, unknown_answer};

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
    tail: Tail,
}

struct Scripts {
    reserve: Script,
    extend: Script,
    settle: Script,
    void: Script,
    check: Script,
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
        let guarded = |verb| Script::new(&[clock, include_str!("common.lua"), include_str!("guard.lua"), verb]);
        Scripts {
            reserve: guarded(include_str!("reserve.lua")),
            extend: guarded(include_str!("extend.lua")),
            settle: guarded(include_str!("settle.lua")),
            void: guarded(include_str!("void.lua")),
            check: guarded(include_str!("check.lua")),
            renew: script(include_str!("renew.lua")),
            expire: script(include_str!("expire.lua")),
            logs: script(include_str!("logs.lua")),
            now: script(include_str!("now.lua")),
        }
    }

    fn of(&self, verb: Verb) -> &Script {
        match verb {
            Verb::Reserve => &self.reserve,
            Verb::Extend => &self.extend,
            Verb::Settle => &self.settle,
            Verb::Void => &self.void,
        }
    }
}

/// What a guarded script answers first: a word, the number of what it wrote (0: nothing), the server's time.
struct Answered {
    word: String,
    number: u64,
    now_ms: u64,
    rest: Answer,
}

impl RedisLedger {
    pub fn new(store: Redis, clock: Clock) -> Self {
        let scripts = Scripts::new(&clock);
        RedisLedger { store, clock, ahead_ms: AtomicI64::new(0), scripts, tail: Tail::new() }
    }

    pub async fn reserve(&self, ask: &Reserve) -> Result<Reserved, StoreError> {
        let _place = self.store.place()?;
        for _ in 0..ASKS {
            let at_ms = self.now_ms();
            let binds = bind(&ask.subjects, &ask.limits, at_ms);
            let Answered { word, now_ms, mut rest, .. } =
                self.write(Verb::Reserve, self.reserve_args(ask.run, ask.amount, &binds, at_ms, false)).await?;
            match word.as_str() {
                "none" => return Err(StoreError::NoHold(ask.run)),
                "moved" => self.learn(now_ms),
                "repeated" => {
                    let held = rest.amount()?;
                    let binds = name::binds(&rest.text()?).ok_or_else(unknown_answer)?;
                    return Ok(repeat(&binds, &readings(&binds, &mut rest, now_ms)?, held));
                }
                _ => {
                    self.learn(now_ms);
                    return Ok(decide(&binds, &readings(&binds, &mut rest, now_ms)?, ask.amount, now_ms));
                }
            }
        }
        Err(StoreError::Unavailable("the clock of Redis does not stand still enough to tell a window".to_owned()))
    }

    pub async fn take(
        &self,
        run: RunId,
        amount: Amount,
        binds: &[Bind],
        whatever: bool,
    ) -> Result<Reserved, StoreError> {
        let args = self.reserve_args(run, amount, binds, self.now_ms(), whatever);
        let Answered { word, now_ms, mut rest, .. } = self.write(Verb::Reserve, args).await?;
        match word.as_str() {
            "moved" => Err(StoreError::Unavailable("the window has just ended".to_owned())),
            "refused" => Ok(decide(binds, &readings(binds, &mut rest, now_ms)?, amount, now_ms)),
            "repeated" => {
                // An ask that got no answer was carried out all the same, and the hold has grown since.
                let held = rest.amount()?;
                let more = amount.minus(held);
                if more != Amount::default() {
                    self.extend(run, more).await?;
                }
                Ok(Reserved::Held { limits: Vec::new() })
            }
            // Taken, or over already: then it only has to be settled.
            _ => Ok(Reserved::Held { limits: Vec::new() }),
        }
    }

    fn reserve_args(&self, run: RunId, amount: Amount, binds: &[Bind], at_ms: u64, whatever: bool) -> Args {
        let args = self.guarded().run(run).amount(amount).number(HOLD_TTL_MS).number(KEPT_MS / DAY_MS);
        let args = args.text(if whatever { "whatever" } else { "" });
        binds.iter().fold(args.count(binds.len()), |args, bind| {
            let start_ms = bind.counter.window.span(at_ms).map_or(0, |span| span.start_ms);
            args.number(start_ms).text(&name::bind(bind))
        })
    }

    pub async fn extend(&self, run: RunId, more: Amount) -> Result<Reserved, StoreError> {
        let args = self.guarded().run(run).amount(more);
        let Answered { word, now_ms, mut rest, .. } = self.write(Verb::Extend, args).await?;
        if word == "none" {
            return Err(StoreError::NoHold(run));
        }
        let mut binds = name::binds(&rest.text()?).ok_or_else(unknown_answer)?;
        binds.retain(|bind| bind.counter.grows());
        Ok(decide(&binds, &readings(&binds, &mut rest, now_ms)?, more, now_ms))
    }

    pub async fn settle(&self, run: RunId, bill: &Bill) -> Result<Settled, StoreError> {
        let mut parts: Vec<(String, Amount)> = Vec::with_capacity(2 * bill.targets.len());
        for (target, _) in &bill.targets {
            let model = bill.part(|other| other == target);
            let provider_part = bill.part(|other| provider(other) == provider(target));
            parts.push((name::subject(&Scope::Model, target), model.unwrap_or_default()));
            parts.push((name::subject(&Scope::Provider, provider(target)), provider_part.unwrap_or_default()));
        }
        let args = self.guarded().run(run).charge(bill.total).count(parts.len());
        let args = parts.iter().fold(args, |args, (name, part)| args.text(name).charge(*part));
        match self.write(Verb::Settle, args).await?.word.as_str() {
            "booked" => Ok(Settled::Booked),
            "corrected" => Ok(Settled::Corrected),
            "nothing" => Ok(Settled::Nothing),
            _ => Err(unknown_answer()),
        }
    }

    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        let args = self.guarded().run(run).number(VOID_KEPT_MS / 1_000);
        self.write(Verb::Void, args).await.map(|_| ())
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
    pub fn now_ms(&self) -> u64 {
        self.clock.now().unix_ms.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn learn(&self, server_ms: u64) {
        if matches!(self.clock, Clock::System(_)) {
            let ahead = i128::from(server_ms) - i128::from(self.clock.now().unix_ms);
            self.ahead_ms.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// Sends a verb that changes holds, and remembers it once it is acknowledged.
    async fn write(&self, verb: Verb, args: Args) -> Result<Answered, StoreError> {
        let own = args.own();
        let answered = self.ask(self.scripts.of(verb), args).await?;
        match answered.word.as_str() {
            "emptied" => return Err(self.store.emptied()),
            "lost" => return Err(self.store.lost_its_tail()),
            _ => {}
        }
        if answered.number > 0 {
            self.tail.note(answered.number, Write { verb, args: own, at_ms: answered.now_ms });
            self.store.wrote();
        }
        Ok(answered)
    }

    fn guarded(&self) -> Args {
        Args::guarded(&self.store.epoch(), self.tail.process(), self.tail.newest())
    }

    async fn ask(&self, script: &Script, args: Args) -> Result<Answered, StoreError> {
        let mut rest = Answer::new(self.run::<Vec<Value>>(script, args).await?);
        Ok(Answered { word: rest.text()?, number: rest.number()?, now_ms: rest.number()?, rest })
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
