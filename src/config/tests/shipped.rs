use std::path::Path;

use super::{SMALL, env, sound};
use crate::config::{Config, KnownKind, load};

fn shipped() -> Config {
    let kinds = ["openai", "anthropic"].map(|name| KnownKind {
        name,
        default_base_url: Some("https://api.example"),
        catalogue: Some(name),
        moderates: true,
        responses: name == "openai",
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml");
    load(&path, &env(&[]), &kinds).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_shipped_file_is_sound_without_any_variable_set() {
    let config = shipped();
    let warned: Vec<_> = config.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warned, ["server.admin_token", "providers.openai.api_key", "providers.anthropic.api_key"]);
}

#[test]
fn the_shipped_file_states_the_real_defaults() {
    let (shipped, bare) = (shipped(), sound(SMALL));
    assert_eq!(shipped.timeouts, bare.timeouts);
    assert_eq!(shipped.retry, bare.retry);
    assert_eq!(shipped.breaker, bare.breaker);
    assert_eq!(shipped.server.listen, bare.server.listen);
    assert_eq!(shipped.server.admin_listen, bare.server.admin_listen);
    assert_eq!(shipped.server.max_body_bytes, bare.server.max_body_bytes);
    assert_eq!(shipped.server.drain, bare.server.drain);
    assert_eq!(
        (shipped.request.over_cap, shipped.request.max_tokens),
        (bare.request.over_cap, bare.request.max_tokens)
    );
}

#[test]
fn the_shipped_file_shows_every_key_that_exists() {
    let text = include_str!("../../../config.yaml");
    let sources = [
        include_str!("../accounts.rs"),
        include_str!("../clocks.rs"),
        include_str!("../guards.rs"),
        include_str!("../jwt.rs"),
        include_str!("../keys.rs"),
        include_str!("../limits.rs"),
        include_str!("../parse.rs"),
        include_str!("../prices.rs"),
        include_str!("../providers.rs"),
        include_str!("../server.rs"),
        include_str!("../tiers.rs"),
    ];
    // Known keys are the only lists of plain words in these files: `&["attempts", "max_wait"]`.
    let lists = sources.iter().flat_map(|source| source.split("&[").skip(1)).filter_map(|rest| rest.split(']').next());
    let words = lists.filter(|list| !list.starts_with('(')).flat_map(|list| list.split('"').skip(1).step_by(2));
    let keys: Vec<_> = words.collect();
    assert!(keys.len() > 50, "the lists of keys were not found");
    for key in keys {
        assert!(text.contains(&format!("{key}:")), "config.yaml does not show `{key}`");
    }
}
