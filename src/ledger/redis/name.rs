//! Counters as the scripts write them: an id, `unit:window:scope:subject` with the subject percent-encoded, and in holds
//! `end|length|max|id`.

use std::fmt::Write;

use crate::domain::limit::{Scope, Unit, Window};

use super::super::counter::{Bind, Counter};

/// Stand for the end of windows that have none.
const SLIDING: &str = "-1";
const OPEN: &str = "-2";

pub(super) fn of(counter: &Counter) -> String {
    let mut name = String::with_capacity(counter.subject.len() + 24);
    // Writing to a string can't fail.
    let _ = write!(name, "{}:{}:", counter.unit, counter.window);
    push_subject(&mut name, &counter.scope, &counter.subject);
    name
}

pub(super) fn parse(id: &str) -> Option<Counter> {
    let mut parts = id.splitn(4, ':');
    let mut part = || parts.next();
    let (unit, window, scope, subject) = (part()?, part()?, part()?, part()?);
    Some(Counter {
        unit: Unit::parse(unit)?,
        window: window.parse().ok()?,
        scope: scope.parse().ok()?,
        subject: decode(subject)?.into(),
    })
}

/// `scope:subject`.
pub(super) fn subject(scope: &Scope, subject: &str) -> String {
    let mut name = String::with_capacity(subject.len() + 16);
    push_subject(&mut name, scope, subject);
    name
}

fn push_subject(name: &mut String, scope: &Scope, subject: &str) {
    let _ = write!(name, "{scope}:");
    encode(subject, name);
}

/// One counter of a hold.
pub(super) fn bind(bind: &Bind) -> String {
    let Bind { counter, max, ends_ms } = bind;
    let id = of(counter);
    match counter.window {
        Window::Calendar(..) => format!("{ends_ms}|0|{max}|{id}"),
        Window::Sliding { ms } => format!("{SLIDING}|{ms}|{max}|{id}"),
        Window::Open => format!("{OPEN}|0|{max}|{id}"),
    }
}

/// Reads the counters of a hold, which spaces separate.
pub(super) fn binds(text: &str) -> Option<Vec<Bind>> {
    let bind = |text: &str| {
        let mut parts = text.splitn(4, '|');
        let (ends, _, max, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let ends_ms = if ends == SLIDING || ends == OPEN { 0 } else { ends.parse().ok()? };
        Some(Bind { counter: parse(id)?, max: max.parse().ok()?, ends_ms })
    };
    text.split(' ').map(bind).collect()
}

/// By hand, in ten lines, because no crate of ours has it: what is unreserved in a URL stays, everything else is
/// encoded, so that a name holds none of the separators and can be typed into `redis-cli`.
fn encode(subject: &str, into: &mut String) {
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = if first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            tail
        } else {
            bytes.push(first);
            tail
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counter(scope: &str, subject: &str, unit: Unit, window: &str) -> Counter {
        Counter {
            scope: scope.parse().expect("a scope"),
            subject: subject.into(),
            unit,
            window: window.parse().expect("a window"),
        }
    }

    proptest! {
        #[test]
        fn any_subject_survives_its_name_and_the_name_holds_no_separator(subject in ".*") {
            let counter = counter("user", &subject, Unit::Usd, "day@Europe/Berlin");
            let name = of(&counter);
            let separated = name["usd:day@Europe/Berlin:user:".len()..].contains([':', '|', ' ', ';', '{', '}']);
            prop_assert!(!separated, "{}", name);
            prop_assert_eq!(parse(&name), Some(counter));
        }
    }

    #[test]
    fn the_counters_of_a_hold_are_read_back() {
        let all = [
            Bind { counter: counter("user", "a@b.c", Unit::Usd, "day"), max: 5, ends_ms: 86_400_000 },
            Bind { counter: counter("metadata.feature", "x|y z", Unit::Tokens, "90s"), max: 7, ends_ms: 0 },
            Bind { counter: counter("global", "", Unit::Concurrent, "open"), max: 9, ends_ms: 0 },
        ];
        let text = all.iter().map(bind).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "86400000|0|5|usd:day:user:a%40b.c -1|90000|7|tokens:90s:metadata.feature:x%7Cy%20z \
             -2|0|9|concurrent:open:global:"
        );
        assert_eq!(binds(&text).as_deref(), Some(all.as_slice()));
        assert_eq!(binds("5|0|usd:day:user:a"), None);
    }
}
