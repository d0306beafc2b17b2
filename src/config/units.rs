//! Values that carry their unit: durations and sizes.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// `500ms`, `3s`, `10m`, `1h`, `7d`. The error says what to write.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, &DURATIONS, "a duration", "3s").map(Duration::from_millis)
}

/// `512B`, `64KiB`, `32MiB`, `1GiB`, in bytes. The error says what to write.
pub(super) fn size_bytes(text: &str) -> Result<u64, String> {
    scaled(text, &SIZES, "a size", "32MiB")
}

/// The same duration as [`duration`] reads, in its largest whole unit.
pub(super) fn print_duration(value: Duration) -> String {
    let ms = value.as_millis();
    let (unit, factor) =
        DURATIONS.iter().rev().find(|(_, factor)| ms.is_multiple_of(u128::from(*factor))).unwrap_or(&DURATIONS[0]);
    format!("{}{unit}", ms / u128::from(*factor))
}

/// The same size as [`size_bytes`] reads, in its largest whole unit.
pub(super) fn print_size(bytes: usize) -> String {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let fits = |unit: &&(&str, u64)| bytes.is_multiple_of(unit.1);
    let (unit, factor) = SIZES.iter().filter(fits).max_by_key(|unit| unit.1).unwrap_or(&SIZES[3]);
    format!("{}{unit}", bytes / factor)
}

fn scaled(text: &str, units: &[(&str, u64)], what: &str, example: &str) -> Result<u64, String> {
    let text = text.trim();
    let names = || units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(format!("is not {what}; write a whole number and a unit, such as {example} (units: {})", names()));
    }
    if unit.is_empty() {
        return Err(format!("has no unit; write it with one, such as {example} (units: {})", names()));
    }
    let Some((_, factor)) = units.iter().find(|(known, _)| *known == unit.trim_start()) else {
        let example = format!("write a whole number and a unit, such as {example}");
        return Err(format!("has an unknown unit; {example} (units: {})", names()));
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).ok_or_else(|| "is too large; lower it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_printed_in_its_unit() {
        for (text, ms) in [("500ms", 500), ("3s", 3_000), ("10m", 600_000), ("1h", 3_600_000), ("7d", 604_800_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
            assert_eq!(print_duration(Duration::from_millis(ms)), text);
        }
        assert_eq!(print_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn a_size_is_read_and_printed_in_its_unit() {
        for (text, bytes) in [("512B", 512), ("64KiB", 64 << 10), ("32MiB", 32 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(size_bytes(text), Ok(bytes));
            assert_eq!(print_size(usize::try_from(bytes).expect("fits")), text);
        }
    }

    #[test]
    fn a_number_without_a_known_unit_is_refused_with_the_units_that_exist() {
        assert_eq!(duration("30"), Err("has no unit; write it with one, such as 3s (units: ms, s, m, h, d)".into()));
        for wrong in ["", "s", "1.5s", "-3s", "3 parsecs", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["32MB", "32", "x", "99999999999999GiB"] {
            assert!(size_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
