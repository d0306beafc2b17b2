//! Broken configs and what is said about them; sound ones and what they mean.

mod broken;
mod shipped;
mod sound;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;

use super::{Config, KnownKind, Problems, parse};

const KINDS: &[KnownKind] = &[
    KnownKind {
        name: "alpha",
        default_base_url: Some("https://api.alpha.example/v1/"),
        catalogue: Some("alpha"),
        moderates: true,
        responses: true,
    },
    KnownKind { name: "beta", default_base_url: None, catalogue: None, moderates: false, responses: false },
];

/// The shortest config that is complete.
const SMALL: &str = "\
providers:
  one: { kind: alpha }
default_tier: simple
tiers:
  simple: { primary: one/small }
";

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &str) -> Result<Config, Problems> {
    read_with(text, &[])
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    parse(text, Path::new("config.yaml"), &env(variables), KINDS)
}

fn sound(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What an operator reads.
fn complaint(text: &str) -> String {
    read(text).expect_err("the config is broken").to_string()
}
