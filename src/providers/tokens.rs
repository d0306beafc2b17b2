//! Token counts as providers write them.

use serde_json::Value;

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_counts_that_can_be_believed_count() {
        assert_eq!([count(&json!(0)), count(&json!(12)), count(&json!(12.0))], [Some(0), Some(12), Some(12)]);
        for wrong in [json!(-1), json!(1.5), json!("12"), json!(null), json!(10_000_000_000u64), json!(1e300)] {
            assert_eq!(count(&wrong), None, "{wrong}");
        }
    }
}
