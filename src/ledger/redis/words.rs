//! What the scripts are told and what they answer.

use redis::Value;

use crate::domain::ids::RunId;
use crate::domain::money::NanoUsd;
use crate::store::StoreError;

use super::super::Amount;
use super::super::counter::CAPACITY;

/// Arguments of the guard.
const GUARDED: usize = 5;

/// A number that the scripts hold exactly: whatever is above the capacity is refused as twice of it.
fn asked(number: u64) -> u64 {
    if number > CAPACITY { 2 * CAPACITY } else { number }
}

/// ARGV under construction. No argument holds a line feed: subjects are percent-encoded.
pub(super) struct Args(pub Vec<Vec<u8>>);

impl Args {
    pub fn new() -> Self {
        Args(Vec::with_capacity(32))
    }

    /// What the guard in front of a verb asks for.
    pub fn guarded(epoch: &str, process: &str, newest: u64) -> Self {
        Args::new().text(epoch).text(process).number(newest).text("").text("")
    }

    /// The verb's own arguments behind the guard's, joined by line feeds.
    pub fn own(&self) -> String {
        let own: Vec<_> = self.0.iter().skip(GUARDED).map(|arg| String::from_utf8_lossy(arg)).collect();
        own.join("\n")
    }

    /// The same write once more: `number` and its time, and the verb's own arguments as [`Args::own`] gave them.
    pub fn repeated(epoch: &str, process: &str, number: u64, at_ms: u64, own: &str) -> Self {
        let args = Args::new().text(epoch).text(process).text("0").number(number).number(at_ms);
        own.split('\n').fold(args, |args, arg| args.text(arg))
    }

    pub fn text(mut self, text: &str) -> Self {
        self.0.push(text.as_bytes().to_vec());
        self
    }

    pub fn number(self, number: u64) -> Self {
        self.text(&number.to_string())
    }

    pub fn count(self, count: usize) -> Self {
        self.text(&count.to_string())
    }

    pub fn amount(self, amount: Amount) -> Self {
        self.number(asked(amount.usd.get())).number(asked(amount.tokens))
    }

    pub fn charge(self, part: Amount) -> Self {
        self.number(part.usd.get().min(CAPACITY)).number(part.tokens.min(CAPACITY))
    }

    pub fn run(self, run: RunId) -> Self {
        self.text(&run.to_string())
    }
}

/// A script's answer, read from front to back.
pub(super) struct Answer(std::vec::IntoIter<Value>);

impl Answer {
    pub fn new(values: Vec<Value>) -> Self {
        Answer(values.into_iter())
    }

    pub fn text(&mut self) -> Result<String, StoreError> {
        self.next()
    }

    pub fn number(&mut self) -> Result<u64, StoreError> {
        self.next()
    }

    pub fn amount(&mut self) -> Result<Amount, StoreError> {
        Ok(Amount { usd: NanoUsd::new(self.number()?), tokens: self.number()? })
    }

    /// -1 stands for none.
    pub fn time(&mut self) -> Result<Option<u64>, StoreError> {
        let number: i64 = self.next()?;
        Ok(u64::try_from(number).ok())
    }

    fn next<T: redis::FromRedisValue>(&mut self) -> Result<T, StoreError> {
        let value = self.0.next().ok_or_else(unknown_answer)?;
        T::from_redis_value(value).map_err(|_| unknown_answer())
    }
}

pub(super) fn unknown_answer() -> StoreError {
    StoreError::Corrupt(
        "a ledger script gave an unknown answer; is another program using keys that start with hg:?".to_owned(),
    )
}
