use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::domain::facts::PromptText;
use crate::domain::failure::{Category, Phase};
use crate::domain::money::NanoUsd;

fn facts() -> RequestFacts {
    RequestFacts {
        dialect: "openai_chat",
        model: "auto".to_owned(),
        tier: "complex".to_owned(),
        stream: true,
        message_count: 3,
        input_tokens: 1200,
        max_tokens: 4096,
        has_images: false,
        has_tools: true,
        key: "web".into(),
        team: "free".into(),
        user: "ann".into(),
        estimate_usd: NanoUsd::new(12_500_000),
        estimate_seconds: 7.5,
        metadata: BTreeMap::from([("project".to_owned(), "canal".to_owned())]),
        hour: 13,
        weekday: 5,
        generation: 2,
        text: PromptText(Arc::new(|| "Hello there".to_owned())),
    }
}

fn failure(status: u16) -> Failure {
    Failure {
        provider: "openai".to_owned(),
        kind: "openai",
        model: "m".to_owned(),
        phase: Phase::Status,
        status: Some(status),
        code: None,
        error_type: None,
        param: None,
        message: "no".to_owned(),
        retry_after: None,
        timeout: false,
        empty: false,
    }
}

fn source(file: &str, text: &str) -> Option<Source> {
    Some(Source { file: file.to_owned(), text: text.to_owned() })
}

fn admission_policy(text: &str) -> Policies {
    Policies::compile(PolicySources { admission: source("admission.lua", text), ..Default::default() })
        .expect("compiles")
}

fn admission(text: &str) -> Result<Admission, String> {
    admission_policy(text).admission(Arc::new(facts())).map_err(|failed| failed.reason)
}

fn errors_policy(text: &str) -> Policies {
    Policies::compile(PolicySources { errors: source("errors.lua", text), ..Default::default() }).expect("compiles")
}

fn reason(body: &str) -> String {
    admission(&format!("return function(request)\n{body}\nend")).expect_err("the policy fails")
}

#[test]
fn every_fact_of_a_request_is_there_under_its_name() {
    let text = r#"
        return function(request)
          local seen = {
            request.dialect, request.model, request.tier, tostring(request.stream), request.message_count,
            request.input_tokens, request.max_tokens, tostring(request.has_images), tostring(request.has_tools),
            request.key, request.team, request.user, request.estimate.usd, request.estimate.seconds,
            request.metadata.project, tostring(request.metadata.absent), request.hour, request.weekday,
            request.generation, request:text(),
          }
          return deny { message = table.concat(seen, " ", 1, 20) }
        end"#;
    let expected =
        "openai_chat auto complex true 3 1200 4096 false true web free ann 0.0125 7.5 canal nil 13 5 2 Hello there";
    assert_eq!(
        admission(text),
        Ok(Admission::Deny { status: 403, code: "denied_by_policy".to_owned(), message: expected.to_owned() })
    );
}

#[test]
fn the_example_of_the_manual_decides_by_tier_and_team() {
    let policies = admission_policy(
        r#"return function(request)
          if request.tier == "complex" and request.team == "free" then
            return deny { status = 403, code = "tier_not_allowed", message = "Upgrade to use complex models." }
          end
          if request.estimate.seconds > 300 then return background() end
          return allow { tier = "standard", max_tokens = math.min(request.max_tokens, 2048) }
        end"#,
    );
    let denied = policies.admission(Arc::new(facts()));
    assert!(matches!(denied, Ok(Admission::Deny { status: 403, code, .. }) if code == "tier_not_allowed"));
    let slow = RequestFacts { team: "paid".into(), estimate_seconds: 301.0, ..facts() };
    assert_eq!(policies.admission(Arc::new(slow)), Ok(Admission::Background));
    let paid = RequestFacts { team: "paid".into(), ..facts() };
    assert_eq!(
        policies.admission(Arc::new(paid)),
        Ok(Admission::Allow { tier: Some("standard".to_owned()), max_tokens: Some(2048) })
    );
}

#[test]
fn a_policy_lowers_the_output_cap_and_never_raises_it() {
    let allowed = admission("return function() return allow { max_tokens = 1000000 } end");
    assert_eq!(allowed, Ok(Admission::Allow { tier: None, max_tokens: Some(4096) }));
}

#[test]
fn a_misspelt_fact_or_field_is_an_error_that_names_the_nearest_one() {
    assert_eq!(reason("return request.teir"), "admission.lua:2: request has no fact `teir`; did you mean `tier`?");
    assert_eq!(
        reason("return request.estimate.dollars"),
        "admission.lua:2: request.estimate has no fact `dollars`; known: seconds, usd"
    );
    assert_eq!(
        reason("return deny { mesage = 'no' }"),
        "admission.lua:2: deny has no field `mesage`; did you mean `message`?"
    );
    let policies = errors_policy("return function(failure)\n  return retryable { message = failure.mesage }\nend");
    let failed = policies.errors(&failure(500)).expect("has a script").expect_err("fails");
    assert_eq!(failed.reason, "errors.lua:2: failure has no fact `mesage`; did you mean `message`?");
}

#[test]
fn only_a_whole_verdict_is_a_verdict() {
    let cases = [
        ("return nil", "the policy returned nil; return allow { … }, deny { … } or background()"),
        ("", "the policy returned nil; return allow { … }, deny { … } or background()"),
        ("return true", "the policy returned true; return"),
        ("return 0/0", "the policy returned nan; return"),
        ("return 'allow'", "the policy returned allow; return"),
        ("return { kind = 'allow', fields = {} }", "the policy returned table:"),
        ("return allow", "the policy returned function:"),
        ("local t = {} for i = 1, 10000 do t[i] = i end return t", "the policy returned table:"),
        ("return retryable { after = 1 }", "an admission policy can't return retryable; return allow"),
        ("return allow { max_tokens = 0/0 }", "allow: `max_tokens` must be a whole number from 1, not nan"),
        ("return allow { max_tokens = -1 }", "allow: `max_tokens` must be a whole number from 1, not -1"),
        ("return allow { max_tokens = 1.5 }", "allow: `max_tokens` must be a whole number from 1, not 1.5"),
        ("return allow { max_tokens = math.huge }", "allow: `max_tokens` must be a whole number from 1, not inf"),
        ("return allow { max_tokens = '5' }", "allow: `max_tokens` must be a whole number from 1, not 5"),
        ("return allow { tier = '' }", "allow: `tier` must be a name"),
        ("return allow { tier = request }", "allow: `tier` must be a name"),
        (
            "return deny { status = 200, message = 'x' }",
            "deny: `status` must be one of 400, 402, 403, 404, 422, 429, 451, 503, not 200",
        ),
        ("return deny { status = 401, message = 'x' }", "deny: `status` must be one of"),
        ("return deny { status = 403 }", "deny: give a `message`"),
        ("return deny 'no'", "deny takes a table of fields, not no"),
        ("return deny { message = 7 }", "deny: `message` must be a text, not 7"),
        ("return deny { message = 'x', code = 'a b' }", "deny: `code` must be a name"),
    ];
    for (body, expected) in cases {
        let reason = reason(body);
        assert!(reason.contains(expected), "{body}: {reason}");
    }
}

#[test]
fn a_verdict_can_not_be_changed_after_it_was_checked() {
    for body in [
        "local fields = { message = 'x' } local v = deny(fields) fields.status = 200 return v",
        "local v = allow {} v.kind = 'deny' return v",
        "local v = allow {} rawset(v.fields, 'max_tokens', 'x') return v",
        "local v = allow {} table.clear(v) return v",
        "request.tier = 'simple' return allow {}",
    ] {
        let reason = reason(body);
        assert!(reason.starts_with("admission.lua:2: attempt to"), "{body}: {reason}");
    }
}

#[test]
fn hostile_scripts_fail_closed_within_their_limits() {
    let cases = [
        ("while true do end", "ran longer than 10 ms"),
        ("while true do pcall(function() while true do end end) end", "ran longer than 10 ms"),
        ("return coroutine.wrap(function() while true do end end)()", "ran longer than 10 ms"),
        ("return (('a'):rep(60)):find(('a?'):rep(60) .. ('a'):rep(60))", "ran longer than 10 ms"),
        ("os.execute('true')", "attempt to index nil with 'execute'"),
        ("require('policies/errors')", "attempt to call a nil value"),
        ("error(setmetatable({}, { __tostring = function() error('again') end }))", "attempt to call a nil value"),
    ];
    for (body, expected) in cases {
        let policies = admission_policy(&format!("return function(request) {body} end"));
        let failed = policies.admission(Arc::new(facts())).expect_err("no verdict");
        assert!(failed.reason.contains(expected), "{body}: {}", failed.reason);
        assert_eq!(failed.hook, "admission");
    }
}

#[test]
fn a_script_that_hoards_memory_fails_closed_at_whichever_limit_it_meets_first() {
    for body in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = request:text():rep(100000) .. #t end",
    ] {
        let reason = reason(body);
        let limits = ["used more than 8 MiB", "ran longer than 10 ms"];
        assert!(limits.iter().any(|limit| reason.contains(limit)), "{body}: {reason}");
    }
}

#[test]
fn a_failed_call_does_not_spoil_the_next_one() {
    let policies = admission_policy(
        "return function(request)
          if request.user == 'loop' then while true do end end
          if request.user == 'memory' then local s = 'x' while true do s = s .. s end end
          if request.user == 'error' then error('no') end
          return allow {}
        end",
    );
    for user in ["loop", "memory", "error"] {
        let bad = RequestFacts { user: user.into(), ..facts() };
        assert!(policies.admission(Arc::new(bad)).is_err(), "{user}");
        assert_eq!(
            policies.admission(Arc::new(facts())),
            Ok(Admission::Allow { tier: None, max_tokens: None }),
            "after {user}"
        );
    }
    assert_eq!(policies.failures().admission, HookFailures { total: 3, quarantined: false });
    assert_eq!(policies.failures().errors.total, 0);
}

#[test]
fn nothing_a_call_leaves_behind_is_seen_by_the_next_one() {
    let policies = admission_policy(
        "local calls = 0
         local cache = {}
         return function(request)
           calls += 1
           hits = (hits or 0) + 1
           table.insert(cache, request.user)
           return deny { message = calls .. ' ' .. hits .. ' ' .. #cache }
         end",
    );
    for _ in 0..3 {
        let denied = policies.admission(Arc::new(facts()));
        assert!(matches!(&denied, Ok(Admission::Deny { message, .. }) if message == "1 1 1"), "{denied:?}");
    }
}

#[test]
fn twenty_failures_in_a_row_stop_a_script_from_running() {
    let policies = admission_policy("return function(request) while true do end end");
    for _ in 0..20 {
        assert!(policies.admission(Arc::new(facts())).is_err());
    }
    assert_eq!(policies.failures().admission, HookFailures { total: 20, quarantined: true });
    let failed = policies.admission(Arc::new(facts())).expect_err("still no verdict");
    assert!(failed.reason.contains("quarantined"), "{}", failed.reason);
    assert_eq!(policies.failures().admission.total, 20, "a call that the script did not see is not its failure");
}

#[test]
fn every_broken_script_is_reported_with_its_file_and_line() {
    let problems = Policies::compile(PolicySources {
        tiers: source("policies/tiers.lua", "return function(request)\n  return 'a\nend"),
        admission: source("policies/admission.lua", "local x = nil\nlocal y = x.z\nreturn function() end"),
        errors: source("policies/errors.lua", "return { }"),
    })
    .expect_err("three broken scripts");
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("policies/tiers.lua:2: Malformed string"), "{}", texts[0]);
    assert_eq!(texts[1], "policies/admission.lua:2: attempt to index nil with 'z'");
    assert!(texts[2].starts_with("policies/errors.lua: the script returns table:"), "{}", texts[2]);
    for endless in ["while true do end", "local s = 'x' while true do s = s .. s end"] {
        let sources = PolicySources { tiers: source("t.lua", endless), ..Default::default() };
        assert!(Policies::compile(sources).is_err(), "{endless}");
    }
}

#[test]
fn a_tier_is_a_name_and_anything_else_means_the_default() {
    let tier = |text: &str| {
        let sources = PolicySources { tiers: source("tiers.lua", text), ..Default::default() };
        Policies::compile(sources).expect("compiles").tier(Arc::new(facts()))
    };
    assert_eq!(
        tier("return function(r) return if r.has_tools then 'complex' else 'simple' end"),
        Some("complex".to_owned())
    );
    for body in ["", "return nil", "return 5", "return ''", "return allow {}", "return 'a b'", "error('x')"] {
        assert_eq!(tier(&format!("return function(request) {body} end")), None, "{body}");
    }
}

#[test]
fn an_errors_policy_sees_the_failure_and_names_category_wait_and_reply() {
    let policies = errors_policy(
        r#"return function(failure)
          if failure.code == "insufficient_quota" then
            return permanent { next_target = true, cool_down = 60, code = "insufficient_quota", status = 402, message = "…" }
          end
          if failure.status == 429 then return retryable { after = failure.retry_after or 5, message = "Busy" } end
          if failure.status == nil then return user_actionable { message = failure.phase .. tostring(failure.param) } end
          return permanent { message = failure.message }
        end"#,
    );
    let quota = policies.classify(&Failure { code: Some("insufficient_quota".to_owned()), ..failure(429) });
    assert_eq!(quota.category, Category::Permanent);
    assert!(quota.next_target);
    assert_eq!((quota.cool_down, quota.status), (Some(Duration::from_secs(60)), Some(402)));
    let busy = policies.classify(&Failure { retry_after: Some(1.5), ..failure(429) });
    assert_eq!(
        (busy.category, busy.after, busy.next_target),
        (Category::Retryable, Some(Duration::from_millis(1500)), true)
    );
    let none = policies.classify(&Failure { status: None, phase: Phase::Connect, ..failure(0) });
    assert_eq!((none.category, none.message.as_deref()), (Category::UserActionable, Some("connectnil")));
    let other = policies.classify(&Failure { message: "x".repeat(5000), ..failure(400) });
    assert_eq!((other.category, other.next_target), (Category::Permanent, false));
    assert_eq!(other.message.map(|text| text.len()), Some(2048));
}

#[test]
fn waits_are_clamped_and_texts_repaired_rather_than_refused() {
    let policies = errors_policy(
        "return function(failure)
          return retryable { after = math.huge, cool_down = 0.25, message = failure.message:sub(1, 2) }
        end",
    );
    let verdict = policies.classify(&Failure { message: "aé".to_owned(), ..failure(500) });
    assert_eq!(verdict.after, Some(Duration::from_secs(31 * 24 * 3600)));
    assert_eq!(verdict.cool_down, Some(Duration::from_millis(250)));
    assert_eq!(verdict.message.as_deref(), Some("a\u{fffd}"));
}

#[test]
fn the_built_in_table_answers_for_a_missing_or_failing_errors_script() {
    let none = Policies::built_in();
    let broken = errors_policy("return function() return allow {} end");
    for policies in [&none, &broken] {
        let busy = policies.classify(&failure(429));
        assert_eq!((busy.category, busy.after), (Category::Retryable, Some(Duration::from_secs(5))));
        assert_eq!(busy.code.as_deref(), Some("rate_limit_exceeded"));
        let auth = policies.classify(&failure(401));
        assert_eq!(
            (auth.category, auth.status, auth.code.as_deref()),
            (Category::Permanent, Some(502), Some("upstream_auth"))
        );
        let refused = policies.classify(&failure(400));
        assert_eq!((refused.status, refused.message.as_deref()), (Some(400), Some("no")));
    }
    assert_eq!(none.failures().errors.total, 0);
    assert_eq!(broken.failures().errors.total, 3);
    assert_eq!(none.admission(Arc::new(facts())), Ok(Admission::Allow { tier: None, max_tokens: None }));
    assert_eq!(none.tier(Arc::new(facts())), None);
}

#[test]
fn a_long_prompt_is_cut_and_says_so_instead_of_filling_the_memory() {
    let policies = admission_policy(
        "return function(request)
          local text, cut = request:text()
          return deny { message = #text .. ' ' .. tostring(cut) .. ' ' .. tostring(text:find('needle', 1, true)) }
        end",
    );
    let long = RequestFacts { text: PromptText(Arc::new(|| "é".repeat(10_000_000))), ..facts() };
    for _ in 0..20 {
        let denied = policies.admission(Arc::new(long.clone()));
        assert!(matches!(&denied, Ok(Admission::Deny { message, .. }) if message == "1048576 true nil"), "{denied:?}");
    }
}

#[test]
fn the_time_the_host_takes_to_make_the_text_is_not_the_time_of_the_script() {
    let policies = admission_policy(
        "return function(request)
          local text = request:text()
          for i = 1, 1000 do end
          return deny { message = text }
        end",
    );
    let slow_text = || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        "late".to_owned()
    };
    let denied = policies.admission(Arc::new(RequestFacts { text: PromptText(Arc::new(slow_text)), ..facts() }));
    assert!(matches!(&denied, Ok(Admission::Deny { message, .. }) if message == "late"), "{denied:?}");
}

#[test]
fn metadata_of_any_size_is_cut_instead_of_filling_the_memory() {
    let policies = admission_policy(
        "return function(request)
          local entries, longest = 0, 0
          for name, value in request.metadata do
            entries += 1
            longest = math.max(longest, #value)
          end
          return deny { message = entries .. ' ' .. longest }
        end",
    );
    let metadata = (0..10_000).map(|n| (format!("name{n:05}"), "x".repeat(4096))).collect();
    let denied = policies.admission(Arc::new(RequestFacts { metadata, ..facts() }));
    assert!(matches!(&denied, Ok(Admission::Deny { message, .. }) if message == "64 1024"), "{denied:?}");
}

#[test]
fn the_built_in_table_agrees_with_the_shipped_script() {
    let shipped = errors_policy(include_str!("../../policies/errors.lua"));
    let codes = [
        None,
        Some("insufficient_quota"),
        Some("invalid_api_key"),
        Some("content_filter"),
        Some("context_length_exceeded"),
        Some("model_not_found"),
        Some("overloaded_error"),
    ];
    for status in [200, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 424, 425, 429, 500, 502, 503, 504, 529] {
        for code in codes {
            let failure = Failure { code: code.map(str::to_owned), ..failure(status) };
            let (script, table) = (shipped.classify(&failure), builtin::classify(&failure));
            assert_eq!(
                (script.category, script.next_target, script.cool_down),
                (table.category, table.next_target, table.cool_down),
                "{status} {code:?}"
            );
        }
    }
    assert_eq!(shipped.failures().errors.total, 0);
}

#[test]
fn policies_are_shared_by_threads() {
    let policies = admission_policy("return function(request) return allow { max_tokens = request.message_count } end");
    std::thread::scope(|scope| {
        for count in 1..=4 {
            let policies = &policies;
            scope.spawn(move || {
                for _ in 0..200 {
                    let mine = RequestFacts { message_count: count, ..facts() };
                    let expected = Admission::Allow { tier: None, max_tokens: Some(u64::from(count)) };
                    assert_eq!(policies.admission(Arc::new(mine)), Ok(expected));
                }
            });
        }
    });
}
