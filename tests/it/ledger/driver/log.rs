//! What a process writes down: every operation before it is asked, every answer before it is acted on. Written text is
//! with the kernel, so a killed process loses none of it.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use headgate::domain::ids::RunId;
use headgate::ledger::{Amount, Reserved, Settled};
use headgate::store::StoreError;

use super::scene::{Counted, amount, now_ns};

#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// For a user and a team.
    Reserve(String, String, Amount),
    /// The same hold once more.
    Repeat,
    Extend(Amount),
    Renew,
    Settle(Amount),
    Void,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// What each counter stood at before, in the order of `Counted::ALL`, or as many as an extension has.
    Held(Vec<u64>),
    /// The counter that refused, and what it stood at.
    Refused(Counted, u64),
    Booked,
    Corrected,
    Nothing,
    Done,
    NoHold,
    Unavailable,
}

impl From<Result<Reserved, StoreError>> for Outcome {
    fn from(answer: Result<Reserved, StoreError>) -> Self {
        match answer {
            Ok(Reserved::Held { limits } | Reserved::Away { limits }) => {
                Outcome::Held(limits.iter().map(|view| view.before).collect())
            }
            Ok(Reserved::Refused { view, .. }) => Outcome::Refused(Counted::of(&view.limit), view.before),
            Err(StoreError::NoHold(_)) => Outcome::NoHold,
            Err(_) => Outcome::Unavailable,
        }
    }
}

impl From<Result<Settled, StoreError>> for Outcome {
    fn from(answer: Result<Settled, StoreError>) -> Self {
        match answer {
            Ok(Settled::Booked) => Outcome::Booked,
            Ok(Settled::Corrected) => Outcome::Corrected,
            Ok(Settled::Nothing) => Outcome::Nothing,
            Err(_) => Outcome::Unavailable,
        }
    }
}

impl From<Result<(), StoreError>> for Outcome {
    fn from(answer: Result<(), StoreError>) -> Self {
        if answer.is_ok() { Outcome::Done } else { Outcome::Unavailable }
    }
}

/// One line.
pub enum Line {
    /// Time in ns, number of the operation.
    Asked(u64, u64, RunId, Verb),
    Answered(u64, u64, Outcome),
}

pub struct Log {
    file: Mutex<File>,
    next: AtomicU64,
}

impl Log {
    pub fn create(path: &Path) -> Self {
        let file = OpenOptions::new().create_new(true).append(true).open(path).expect("a new file");
        Log { file: Mutex::new(file), next: AtomicU64::new(0) }
    }

    /// Returns the number of the operation.
    pub fn asked(&self, run: RunId, verb: &Verb) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let verb = match verb {
            Verb::Reserve(user, team, amount) => {
                format!("reserve {user} {team} {} {}", amount.usd.get(), amount.tokens)
            }
            Verb::Repeat => "repeat".to_owned(),
            Verb::Extend(more) => format!("extend {} {}", more.usd.get(), more.tokens),
            Verb::Renew => "renew".to_owned(),
            Verb::Settle(bill) => format!("settle {} {}", bill.usd.get(), bill.tokens),
            Verb::Void => "void".to_owned(),
        };
        self.write(&format!("? {} {number} {run} {verb}\n", now_ns()));
        number
    }

    pub fn answered(&self, number: u64, outcome: &Outcome) {
        let mut line = format!("= {} {number} ", now_ns());
        match outcome {
            Outcome::Held(readings) => {
                line.push_str("held");
                readings.iter().for_each(|reading| write!(line, " {reading}").expect("a string takes it"));
            }
            Outcome::Refused(by, reading) => {
                write!(line, "refused {} {reading}", *by as usize).expect("a string takes it");
            }
            Outcome::Booked => line.push_str("booked"),
            Outcome::Corrected => line.push_str("corrected"),
            Outcome::Nothing => line.push_str("nothing"),
            Outcome::Done => line.push_str("done"),
            Outcome::NoHold => line.push_str("nohold"),
            Outcome::Unavailable => line.push_str("unavailable"),
        }
        line.push('\n');
        self.write(&line);
    }

    fn write(&self, line: &str) {
        self.file.lock().expect("no panic under the lock").write_all(line.as_bytes()).expect("the disk has room");
    }
}

/// The whole lines of a log. The last one may have been cut by the kill, and was then never acted on.
pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).expect("a log");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| parse(line).unwrap_or_else(|| panic!("no line of a log: {line}"))).collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let number = |words: &mut std::str::Split<'_, char>| words.next()?.parse::<u64>().ok();
    let kind = words.next()?;
    let (at, operation) = (number(&mut words)?, number(&mut words)?);
    if kind == "?" {
        let run = RunId::parse(words.next()?)?;
        let verb = words.next()?;
        let numbers = |words: &mut std::str::Split<'_, char>| Some(amount(number(words)?, number(words)?));
        let verb = match verb {
            "reserve" => {
                let (user, team) = (words.next()?.to_owned(), words.next()?.to_owned());
                Verb::Reserve(user, team, numbers(&mut words)?)
            }
            "repeat" => Verb::Repeat,
            "extend" => Verb::Extend(numbers(&mut words)?),
            "renew" => Verb::Renew,
            "settle" => Verb::Settle(numbers(&mut words)?),
            "void" => Verb::Void,
            _ => return None,
        };
        return Some(Line::Asked(at, operation, run, verb));
    }
    let outcome = match words.next()? {
        "held" => Outcome::Held(words.map(|word| word.parse().ok()).collect::<Option<_>>()?),
        "refused" => Outcome::Refused(*Counted::ALL.get(number(&mut words)? as usize)?, number(&mut words)?),
        "booked" => Outcome::Booked,
        "corrected" => Outcome::Corrected,
        "nothing" => Outcome::Nothing,
        "done" => Outcome::Done,
        "nohold" => Outcome::NoHold,
        "unavailable" => Outcome::Unavailable,
        _ => return None,
    };
    Some(Line::Answered(at, operation, outcome))
}
