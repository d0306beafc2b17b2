//! Rates that are most likely written in another unit: per token, per thousand tokens, or in fractions of a cent.

use super::read::Field;
use crate::domain::money::PicoUsdPerToken;

/// What models of today cost, with room on both sides: $0.01 to $1,000 per million tokens. Dearer or cheaper ones exist
/// as rates of caches, seldom as prices.
const USUAL: std::ops::RangeInclusive<u128> = 10_000..=1_000_000_000;

/// Above $10,000 or below $0.001 per million tokens no model has ever been offered, but the same number is a usual
/// price in another unit.
const TOO_MUCH: u64 = 10_000_000_000;
const TOO_LITTLE: u64 = 1_000;

/// How far two rates of one model may lie apart before one of them is in another unit. Real ones: output is 1 to 10
/// times the input, a cache read down to a fortieth of it.
const APART: u64 = 500;

/// A rate as config writes it, in pico-dollars per token; 0 is a price. None where it can't be read, or can't be meant:
/// both are told.
pub(super) fn rate(field: &Field<'_>) -> Option<PicoUsdPerToken> {
    let text = field.text()?;
    if let (Err(_), Ok(per_token)) =
        (PicoUsdPerToken::from_usd_per_million(text), PicoUsdPerToken::from_usd_per_token(text))
    {
        let guess = per_token.to_string();
        field.problem(format!("\"{text}\" is too small for a million tokens{}", probably(&[("one token", guess)])));
        return None;
    }
    field.price()
}

/// Tells of an input or output rate that is no price per million tokens. True when it may be one.
pub(super) fn check_size(field: &Field<'_>, rate: PicoUsdPerToken) -> bool {
    let pico = u128::from(rate.get());
    let guesses: &[(&str, u128, u128)] = match rate.get() {
        1..TOO_LITTLE => &[("one token", 1_000_000, 1), ("a thousand tokens", 1_000, 1)],
        rate if rate > TOO_MUCH => {
            &[("a million tokens in micro-dollars", 1, 1_000_000), ("a billion tokens", 1, 1_000)]
        }
        _ => return true,
    };
    let meant = |(unit, times, by): &(&'static str, u128, u128)| {
        let pico = Some(pico * times / by).filter(|pico| USUAL.contains(pico))?;
        Some((*unit, PicoUsdPerToken::new(u64::try_from(pico).ok()?).to_string()))
    };
    let guesses: Vec<_> = guesses.iter().filter_map(meant).collect();
    let size = if rate.get() > TOO_MUCH { "much" } else { "little" };
    field.problem(format!("{rate} dollars is too {size} for a million tokens{}", probably(&guesses)));
    false
}

/// Tells of a rate that has another unit than the model's input. True when both may have the same.
pub(super) fn check_beside(field: &Field<'_>, rate: PicoUsdPerToken, input: Option<PicoUsdPerToken>) -> bool {
    let Some(input) = input.filter(|input| input.get() > 0 && rate.get() > 0) else { return true };
    let apart = rate.get() / APART >= input.get() || input.get() / APART >= rate.get();
    if apart {
        field.problem(format!(
            "{rate} dollars can't stand beside an input of {input}: one of them is in another unit; write both for a \
             million tokens"
        ));
    }
    !apart
}

/// `; if it is for one token write 2.5, if it is for ... write ...`
fn probably(guesses: &[(&str, String)]) -> String {
    let meant: Vec<String> =
        guesses.iter().map(|(unit, value)| format!("if it is the price of {unit} write {value}")).collect();
    match meant.is_empty() {
        true => "; write dollars per million tokens such as 2.50, 0 if it is free".to_owned(),
        false => format!("; {}", meant.join(", ")),
    }
}
