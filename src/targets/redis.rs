//! The fleet's board on Redis: what all replicas know of targets and keys, who probes, and how many live.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::{FromRedisValue, Value};

use crate::store::StoreError;
use crate::store::redis::{Redis, Script};

use super::board::{News, Probe, Standing, Subject};

/// A process that was silent for so long is dead, and so is its probe.
const SILENCE: Duration = Duration::from_secs(6);

pub(super) struct RedisBoard {
    store: Redis,
    /// This process, among those that are alive.
    process: String,
    exchange: Script,
    probe: Script,
    replicas: AtomicU32,
}

impl RedisBoard {
    pub(super) fn new(store: Redis) -> Self {
        RedisBoard {
            store,
            process: uuid::Uuid::new_v4().simple().to_string(),
            exchange: Script::new(&[include_str!("exchange.lua")]),
            probe: Script::new(&[include_str!("probe.lua")]),
            replicas: AtomicU32::new(1),
        }
    }

    /// Living processes, this one included, as last heard.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Tells news, which probes are still under way and which are over; returns what the fleet knows after that.
    pub(super) async fn exchange(
        &self,
        news: &[(Subject, News)],
        leases: &BTreeSet<String>,
        given_back: &BTreeSet<String>,
    ) -> Result<Vec<(Subject, Standing)>, StoreError> {
        let mut args = vec![self.process.clone(), ms(SILENCE), ms(SILENCE), news.len().to_string()];
        for (subject, news) in news {
            args.extend(told(subject, news));
        }
        for targets in [leases, given_back] {
            args.push(targets.len().to_string());
            args.extend(targets.iter().cloned());
        }
        let args: Vec<Vec<u8>> = args.into_iter().map(String::into_bytes).collect();
        let answer: Vec<Value> = self.store.run(&self.exchange, &args).await?;
        let mut answer = answer.into_iter();
        self.replicas.store(next::<u32>(&mut answer)?.max(1), Ordering::Relaxed);
        let mut known = Vec::with_capacity(answer.len() / 5);
        while answer.len() > 0 {
            let name: String = next(&mut answer)?;
            let failures = next(&mut answer)?;
            let (open, cool, rest) = (left(&mut answer)?, left(&mut answer)?, left(&mut answer)?);
            // A kind of subject that a newer release has.
            let Some(subject) = Subject::parse(&name) else { continue };
            known.push((subject, Standing { failures, open, cool, rest }));
        }
        Ok(known)
    }

    pub(super) async fn probe(&self, target: &str) -> Result<Probe, StoreError> {
        let args = [target.to_owned(), self.process.clone(), ms(SILENCE)].map(String::into_bytes);
        let answer: Vec<Value> = self.store.run(&self.probe, &args).await?;
        let mut answer = answer.into_iter();
        match next::<String>(&mut answer)?.as_str() {
            "yours" => Ok(Probe::Yours),
            "taken" => Ok(Probe::Taken),
            "closed" => Ok(Probe::Closed),
            "open" => Ok(Probe::Open(Duration::from_millis(next(&mut answer)?))),
            _ => Err(unknown_answer()),
        }
    }
}

/// News as the script reads them.
fn told(subject: &Subject, news: &News) -> [String; 8] {
    let ending = |time: Option<Option<Duration>>| match time {
        None => String::new(),
        Some(None) => "-1".to_owned(),
        Some(Some(left)) => ms(left),
    };
    let (errors, open) = news.rule.map_or((0, Duration::ZERO), |rule| (rule.errors, rule.open));
    [
        subject.name(),
        u8::from(news.succeeded).to_string(),
        news.failures.to_string(),
        errors.to_string(),
        ms(open),
        ending(news.breaker),
        news.cool.map(ms).unwrap_or_default(),
        ending(news.rest),
    ]
}

fn ms(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn next<T: FromRedisValue>(answer: &mut std::vec::IntoIter<Value>) -> Result<T, StoreError> {
    answer.next().and_then(|value| T::from_redis_value(value).ok()).ok_or_else(unknown_answer)
}

fn left(answer: &mut std::vec::IntoIter<Value>) -> Result<Option<Duration>, StoreError> {
    let ms: i64 = next(answer)?;
    Ok(u64::try_from(ms).ok().map(Duration::from_millis))
}

fn unknown_answer() -> StoreError {
    StoreError::Corrupt(
        "a targets script gave an unknown answer; is another program using keys that start with hg:?".to_owned(),
    )
}
