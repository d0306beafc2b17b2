use std::sync::Arc;
use std::time::Duration;

use super::{KINDS, SMALL, env, read, read_with, sound};
use crate::config::{Aim, OnError, OverCap, StoreAt, UserFrom, load};
use crate::domain::limit::{Limit, Quota, Scope, Unit, Window};
use crate::domain::money::{NanoUsd, PicoUsdPerToken};

#[test]
fn the_shortest_config_has_every_default() {
    let config = sound(SMALL);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.drain, config.timeouts.total);
    assert_eq!(config.timeouts.total, Duration::from_secs(600));
    assert_eq!((config.request.over_cap, config.request.max_tokens), (OverCap::Deny, 4_096));
    assert_eq!(config.tier(config.default_tier).targets[0].name.as_ref(), "one/small");
    assert_eq!(config.providers[0].base_url, "https://api.alpha.example/v1");
    assert!(config.providers[0].default_base_url && config.keys.is_empty() && config.warnings.is_empty());
}

#[test]
fn tiers_keep_the_order_of_the_file_and_their_targets_the_order_of_trial() {
    let config =
        sound(&format!("{SMALL}  b: {{ primary: one/x, fallback: [one/y, one/z] }}\n  a: {{ primary: one/org/x }}\n"));
    let names: Vec<_> = config.tiers.iter().map(|tier| &*tier.name).collect();
    assert_eq!(names, ["simple", "b", "a"]);
    let targets: Vec<_> = config.tiers[1].targets.iter().map(|target| &*target.name).collect();
    assert_eq!(targets, ["one/x", "one/y", "one/z"]);
    assert_eq!(&*config.tiers[2].targets[0].model, "org/x");
}

#[test]
fn money_is_read_from_its_text_and_never_through_a_float() {
    let config = sound(&format!(
        "{SMALL}request: {{ cost_cap_usd: 0.050000001 }}\nprices: {{ one/x: {{ input: 2.50, output: 1e1, cache_read: 0.025001 }} }}\n"
    ));
    assert_eq!(config.request.cost_cap, Some(NanoUsd::new(50_000_001)));
    let price = config.prices["one/x"];
    assert_eq!((price.input, price.output), (PicoUsdPerToken::new(2_500_000), PicoUsdPerToken::new(10_000_000)));
    assert_eq!((price.cache_read, price.cache_write_1h), (PicoUsdPerToken::new(25_001), price.input));
}

#[test]
fn a_key_is_found_by_its_hash_and_knows_everything_that_binds_it() {
    let text = format!("{SMALL}limits: [{{ scope: user, usd: 5, per: day }}]\nkeys:
  - {{ name: web, sha256: {}, team: product, user_from: header, tiers: [simple], models: [one/gpt-*], cors: [https://App.example], limits: [{{ scope: key, requests: 10, per: 1m }}] }}
  - {{ name: plain, sha256: {} }}
", "AB".repeat(32), "cd".repeat(32));
    let config = sound(&text);
    let key = config.keys.find(&[0xab; 32]).expect("known");
    assert_eq!((&*key.name, &*key.team, key.user_from), ("web", "product", UserFrom::Header));
    assert_eq!(key.cors, ["https://app.example"]);
    assert!(key.may_use_tier(config.default_tier) && key.may_name("one/gpt-x") && !key.may_name("one/x"));
    let usd = Limit::new(Scope::User, Quota { unit: Unit::Usd, max: 5_000_000_000, window: Window::DAY });
    let minute = Window::Sliding { ms: 60_000 };
    let rate = Limit::new(Scope::Key, Quota { unit: Unit::Requests, max: 10, window: minute });
    assert_eq!(*key.limits, [usd, rate]);
    let plain = config.keys.find(&[0xcd; 32]).expect("known");
    assert!(Arc::ptr_eq(&plain.limits, &config.limits) && !plain.may_name("one/x"));
    assert!(config.keys.find(&[0; 32]).is_none());
}

#[test]
fn a_limit_counts_anything_over_any_window_for_anyone_and_is_printed_as_it_was_written() {
    let limits = "limits:
- {scope: user, usd: '5', per: day}
- {scope: team, usd: '200', per: month, tz: Europe/Berlin}
- {scope: model, tokens: 200000, per: 1m}
- {scope: provider, requests: 1000, per: hour}
- {scope: tier, usd: '0.5', per: 24h}
- {scope: key, concurrent: 20}
- {scope: metadata.feature, requests: 9, per: 90s}
- {scope: global, usd: '6', per: day, on_store_error: local_share}
- {scope: global, usd: '6', per: day, tz: Asia/Tokyo}
";
    let config = sound(&format!("{SMALL}{limits}"));
    let seen: Vec<_> = config.limits.iter().map(|l| (l.scope.to_string(), l.quota.window.to_string())).collect();
    let seen: Vec<_> = seen.iter().map(|(scope, window)| (scope.as_str(), window.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("user", "day"),
            ("team", "month@Europe/Berlin"),
            ("model", "1m"),
            ("provider", "hour"),
            ("tier", "1d"),
            ("key", "open"),
            ("metadata.feature", "90s"),
            ("global", "day"),
            ("global", "day@Asia/Tokyo"),
        ]
    );
    let printed = config.effective_yaml();
    let again = sound(&printed.replace("store: '***'", "store: sqlite:x.db"));
    assert_eq!(again.limits, config.limits, "{printed}");
}

#[test]
fn a_key_may_have_guards_of_its_own_and_keeps_those_it_does_not_name() {
    let (off, own, none) = ("ab".repeat(32), "cd".repeat(32), "ef".repeat(32));
    let text = format!(
        "{SMALL}guards: {{ loop: {{ same: 20, in: 60s }}, usd_per_hour: {{ user: 2, global: 50 }} }}
keys:
  - {{ name: off, sha256: {off}, guards: {{ loop: off }} }}
  - {{ name: own, sha256: {own}, guards: {{ loop: {{ same: 5, in: 1m }}, usd_per_hour: 1 }}, limits: [{{ scope: key, usd: 1, per: 1h }}] }}
  - {{ name: none, sha256: {none} }}
"
    );
    let config = sound(&text);
    let of = |byte| {
        let key = config.keys.find(&[byte; 32]).expect("known");
        let show = |l: &Limit| format!("{} {} {}/{}", l.scope, l.quota.unit, l.quota.max, l.quota.window);
        key.limits.iter().map(show).collect::<Vec<_>>()
    };
    let (user, global) = ("user spendrate 2000000000/1h", "global spendrate 50000000000/1h");
    assert_eq!(of(0xef), ["user identical 20/1m", user, global]);
    assert_eq!(of(0xab), [user, global]);
    assert_eq!(of(0xcd), [global, "user identical 5/1m", "user spendrate 1000000000/1h", "key usd 1000000000/1h"]);
    let printed = config.effective_yaml();
    let again = sound(&printed);
    for byte in [0xab, 0xcd, 0xef] {
        let (one, other) = (config.keys.find(&[byte; 32]), again.keys.find(&[byte; 32]));
        let sorted = |key: Option<&Arc<crate::config::Key>>| {
            let mut limits = key.expect("known").limits.to_vec();
            limits.sort();
            limits
        };
        assert_eq!(sorted(one), sorted(other), "{printed}");
    }
}

#[test]
fn aliases_lead_to_tiers_and_targets() {
    let config = sound(&format!("{SMALL}aliases: {{ gpt-4.1: simple, old: one/large }}\n"));
    assert!(matches!(config.aliases["gpt-4.1"], Aim::Tier(id) if id == config.default_tier));
    assert!(matches!(&config.aliases["old"], Aim::Target(target) if &*target.name == "one/large"));
    assert_eq!(config.target("one/a/b").map(|target| target.model.to_string()), Some("a/b".to_owned()));
    assert!(config.target("two/x").is_none() && config.target("one/").is_none());
}

#[test]
fn secrets_come_from_variables_and_files_and_are_never_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "from-file\n").expect("written");
    let file = folder.path().join("config.yaml");
    let text = SMALL.replace("{ kind: alpha }", "{ kind: alpha, api_key: \"${ONE_KEY}\" }");
    std::fs::write(&file, format!("{text}server: {{ admin_token: \"file:token\" }}\nstore: \"${{REDIS}}\"\n"))
        .expect("written");
    let variables = env(&[("ONE_KEY", "from-env"), ("REDIS", "rediss://:pw@cache.example")]);
    let config = load(&file, &variables, KINDS).expect("sound");
    assert_eq!(config.providers[0].api_keys.first().map(|key| key.secret.expose()), Some("from-env"));
    assert_eq!(config.server.admin_token.as_ref().map(|token| token.expose()), Some("from-file"));
    assert_eq!(config.files(), [file, folder.path().join("token")]);
    let printed = format!("{config:?}{}", config.effective_yaml());
    for secret in ["from-env", "from-file", ":pw@"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn a_variable_that_is_not_set_is_a_warning() {
    let config = sound(
        &SMALL.replace("{ kind: alpha }", "{ kind: beta, base_url: http://api.example/v1/, api_key: \"${NO_SUCH}\" }"),
    );
    assert!(config.providers[0].api_keys.is_empty());
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "config.yaml:2:32: providers.one.base_url: keys and prompts go there unencrypted; use https:// unless the network is yours",
            "config.yaml:2:65: providers.one.api_key: the environment variable NO_SUCH is not set",
        ]
    );
    assert!(!config.providers[0].default_base_url);
}

#[test]
fn of_several_keys_those_whose_variable_is_not_set_are_left_out_and_warned_of() {
    let text = SMALL.replace("{ kind: alpha }", "{ kind: alpha, api_keys: [\"${A}\", \"${NO_SUCH}\", \"${C}\"] }");
    let config = read_with(&text, &[("A", "first-secret"), ("C", "third-secret")]).expect("sound");
    let keys: Vec<_> = config.providers[0].api_keys.iter().map(|key| (key.position, key.secret.expose())).collect();
    assert_eq!(keys, [(1, "first-secret"), (3, "third-secret")]);
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["config.yaml:2:42: providers.one.api_keys[1]: the environment variable NO_SUCH is not set"]);
    let printed = format!("{config:?}{}", config.effective_yaml());
    assert!(!printed.contains("-secret") && printed.contains("api_keys:"), "{printed}");
}

#[test]
fn a_tier_may_have_what_users_say_judged() {
    let judged = |more: &str| {
        let moderation = format!("primary: one/small, moderation: {{ provider: one, model: judge{more} }}");
        let config = sound(&SMALL.replace("primary: one/small", &moderation));
        let moderation = config.tier(config.default_tier).moderation.clone().expect("is set");
        assert_eq!(&*moderation.target.name, "one/judge");
        assert_eq!(sound(&config.effective_yaml()).effective_yaml(), config.effective_yaml());
        (moderation.on_error, moderation.timeout)
    };
    assert_eq!(judged(""), (OnError::Deny, Duration::from_secs(2)));
    assert_eq!(judged(", on_error: allow, timeout: 500ms"), (OnError::Allow, Duration::from_millis(500)));
}

#[test]
fn a_provider_may_take_its_key_in_another_header_and_want_a_version() {
    let one = "one: { kind: alpha, key_header: api-key, api_version: \"2024-10-21\" }";
    let provider = &sound(&SMALL.replace("one: { kind: alpha }", one)).providers[0];
    assert_eq!((provider.key_header, provider.api_version.as_deref()), (Some("api-key"), Some("2024-10-21")));
}

#[test]
fn the_vendor_is_asked_in_its_second_format_and_a_copy_of_it_only_where_config_says_so() {
    let responses = |rest: &str| {
        let one = format!("one: {{ kind: {rest} }}");
        sound(&SMALL.replace("one: { kind: alpha }", &one)).providers[0].responses
    };
    assert!(responses("alpha") && responses("alpha, base_url: \"http://127.0.0.1:1/v1\", responses: true"));
    assert!(!responses("alpha, responses: false") && !responses("alpha, base_url: \"http://127.0.0.1:1/v1\""));
    assert!(!responses("beta, base_url: \"http://127.0.0.1:1/v1\""));
}

#[test]
fn the_environment_overrides_the_file() {
    let variables = [
        ("HEADGATE_SERVER__LISTEN", "127.0.0.1:1"),
        ("HEADGATE_STORE", "redis://:pw@127.0.0.1"),
        ("HEADGATE_TIERS__SIMPLE__MAX_TOKENS", "7"),
        ("HEADGATE_LIMITS", "[{scope: user, usd: 1, per: day}]"),
        ("HEADGATE_PROVIDERS__ONE__API_KEY", "literal"),
        ("HEADGATE_ADMIN_TOKEN", "the operator's own"),
        ("HEADGATE_BREAKER__OPEN", ""),
        ("PATH", "/bin"),
    ];
    let config =
        read_with(&format!("{SMALL}server: {{ listen: 127.0.0.1:9, max_body: 1MiB }}\n"), &variables).expect("sound");
    assert_eq!((config.server.listen.port(), config.server.max_body_bytes), (1, 1 << 20));
    assert!(matches!(&config.store, StoreAt::Redis { url, .. } if url.expose() == "redis://:pw@127.0.0.1"));
    assert_eq!(config.tier(config.default_tier).max_tokens, 7);
    assert_eq!(config.limits.len(), 1);
    assert!(config.providers[0].api_keys.len() == 1 && config.warnings.is_empty());
}

#[test]
fn a_misspelt_variable_is_a_warning() {
    let config = read_with(SMALL, &[("HEADGATE_DEFAULT_TEIR", "x")]).expect("sound");
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment variable HEADGATE_DEFAULT_TEIR: default_teir: not a setting, so it changes nothing; did you mean HEADGATE_DEFAULT_TIER?"
        ]
    );
}

#[test]
fn the_effective_config_is_a_config_that_means_the_same() {
    let full = format!(
        "{SMALL}  hard: {{ primary: one/a, fallback: one/b, cost_cap_usd: 0.10 }}
aliases: {{ x: simple }}
prices: {{ one/small: {{ input: 0.15, output: 0.6 }} }}
limits: [{{ scope: user, usd: 5, per: day }}]
keys: [{{ name: web, sha256: {}, limits: [{{ scope: key, requests: 10, per: 1m }}] }}]
server: {{ hosts: [Gate.example], drain: 90s }}
",
        "ab".repeat(32)
    );
    let first = sound(&full).effective_yaml();
    assert_eq!(sound(&first).effective_yaml(), first);
    assert!(first.contains("cost_cap_usd: '0.1'") && first.contains("drain: 90s"), "{first}");
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = sound(
        &SMALL.replace("  simple: {", "  base: &base { primary: one/small, max_tokens: 9 }\n  simple: { <<: *base,"),
    );
    assert_eq!(config.tier(config.default_tier).max_tokens, 9);
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let old = sound(SMALL);
    let new =
        sound(&format!("{SMALL}server: {{ listen: 127.0.0.1:1 }}\nstore: sqlite:other.db\ntimeouts: {{ idle: 1s }}\n"));
    assert_eq!(old.needs_restart(&new), ["server.listen", "store"]);
    assert!(old.needs_restart(&old.clone()).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nowhere.yaml");
    let problems = load(&path, &env(&[]), KINDS).expect_err("missing");
    assert_eq!(problems.0.len(), 1);
    assert!(problems.to_string().contains("create it, or name another one with --config FILE"));
}

#[test]
fn ten_thousand_keys_are_read() {
    let mut text = format!("{SMALL}keys:\n");
    for n in 0..10_000 {
        text.push_str(&format!(
            "  - {{ name: k{n}, sha256: {n:064x}, team: t, user_from: header, tiers: [simple] }}\n"
        ));
    }
    let config = read(&text).expect("sound");
    assert_eq!(config.keys.iter().count(), 10_000);
}
