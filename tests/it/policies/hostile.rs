//! Scripts that loop, eat, pry and lie. Each is hostile for one call only; the others go on through the same threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{saying, with_script};
use crate::support::{PATIENCE, Reply, TestGateway, told_when, until};

/// What a script does where it should decide.
type Hostile = [(&'static str, &'static str)];

const SLOW: &Hostile = &[
    ("loops", "while true do end"),
    ("loops over numbers", "for i = 1, 1e300 do end"),
    ("loops inside pcall", "while true do pcall(function() while true do end end) end"),
    ("catches its own end", "local function again() pcall(again) return again() end again()"),
    ("loops in a coroutine", "coroutine.wrap(function() while true do end end)()"),
    ("makes coroutines", "while true do coroutine.create(function() end) end"),
    ("a pattern bomb", r#"return allow { tier = string.match(string.rep("a", 30000), string.rep("a-", 20) .. "b") }"#),
    ("a find bomb", r#"return allow { tier = string.find(string.rep("a", 100000), ".-.-.-.-.-.-b") }"#),
];

const GREEDY: &Hostile = &[
    ("a memory bomb", r#"local text = "x" while true do text = text .. text end"#),
    ("a table bomb", "local t = {} while true do t[#t + 1] = { {}, {}, {} } end"),
    ("a repetition bomb", r#"return string.rep("x", 2 ^ 40)"#),
    ("a buffer bomb", "local kept = {} while true do table.insert(kept, buffer.create(2 ^ 24)) end"),
    ("endless recursion", "local function down() return 1 + down() end return down()"),
];

const PRYING: &Hostile = &[
    // Were the forbidden thing there, the call would be allowed.
    ("runs a program", r#"os.execute("true") return allow {}"#),
    ("exits", "os.exit(0) return allow {}"),
    ("reads the environment", r#"os.getenv("PATH") return allow {}"#),
    ("opens a file", r#"io.open("/dev/null") return allow {}"#),
    ("requires a module", r#"require("string") return allow {}"#),
    ("looks at packages", "return if package.loaded then allow {} else nil"),
    ("loads code", r#"loadstring("return 1")() return allow {}"#),
    ("loads code by its other name", r#"load("return 1")() return allow {}"#),
    ("asks the debugger", "debug.traceback() return allow {}"),
    ("dumps code", "string.dump(function() end) return allow {}"),
    ("rolls dice", "math.random() return allow {}"),
    ("looks at the clock", "os.time() return allow {}"),
    ("changes a global", "allow = function() return nil end return allow {}"),
    ("changes the string library", r#"string.rep = nil return allow {}"#),
    ("changes a fact", r#"request.team = "free" return allow {}"#),
];

const LYING: &Hostile = &[
    ("returns nothing", "return"),
    ("returns nil", "return nil"),
    ("returns NaN", "return 0 / 0"),
    ("returns a text", r#"return "allow""#),
    ("returns true", "return true"),
    ("returns a look-alike", r#"return { kind = "allow", fields = {} }"#),
    ("returns a function", "return function() return allow {} end"),
    ("returns another hook's verdict", "return retryable { after = 1 }"),
    ("allows NaN tokens", "return allow { max_tokens = 0 / 0 }"),
    ("allows less than nothing", "return allow { max_tokens = -1 }"),
    ("allows a half", "return allow { max_tokens = 0.5 }"),
    ("allows a tier that is a table", "return allow { tier = {} }"),
    ("denies without a word", "return deny { status = 403 }"),
    ("denies with a status of its own", r#"return deny { status = 200, message = "fine" }"#),
    ("a misspelt field", "return allow { max_token = 5 }"),
];

const THROWING: &Hostile = &[
    ("throws a text", r#"error("no")"#),
    ("throws nothing", "error()"),
    ("throws a table", "error({ code = 1 })"),
    ("throws what can't be shown", r#"error(setmetatable({}, { __tostring = function() error("again") end }))"#),
];

fn script(what: &str) -> String {
    format!(
        "return function(request)\n  if request.metadata.say == 'hostile' then\n    {what}\n  end\n  return allow {{}}\nend\n"
    )
}

fn assert_no_verdict(reply: &Reply, about: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (503, "policy_failed"), "{about}");
    assert!(reply.message().contains("admission"), "{about}: {}", reply.message());
}

/// The most that a verdict may take.
const VERDICT: Duration = Duration::from_millis(500);

/// Each of these refuses its own call with 503, soon, while others go on.
async fn hurts_only_itself(scripts: &Hostile) {
    for (nth, (about, what)) in scripts.iter().enumerate() {
        let gw = with_script("admission", &script(what)).await;
        let stop = AtomicBool::new(false);
        let others = AtomicU64::new(0);
        // Two callers go on all the while, so that both threads are at work.
        let decent = async || {
            while !stop.load(Ordering::Relaxed) {
                let reply = gw.chat(&saying("single", "hello")).await;
                assert_eq!(reply.status, 200, "beside: {about}");
                others.fetch_add(1, Ordering::Relaxed);
            }
        };
        let hostile = async {
            let mut fastest = Duration::MAX;
            // Fewer than put a script into quarantine.
            for _ in 0..4 {
                let (before, asked) = (others.load(Ordering::Relaxed), Instant::now());
                let reply = gw.chat(&saying("single", "hostile")).await;
                fastest = fastest.min(asked.elapsed());
                assert_no_verdict(&reply, about);
                until("the others go on", || others.load(Ordering::Relaxed) >= before + 2).await;
            }
            // The fastest of four: the machine may have had other things to do.
            assert!(fastest < VERDICT, "{about}: no verdict for {fastest:?}");
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(decent(), decent(), hostile);
        let served = others.load(Ordering::Relaxed);
        assert_eq!(gw.mock.counts().calls, served, "{about}: no refused call may reach a provider");
        if nth == 0 {
            counted(&gw, "admission", 4).await;
        }
        gw.at_rest().await;
    }
}

#[tokio::test]
async fn a_script_that_does_not_end_refuses_its_own_call_and_no_other() {
    hurts_only_itself(SLOW).await;
}

#[tokio::test]
async fn a_script_that_eats_memory_refuses_its_own_call_and_no_other() {
    hurts_only_itself(GREEDY).await;
}

#[tokio::test]
async fn a_script_that_reaches_for_the_machine_or_for_other_calls_refuses_its_own_call_and_no_other() {
    hurts_only_itself(PRYING).await;
}

#[tokio::test]
async fn a_script_that_returns_no_verdict_refuses_its_own_call_and_no_other() {
    hurts_only_itself(LYING).await;
}

#[tokio::test]
async fn a_script_that_throws_refuses_its_own_call_and_no_other() {
    hurts_only_itself(THROWING).await;
}

/// Waits until the operator's counter of failures says `expected`; it is brought up to date now and then.
async fn counted(gw: &TestGateway, hook: &str, expected: u64) {
    let line = format!("headgate_policy_failures_total{{hook=\"{hook}\"}} {expected}");
    let shows = |metrics: &String| metrics.lines().any(|shown| shown == line);
    told_when(&line, PATIENCE, async || gw.metrics().await, shows).await;
}

#[tokio::test]
async fn twenty_failures_in_a_row_put_a_script_into_quarantine_and_an_edit_frees_it() {
    let gw = with_script("admission", &script("while true do end")).await;
    // A success in between starts the count anew.
    for round in 0..2 {
        for _ in 0..19 {
            assert_no_verdict(&gw.chat(&saying("single", "hostile")).await, "before");
        }
        if round == 0 {
            assert_eq!(gw.chat(&saying("single", "hello")).await.status, 200);
        }
    }
    assert_no_verdict(&gw.chat(&saying("single", "hostile")).await, "the twentieth");
    // Now the rule for a failing script applies to everybody, and the script is not asked any more.
    for _ in 0..3 {
        assert_no_verdict(&gw.chat(&saying("single", "hello")).await, "quarantined");
    }
    assert_eq!(gw.mock.counts().calls, 1);
    std::fs::write(gw.folder.path().join("policy.lua"), script("return nil")).unwrap();
    until("the edit is live", || gw.gateway.hall().snapshot().generation == 2).await;
    assert_eq!(gw.chat(&saying("single", "hello")).await.status, 200);
}

#[tokio::test]
async fn a_tiers_script_that_fails_means_the_default_tier_and_not_a_refusal() {
    for what in ["while true do end", "return nil", "return 7", r#"error("no")"#, r#"return "no-such-tier""#] {
        let gw = with_script("tiers", &format!("return function(request)\n  {what}\nend")).await;
        let asked = Instant::now();
        let reply = gw.ask("auto").await;
        assert!(asked.elapsed() < VERDICT);
        assert_eq!((reply.status, reply.header("x-headgate-tier")), (200, "standard"), "{what}");
    }
}

#[tokio::test]
async fn an_errors_script_that_fails_means_the_built_in_table() {
    for what in ["while true do end", "return nil", "return allow {}", r#"error("no")"#] {
        let gw = with_script("errors", &format!("return function(failure)\n  {what}\nend")).await;
        gw.mock.script("first", vec![headgate::simulator::Step::status(500)]);
        let reply = gw.ask("standard").await;
        assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "anthropic/second"), "{what}");
    }
}
