use insta::assert_snapshot;

use super::{SMALL, complaint, read_with};

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let text = format!(
        "{SMALL}  hard: {{ primary: one/large, fallbak: one/small }}\ntimeout: {{ connect: 3s }}\nplugins: {{}}\n"
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:6:31: tiers.hard.fallbak: unknown key; did you mean "fallback"?
    config.yaml:7:1: timeout: unknown key; did you mean "timeouts"?
    config.yaml:8:1: plugins: unknown key; known: server, store, store_sync, store_durability, policies, keys, jwt, providers, default_tier, tiers, aliases, prices, limits, request, timeouts, retry, breaker, guards, background
    3 problems in the config
    "#);
}

#[test]
fn a_value_of_the_wrong_type_is_told_what_it_should_be() {
    let text = format!(
        "{SMALL}server: [8080]\nrequest: {{ max_tokens: many, over_cap: [deny] }}\nlimits: {{ usd: 5 }}\nretry: {{ attempts: 3.5 }}\n"
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:6:9: server: must be a map of keys: { key: value }, or indented lines `key: value`
    config.yaml:7:24: request.max_tokens: "many" is not a whole number from 1 to 10000000
    config.yaml:7:40: request.over_cap: must be a single value, not a list
    config.yaml:8:9: limits: must be a list: [a, b], or lines that start with `- `
    config.yaml:9:20: retry.attempts: "3.5" is not a whole number from 1 to 10
    5 problems in the config
    "#);
}

#[test]
fn several_keys_are_a_list_of_different_ones_that_stands_alone() {
    let with = |keys: &str| SMALL.replace("{ kind: alpha }", &format!("{{ kind: alpha, {keys} }}"));
    let variables = [("A", "key-topsecret"), ("B", "key-topsecret"), ("C", "another")];
    for (keys, told) in [
        ("api_keys: []", "api_keys: names no key; write [\"${FIRST_KEY}\", \"${SECOND_KEY}\"], or remove it"),
        ("api_keys: \"${A}\"", "api_keys: must be a list: [a, b], or lines that start with `- `"),
        ("api_key: \"${A}\", api_keys: [\"${C}\"]", "api_keys: stands beside api_key; write the one or the other"),
        (
            "api_keys: [\"${C}\", \"${A}\", \"${B}\"]",
            "api_keys[2]: is the same key as number 2 of this list; name each account once",
        ),
        ("api_keys: [\"${C}\", sk-topsecret]", "api_keys[1]: a secret must not be written into the file;"),
    ] {
        let problems = read_with(&with(keys), &variables).expect_err(keys);
        let said = problems.to_string();
        assert!(said.contains(told) && problems.0.len() == 1, "{keys}: {said}");
        assert!(!said.contains("topsecret"), "{said}");
    }
}

#[test]
fn a_moderation_names_a_provider_that_has_one() {
    let with = |moderation: &str| {
        SMALL.replace("primary: one/small", &format!("primary: one/small, moderation: {moderation}"))
    };
    let providers =
        |text: &str| text.replace("default_tier", "  two: { kind: beta, base_url: http://127.0.0.1:1 }\ndefault_tier");
    for (moderation, told) in [
        ("{ model: m }", "moderation.provider: is missing; name the account whose judge is asked"),
        ("{ provider: one }", "moderation.model: is missing; write the judge's"),
        ("{ provider: onne, model: m }", "moderation.provider: no provider is named \"onne\"; did you mean \"one\"?"),
        (
            "{ provider: two, model: m }",
            "moderation.provider: providers of kind beta have no moderation; name another one",
        ),
        (
            "{ provider: one, model: m, on_error: ignore }",
            "moderation.on_error: \"ignore\" is unknown here; write deny or allow",
        ),
        ("{ provider: one, model: m, timeout: 2m }", "moderation.timeout: must be 1m at most"),
    ] {
        let said = complaint(&providers(&with(moderation)));
        assert!(said.contains(told) && said.contains("1 problem"), "{moderation}: {said}");
    }
}

#[test]
fn a_number_without_a_unit_is_told_which_units_exist() {
    let text =
        format!("{SMALL}timeouts: {{ connect: 3, idle: 30 seconds, total: 0s }}\nserver: {{ max_body: 32MB }}\n");
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:6:22: timeouts.connect: "3" has no unit; write it with one, such as 3s (units: ms, s, m, h, d)
    config.yaml:6:31: timeouts.idle: "30 seconds" has an unknown unit; write a whole number and a unit, such as 3s (units: ms, s, m, h, d)
    config.yaml:6:50: timeouts.total: must be longer than 0
    config.yaml:7:21: server.max_body: "32MB" has an unknown unit; write a whole number and a unit, such as 32MiB (units: KiB, MiB, GiB, B)
    4 problems in the config
    "#);
}

#[test]
fn a_target_of_an_unknown_provider_gets_the_nearest_name() {
    let text = "\
providers:
  anthropic: { kind: alpha }
default_tier: complx
tiers:
  complex: { primary: anthropic/large, fallback: [antropic/large, anthropic/large, large] }
aliases: { old: simpel, complex: complex }
";
    assert_snapshot!(complaint(text), @r#"
    config.yaml:3:15: default_tier: no tier is named "complx"; did you mean "complex"?
    config.yaml:5:51: tiers.complex.fallback[0]: no provider is named "antropic"; did you mean "anthropic"?
    config.yaml:5:67: tiers.complex.fallback[1]: "anthropic/large" is already a target of this tier; name another one
    config.yaml:5:84: tiers.complex.fallback[2]: "large" names no model; write provider/model
    config.yaml:6:17: aliases.old: no tier is named "simpel"; known: complex
    config.yaml:6:25: aliases.complex: "complex" is already a tier; an alias needs a name of its own
    6 problems in the config
    "#);
}

#[test]
fn an_unknown_provider_kind_gets_the_nearest_one() {
    let text = SMALL
        .replace("{ kind: alpha }", "{ kind: aplha }")
        .replace("default", "  two: { kind: zzz }\n  three: { kind: beta }\ndefault");
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:2:16: providers.one.kind: no provider kind is named "aplha"; did you mean "alpha"?
    config.yaml:3:16: providers.two.kind: no provider kind is named "zzz"; known: alpha, beta
    config.yaml:4:3: providers.three.base_url: is missing; write the server's, such as http://127.0.0.1:11434/v1
    3 problems in the config
    "#);
}

#[test]
fn a_second_format_that_a_kind_does_not_have_is_refused() {
    let two = "one: { kind: alpha }\n  two: { kind: beta, base_url: \"http://127.0.0.1:1\", responses: true }";
    assert_snapshot!(complaint(&SMALL.replace("one: { kind: alpha }", two)), @r"
    config.yaml:3:65: providers.two.responses: providers of this kind have no second format; remove the key
    1 problem in the config
    ");
}

#[test]
fn what_is_missing_is_named_together_with_what_to_write() {
    assert_snapshot!(complaint("tiers:\n  simple: { max_tokens: 5 }\nkeys: [{ team: a }]\nlimits: [{ usd: 5 }]\n"), @r#"
    config.yaml:2:3: tiers.simple.primary: is missing; write the target that answers first: provider/model
    config.yaml:3:8: keys[0].name: is missing; give the key a name for logs and limits
    config.yaml:3:8: keys[0].sha256: is missing; write the SHA-256 of the key: printf %s "$KEY" | sha256sum
    config.yaml:4:10: limits[0].scope: is missing; say whose use is counted, such as user or global
    config.yaml:4:10: limits[0].per: is missing; write hour, day or month for the calendar's, or a length such as 1m for any stretch of it
    config.yaml: providers: is missing; name at least one account, such as main: { kind: alpha }
    config.yaml: default_tier: is missing; name the tier for requests that ask for no model
    7 problems in the config
    "#);
}

#[test]
fn a_key_given_twice_is_refused_where_it_stands_again() {
    assert_snapshot!(complaint(&format!("{SMALL}  simple: {{ primary: one/large }}\ndefault_tier: simple\n")), @r#"
    config.yaml:6:3: tiers.simple: this key is given twice; keep one of them
    config.yaml:7:1: default_tier: this key is given twice; keep one of them
    2 problems in the config
    "#);
}

#[test]
fn broken_yaml_is_shown_at_its_line() {
    assert_snapshot!(complaint(&SMALL.replace("{ kind: alpha }", "{ kind: alpha")), @r#"
    config.yaml:3:13: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'; check brackets, quotes and indentation here and on the line above
    1 problem in the config
    "#);
    assert_snapshot!(complaint(&format!("{SMALL}---\na: 1\n")), @r#"
    config.yaml:7:1: a config is one YAML document; remove this `---` and what follows
    1 problem in the config
    "#);
    assert_snapshot!(complaint(&format!("{SMALL}store: *missing\n")), @r#"
    config.yaml:6:8: this alias (`*name`) has no anchor (`&name`); define it above, or put quotes around the text
    1 problem in the config
    "#);
}

#[test]
fn an_alias_bomb_is_refused_before_it_fills_the_memory() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert_snapshot!(complaint(&bomb), @r#"
    config.yaml:4:38: the document grows too large once its aliases (`*name`) are expanded; write the values out
    1 problem in the config
    "#);
}

#[test]
fn negative_or_inexact_money_is_refused() {
    let text = format!(
        "{SMALL}request: {{ cost_cap_usd: -1 }}\nlimits:\n  - {{ scope: user, usd: 0, per: day }}\n  - {{ scope: global, usd: 0.00000000001, per: day }}\n  - {{ scope: team, usd: lots, per: month }}\nprices: {{ one/x: {{ input: 1, output: free }} }}\n"
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:6:26: request.cost_cap_usd: "-1" can't be used: money can't be negative; write dollars such as 0.05
    config.yaml:8:25: limits[0].usd: must be more than 0; remove the key for no limit
    config.yaml:9:27: limits[1].usd: "0.00000000001" can't be used: more digits behind the point than can be kept exactly; write dollars such as 0.05
    config.yaml:10:25: limits[2].usd: "lots" can't be used: not a decimal number of dollars such as 0.05; write dollars such as 0.05
    config.yaml:11:38: prices.one/x.output: "free" can't be used: not a decimal number of dollars such as 0.05; write dollars per million tokens such as 2.50
    5 problems in the config
    "#);
}

#[test]
fn a_price_in_another_unit_is_refused_with_what_it_probably_should_be() {
    let prices = [
        "one/token: { input: 0.0000025, output: 0.00001 }",
        "one/thousand: { input: 0.00015, output: 0.0006 }",
        "one/micro: { input: 2500000, output: 10000000 }",
        "one/cache: { input: 2.5, output: 10, cache_read: 0.00000025, cache_write: 0.0025, cache_write_1h: 5000 }",
        "one/tiny: { input: 0.000001, output: 1e-15 }",
        "one/free: { input: 0, output: 0 }",
        "one/dear: { input: 150, output: 600, cache_read: 1.5 }",
        "one/cheap: { input: 0.01, output: 0.01 }",
    ];
    let text = format!("{SMALL}prices:\n  {}\n", prices.join("\n  "));
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:7:23: prices.one/token.input: "0.0000025" is too small for a million tokens; if it is the price of one token write 2.5
    config.yaml:7:42: prices.one/token.output: 0.00001 dollars is too little for a million tokens; if it is the price of one token write 10, if it is the price of a thousand tokens write 0.01
    config.yaml:8:26: prices.one/thousand.input: 0.00015 dollars is too little for a million tokens; if it is the price of one token write 150, if it is the price of a thousand tokens write 0.15
    config.yaml:8:43: prices.one/thousand.output: 0.0006 dollars is too little for a million tokens; if it is the price of one token write 600, if it is the price of a thousand tokens write 0.6
    config.yaml:9:23: prices.one/micro.input: 2500000 dollars is too much for a million tokens; if it is the price of a million tokens in micro-dollars write 2.5
    config.yaml:9:40: prices.one/micro.output: 10000000 dollars is too much for a million tokens; if it is the price of a million tokens in micro-dollars write 10
    config.yaml:10:52: prices.one/cache.cache_read: "0.00000025" is too small for a million tokens; if it is the price of one token write 0.25
    config.yaml:10:77: prices.one/cache.cache_write: 0.0025 dollars can't stand beside an input of 2.5: one of them is in another unit; write both for a million tokens
    config.yaml:10:101: prices.one/cache.cache_write_1h: 5000 dollars can't stand beside an input of 2.5: one of them is in another unit; write both for a million tokens
    config.yaml:11:22: prices.one/tiny.input: 0.000001 dollars is too little for a million tokens; if it is the price of one token write 1
    config.yaml:11:40: prices.one/tiny.output: "1e-15" can't be used: more digits behind the point than can be kept exactly; write dollars per million tokens such as 2.50
    11 problems in the config
    "#);
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    let text = "\
server: { admin_token: topsecret }
store: redis://:topsecret@cache.example:6379
providers:
  one: { kind: alpha, api_key: sk-topsecret }
  two: { kind: alpha, base_url: \"https://me:topsecret@api.example\" }
keys: [{ name: web, sha256: topsecret }]
default_tier: simple
tiers: { simple: { primary: one/small } }
";
    let complaint = complaint(text);
    assert!(!complaint.contains("topsecret"));
    assert_snapshot!(complaint, @r#"
    config.yaml:1:24: server.admin_token: a secret must not be written into the file; put it into a variable and write "${NAME}", or file:PATH
    config.yaml:2:8: store: holds a password; put the whole URL into a variable and write "${REDIS_URL}"
    config.yaml:4:32: providers.one.api_key: a secret must not be written into the file; put it into a variable and write "${NAME}", or file:PATH
    config.yaml:5:33: providers.two.base_url: must be an http:// or https:// URL without credentials, query or fragment
    config.yaml:6:29: keys[0].sha256: must be the key's SHA-256 in 64 hex digits, never the key itself; printf %s "$KEY" | sha256sum prints it
    5 problems in the config
    "#);
}

#[test]
fn an_empty_file_is_not_a_config() {
    assert_snapshot!(complaint(""), @r#"
    config.yaml:1:1: the file is empty; start from the config.yaml that ships with headgate
    1 problem in the config
    "#);
    assert_snapshot!(complaint("# nothing yet\n"), @r#"
    config.yaml:1:1: the file is empty; start from the config.yaml that ships with headgate
    1 problem in the config
    "#);
    assert_snapshot!(complaint("just text"), @r#"
    config.yaml:1:1: a config is a map of keys such as `tiers:`; start from the config.yaml that ships with headgate
    1 problem in the config
    "#);
}

#[test]
fn limits_that_mean_nothing_are_refused_with_what_to_write() {
    let text = format!(
        "{SMALL}limits:
  - {{ scope: usr }}
  - {{ scope: metadata.a b, usd: 5, per: month }}
  - {{ scope: user, requests: 10, per: minute }}
  - {{ scope: user, tokens: 10, per: 2d }}
  - {{ scope: key, usd: 5, requests: 10, per: day }}
  - {{ scope: key, usd: 5, per: day, tz: Europe/Berlín }}
  - {{ scope: key, usd: 5, per: 1h, tz: UTC }}
  - {{ scope: key, concurrent: 5, per: day }}
  - {{ scope: key, concurrent: 0 }}
  - {{ scope: global, usd: 5, per: 24h }}
  - {{ scope: global, usd: 6, per: 1d }}
  - {{ scope: user, usd: 5, per: month, on_store_error: local_share }}
  - {{ scope: global, usd: 5, per: month, on_store_error: maybe }}
"
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:7:5: limits[0]: limits nothing; add usd: 5, per: day, or requests: 10, per: 1m, or concurrent: 4
    config.yaml:7:14: limits[0].scope: "usr" is unknown here; write user, key, team, tier, model, provider, global, or metadata.NAME
    config.yaml:8:14: limits[1].scope: "metadata.a b" is unknown here; behind metadata. stands a key of the request's metadata: letters, digits, _ and -, 64 at most
    config.yaml:9:39: limits[2].per: "minute" is unknown here; write hour, day or month for the calendar's, or a length such as 1m for any stretch of it
    config.yaml:10:37: limits[3].per: must be 1d at most
    config.yaml:11:5: limits[4]: limits several things at once; make an entry of each
    config.yaml:12:41: limits[5].tz: "Europe/Berlín" is no time zone; write a name such as Europe/Berlin or UTC
    config.yaml:13:36: limits[6].tz: a stretch of time has no time zone; remove it, or write per: hour, day or month
    config.yaml:14:34: limits[7].per: concurrent runs have no window; remove the key
    config.yaml:15:31: limits[8].concurrent: "0" is not a whole number from 1 to 9007199254740992
    config.yaml:17:5: limits[10]: an earlier entry limits the same thing over the same time; keep one of them
    config.yaml:18:56: limits[11].on_store_error: only usd or tokens per hour, day or month, of the scopes global, tier, model and provider, can be shared out; write deny or allow
    config.yaml:19:58: limits[12].on_store_error: "maybe" is unknown here; write deny, allow or local_share
    13 problems in the config
    "#);
}

#[test]
fn guards_that_guard_nothing_are_refused() {
    let text = format!(
        "{SMALL}guards: {{ loop: {{ same: 0 }}, usd_per_hour: {{ team: 5, user: 0 }} }}\nkeys: [{{ name: a, sha256: {}, guards: {{ loop: no, usd_per_hour: lots }} }}]\n",
        "ab".repeat(32)
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:6:11: guards.loop.in: is missing; write the time in which they count, such as in: 60s
    config.yaml:6:25: guards.loop.same: "0" is not a whole number from 1 to 1000
    config.yaml:6:46: guards.usd_per_hour.team: unknown key; known: user, key, tier, global
    config.yaml:6:61: guards.usd_per_hour.user: must be more than 0; remove the key for no limit
    config.yaml:7:109: keys[0].guards.loop: write off, or how many equal requests are a loop: { same: 20, in: 60s }
    config.yaml:7:127: keys[0].guards.usd_per_hour: "lots" can't be used: not a decimal number of dollars such as 0.05; write dollars such as 0.05
    6 problems in the config
    "#);
}

#[test]
fn keys_are_checked_one_by_one() {
    let text = format!(
        "{SMALL}keys:
  - {{ name: a, sha256: {one}, user_from: page, tiers: [simpel], models: [two/x, one], cors: [\"https://a.example/\"] }}
  - {{ name: a, sha256: {one}, tiers: [] }}
  - {{ name: b, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }}
",
        one = "ab".repeat(32)
    );
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:7:101: keys[0].user_from: "page" is unknown here; write none or header or jwt
    config.yaml:7:115: keys[0].tiers[0]: no tier is named "simpel"; did you mean "simple"?
    config.yaml:7:133: keys[0].models[0]: no provider is named "two"; known: one
    config.yaml:7:140: keys[0].models[1]: write provider/model, provider/* or *
    config.yaml:7:153: keys[0].cors[0]: must be an origin as browsers send it: https://app.example, without path or slash at the end
    config.yaml:8:13: keys[1].name: another key is already named "a"; rename one
    config.yaml:8:24: keys[1].sha256: another entry has the same key; each entry needs a key of its own
    config.yaml:8:97: keys[1].tiers: allows no tier at all; name some, or remove the key to allow every tier
    config.yaml:9:24: keys[2].sha256: this is the hash of an empty text; set the variable and run printf %s "$KEY" | sha256sum again
    9 problems in the config
    "#);
}

#[test]
fn without_keys_only_loopback_is_served() {
    assert_snapshot!(complaint(&format!("{SMALL}server: {{ listen: 0.0.0.0:8080 }}\n")), @r#"
    config.yaml:6:19: server.listen: without `keys:` anyone could spend your money; add keys, or listen on 127.0.0.1
    1 problem in the config
    "#);
}

#[test]
fn files_that_a_config_names_must_exist() {
    let text = format!("{SMALL}policies: {{ admission: nowhere.lua }}\n")
        .replace("{ kind: alpha }", "{ kind: alpha, api_key: \"file:nowhere\" }");
    assert_snapshot!(complaint(&text), @r#"
    config.yaml:2:32: providers.one.api_key: can't read nowhere: No such file or directory (os error 2); create it or correct the path
    config.yaml:6:24: policies.admission: there is no file nowhere.lua; create it or correct the path
    2 problems in the config
    "#);
}

#[test]
fn a_problem_in_a_variable_names_the_variable() {
    let variables = [
        ("HEADGATE_SERVER__LISTEN", "8080"),
        ("HEADGATE_SERVER__LISTN", "127.0.0.1:1"),
        ("HEADGATE_LIMITS", "[{scope: user, usd: no, per: day}]"),
        ("HEADGATE_ALIASES", "{a: [}"),
    ];
    let problems = read_with(SMALL, &variables).expect_err("broken").to_string();
    assert_snapshot!(problems, @r#"
    environment variable HEADGATE_ALIASES: aliases: not valid YAML; check brackets and quotes, or write it without [ ] and { }
    environment variable HEADGATE_SERVER__LISTN: server.listn: unknown key; did you mean "listen"?
    environment variable HEADGATE_SERVER__LISTEN: server.listen: "8080" is not an address such as 127.0.0.1:8080
    environment variable HEADGATE_LIMITS: limits[0].usd: "no" can't be used: not a decimal number of dollars such as 0.05; write dollars such as 0.05
    4 problems in the config
    "#);
}

#[test]
fn no_shape_of_a_misplaced_secret_is_repeated() {
    for api_key in [
        "!!int topsecret",
        "!!float topsecret",
        "!!bool topsecret",
        "!!null topsecret",
        "!x topsecret",
        "!!binary topsecret",
        "[topsecret]",
        "{ topsecret: 1 }",
        "\"${topsecret}\" x",
        "*topsecret",
        "${topsecret-1}",
        "!!timestamp topsecret",
    ] {
        let text = SMALL.replace("{ kind: alpha }", &format!("{{ kind: alpha, api_key: {api_key} }}"));
        let said = match read_with(&text, &[]) {
            Ok(config) => format!("{:?}", config.warnings),
            Err(problems) => problems.to_string(),
        };
        assert!(!said.contains("topsecret"), "{api_key}: {said}");
    }
}

#[test]
fn a_variable_with_a_strange_name_is_a_problem_and_nothing_worse() {
    for name in ["HEADGATE_SERVER____LISTEN", "HEADGATE___X", "HEADGATE_SERVER__"] {
        let problems = read_with(SMALL, &[(name, "x")]).expect_err(name);
        assert!(problems.0[0].file.contains(name), "{problems}");
    }
}
