//! Counter names as they stand in keys, fields and holds: `scope:subject`, the subject percent-encoded.

use std::fmt::Write;

use crate::domain::limit::{Quota, Scope};

use super::super::binding::Bind;

pub(super) fn of(bind: &Bind) -> String {
    let mut name = String::with_capacity(bind.subject.len() + 8);
    name.push_str(bind.scope.as_str());
    name.push(':');
    encode(&bind.subject, &mut name);
    name
}

/// Reads the dollar counters of a hold: `name=max`, separated by spaces.
pub(super) fn counters(text: &str) -> Option<Vec<Bind>> {
    let counter = |text: &str| {
        let (name, max) = text.split_once('=')?;
        let (scope, subject) = parse(name)?;
        Some(Bind { scope, subject: subject.into(), quota: Quota::UsdPerDay { max_nano: max.parse().ok()? } })
    };
    text.split(' ').map(counter).collect()
}

pub(super) fn parse(name: &str) -> Option<(Scope, String)> {
    let (scope, subject) = name.split_once(':')?;
    let known = [Scope::User, Scope::Key, Scope::Team, Scope::Global];
    Some((known.into_iter().find(|known| known.as_str() == scope)?, decode(subject)?))
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

    proptest! {
        #[test]
        fn any_subject_survives_its_name_and_the_name_holds_no_separator(subject in ".*") {
            let bind = Bind { scope: Scope::User, subject: subject.as_str().into(), quota: Quota::UsdPerDay { max_nano: 1 } };
            let name = of(&bind);
            let separated = name["user:".len()..].contains([':', '=', ' ', '{', '}']);
            prop_assert!(!separated, "{}", name);
            prop_assert_eq!(parse(&name), Some((Scope::User, subject)));
        }
    }

    #[test]
    fn the_counters_of_a_hold_are_read_back() {
        let binds = counters("user:a%40b.c=5 global:=7").expect("reads");
        let seen: Vec<_> = binds.iter().map(|b| (b.scope, b.subject.to_string())).collect();
        assert_eq!(seen, [(Scope::User, "a@b.c".to_owned()), (Scope::Global, String::new())]);
        assert_eq!(counters("user:a"), None);
    }
}
