//! Money as integers: nano-dollars for amounts, pico-dollars per token for prices.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Nano-dollars in one dollar.
pub const NANO_PER_USD: u64 = 1_000_000_000;

/// The largest amount a limit may name: Redis scripts count in doubles, exact up to 2^53.
pub const MAX_NANO: u64 = 1 << 53;

/// An amount of money in nano-dollars (10^-9 USD). Never negative, never a float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(u64);

impl NanoUsd {
    pub const ZERO: NanoUsd = NanoUsd(0);

    pub const fn new(nano: u64) -> Self {
        NanoUsd(nano)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// Sums never wrap: an amount that would is clamped to the largest one, which no limit admits.
    pub const fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }

    pub const fn saturating_sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }
}

/// Exact decimal dollars without trailing zeros: `0.0125`, `5`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / NANO_PER_USD, self.0 % NANO_PER_USD);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoneyError {
    NotADecimal,
    Negative,
    TooPrecise,
    TooLarge,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoneyError::NotADecimal => "not a decimal number of dollars such as 0.05",
            MoneyError::Negative => "money can't be negative",
            MoneyError::TooPrecise => "more digits behind the point than can be kept exactly",
            MoneyError::TooLarge => "larger than this gateway can count exactly (about $9,007,199)",
        })
    }
}

impl std::error::Error for MoneyError {}

/// Reads exact decimal dollars: `5`, `0.05`, `1e-3`. Nothing is rounded: a digit below a nano-dollar is an error.
impl FromStr for NanoUsd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let nano = parse_scaled(text, 9)?;
        if nano > MAX_NANO {
            return Err(MoneyError::TooLarge);
        }
        Ok(NanoUsd(nano))
    }
}

/// Reads a plain decimal as an integer scaled by `10^scale`, exactly.
fn parse_scaled(text: &str, scale: i32) -> Result<u64, MoneyError> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(MoneyError::Negative);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| MoneyError::NotADecimal)?),
        None => (text, 0),
    };
    if exponent.abs() > 30 {
        return Err(if exponent > 0 { MoneyError::TooLarge } else { MoneyError::TooPrecise });
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(MoneyError::NotADecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    let mut value: u64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value =
            value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))).ok_or(MoneyError::TooLarge)?;
    }
    let shift = scale + exponent - i32::try_from(fraction.len()).map_err(|_| MoneyError::TooPrecise)?;
    if value == 0 {
        return Ok(0);
    }
    if shift >= 0 {
        let factor = 10u64.checked_pow(shift.unsigned_abs()).ok_or(MoneyError::TooLarge)?;
        return value.checked_mul(factor).ok_or(MoneyError::TooLarge);
    }
    let factor = 10u64.checked_pow(shift.unsigned_abs()).ok_or(MoneyError::TooPrecise)?;
    if !value.is_multiple_of(factor) {
        return Err(MoneyError::TooPrecise);
    }
    Ok(value / factor)
}

/// Pico-dollars per token, which is the same number as micro-dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsdPerToken(u64);

impl PicoUsdPerToken {
    pub const ZERO: PicoUsdPerToken = PicoUsdPerToken(0);

    pub const fn new(pico: u64) -> Self {
        PicoUsdPerToken(pico)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads decimal dollars per million tokens, as price lists print them: `2.50`, `0.15`.
    pub fn from_usd_per_million(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, 6).map(PicoUsdPerToken)
    }

    /// Reads decimal dollars per token, as some lists print them: `0.0000025`.
    pub fn from_usd_per_token(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, 12).map(PicoUsdPerToken)
    }
}

/// Dollars per million tokens.
impl fmt::Display for PicoUsdPerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NanoUsd(self.0.saturating_mul(1_000)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_or_not_at_all() {
        assert_eq!("0.05".parse(), Ok(NanoUsd(50_000_000)));
        assert_eq!("5".parse(), Ok(NanoUsd(5 * NANO_PER_USD)));
        assert_eq!("1e-9".parse(), Ok(NanoUsd(1)));
        assert_eq!("0.10000000000000000".parse(), Ok(NanoUsd(100_000_000)));
        assert_eq!("1e-10".parse::<NanoUsd>(), Err(MoneyError::TooPrecise));
        assert_eq!("-1".parse::<NanoUsd>(), Err(MoneyError::Negative));
        assert_eq!("1e30".parse::<NanoUsd>(), Err(MoneyError::TooLarge));
        assert_eq!("five".parse::<NanoUsd>(), Err(MoneyError::NotADecimal));
        assert_eq!(".".parse::<NanoUsd>(), Err(MoneyError::NotADecimal));
    }

    #[test]
    fn amounts_are_printed_as_exact_decimals() {
        assert_eq!(NanoUsd(12_500_000).to_string(), "0.0125");
        assert_eq!(NanoUsd(3 * NANO_PER_USD).to_string(), "3");
        assert_eq!(PicoUsdPerToken::from_usd_per_million("2.50").map(|p| p.to_string()), Ok("2.5".into()));
    }
}
