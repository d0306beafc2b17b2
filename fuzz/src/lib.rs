//! What the fuzz targets check. A target is a file of one line in `fuzz_targets/`, its `[[bin]]` in `Cargo.toml` and its
//! seeds in `run`.

#![allow(clippy::panic, reason = "a target reports what it finds by panicking")]

// The rooms under test alone, as links into `../src`: they do no I/O, and the crates around them would take a quarter of an
// hour to build.
pub mod dialects;
pub mod domain;
pub mod providers;

pub mod answers;
pub mod requests;
pub mod sse;

/// Hands every input to a check from this crate: `target!(answers::read("openai"))` calls `answers::read("openai", input)`.
#[macro_export]
macro_rules! target {
    ($room:ident :: $check:ident $(($($given:expr),*))?) => {
        use $crate::prelude::*;

        fuzz_target!(|input: &[u8]| $crate::$room::$check($($($given,)*)? input));
    };
}

/// What the line of a target may name.
pub mod prelude {
    pub use crate::dialects::{ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES, UI_MESSAGES};
    pub use libfuzzer_sys::fuzz_target;
}
