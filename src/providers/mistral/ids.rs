//! Ids of tool calls: nine letters or digits, nothing else.

use std::borrow::Cow;

const LENGTH: usize = 9;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Ids of other providers become nine characters of their hash: the same for the call, for its result, and in every
/// later turn.
pub(super) fn short(id: &str) -> Cow<'_, str> {
    if id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    // FNV-1a: std's hasher may change with the compiler, and a dialogue outlives a build.
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut short = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let digit = usize::try_from(hash % 62).unwrap_or_default();
        short.push(char::from(DIGITS[digit]));
        hash /= 62;
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn its_own_ids_stay_and_all_others_get_nine_characters_of_their_own() {
        assert_eq!(short("gSIMJiOkT"), "gSIMJiOkT");
        let others: HashSet<String> = (0..10_000).map(|at| short(&format!("call_{at}")).into_owned()).collect();
        assert_eq!(others.len(), 10_000);
        for id in ["", "call_0", "toolu_01ABC", "123456789é", "a b c d e"] {
            let short = short(id);
            assert!(short.len() == LENGTH && short.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}: {short}");
        }
    }
}
