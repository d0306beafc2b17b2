//! Token counts as providers write them.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// More tokens than any call can have; a larger number is a defect of whoever wrote it.
const ABSURD: u64 = 1_000_000_000;

/// A count that can be believed: whole, not negative, not absurd.
pub(super) fn count(value: &Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| {
        let float = value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..=ABSURD as f64).contains(f))?;
        Some(float as u64)
    })?;
    (number <= ABSURD).then_some(number)
}

/// An object that is only read, not passed on. A member that can't be read (a number beyond all bounds) is absent, instead
/// of making everything around it unreadable.
pub(super) fn readable(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        let read = |(name, raw): (String, &RawValue)| Some((name, serde_json::from_str::<Value>(raw.get()).ok()?));
        members.into_iter().filter_map(read).collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_member_that_can_not_be_read_does_not_hide_the_others() {
        let raw = RawValue::from_string(r#"{"a":1,"later":{"b":1e400}}"#.to_owned()).expect("JSON");
        assert_eq!(readable(&raw), json!({"a": 1}));
    }

    #[test]
    fn only_counts_that_can_be_believed_count() {
        assert_eq!([count(&json!(0)), count(&json!(12)), count(&json!(12.0))], [Some(0), Some(12), Some(12)]);
        for wrong in [json!(-1), json!(1.5), json!("12"), json!(null), json!(10_000_000_000u64), json!(1e300)] {
            assert_eq!(count(&wrong), None, "{wrong}");
        }
    }
}
