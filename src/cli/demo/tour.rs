//! The tour: each step does something for real, checks that it did what it says, and says why.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::Failure;
use crate::simulator::{Fault, RetryAfter, StatusFault, Step};

use super::ask::{Reply, chat};
use super::stage::{Stage, TRIAL_KEY, WEB_KEY};

/// A step that did not do what it says.
fn must(held: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if held { Ok(()) } else { Err(what().into()) }
}

fn seen(reply: &Reply) -> String {
    format!("got {} {} {}", reply.status, reply.code(), reply.message())
}

/// Prints titles, what is done, and what came of it.
struct Voice {
    colour: bool,
    step: u32,
}

impl Voice {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn title(&mut self, title: &str, why: &str) {
        self.step += 1;
        println!("\n{} {}", self.paint("1;36", &format!("{}.", self.step)), self.paint("1", title));
        println!("   {}", self.paint("2", why));
    }

    fn done(&self, text: &str) {
        println!("   {} {text}", self.paint("32", "✓"));
    }
}

pub(super) async fn walk(stage: &Stage) -> Result<(), Failure> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut voice = Voice { colour, step: 0 };
    println!(
        "{}",
        voice.paint("1", "Headgate demo: a gateway and two mock providers in one process. No key, no Redis.")
    );
    println!("gateway http://{}   config {}", stage.gateway.client, stage.config().display());
    tiers(stage, &mut voice).await?;
    streaming(stage, &mut voice).await?;
    fallback(stage, &mut voice).await?;
    cost_cap(stage, &mut voice).await?;
    budget(stage, &mut voice).await?;
    policy(stage, &mut voice).await?;
    reload(stage, &mut voice).await?;
    bad_edit(stage, &mut voice).await?;
    println!("\n{}", voice.paint("1;32", "Every step did what it says."));
    Ok(())
}

async fn tiers(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title(
        "A tier instead of a model",
        "Clients ask for simple, standard, complex or auto; config says what that means.",
    );
    stage.mock.script("mini", vec![Step::text("Hello from the small model.")]);
    let reply = stage.ask(chat(WEB_KEY, "simple", "Say hello.")).await?;
    must(reply.status == 200 && reply.model == "openai/mini", || seen(&reply))?;
    voice.done(&format!("simple -> {}: \"{}\" for ${}", reply.model, reply.text(), reply.cost));
    let long = "Compare these two designs step by step and prove which one is correct. ".repeat(120);
    let reply = stage.ask(chat(WEB_KEY, "auto", &long)).await?;
    must(reply.status == 200 && reply.tier != "simple", || seen(&reply))?;
    voice.done(&format!("auto, a long question -> policies/tiers.lua chose {} -> {}", reply.tier, reply.model));
    Ok(())
}

async fn streaming(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title(
        "Streaming",
        "Events pass through byte for byte; the price comes as a last comment, before the end marker.",
    );
    let text = "Water flows, the gate decides how much, and shuts before the bank breaks.";
    stage.mock.script("large", vec![Step { gap_ms: 40, ..Step::text(text) }]);
    let (mut heard, mut events) = (String::new(), 0);
    print!("     ");
    let (comment, ended) = stage
        .stream(chat(WEB_KEY, "standard", "Tell me about gates."), |piece| {
            events += u32::from(!piece.is_empty());
            heard.push_str(piece);
            print!("{piece}");
            let _ = std::io::stdout().flush();
        })
        .await?;
    println!();
    must(heard == text && ended, || format!("the stream said {heard:?}, end marker: {ended}"))?;
    voice.done(&format!("{events} events, then \"{comment}\" and [DONE]"));
    Ok(())
}

async fn fallback(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title(
        "A fallback after a 429",
        "The primary is rate limited: policies/errors.lua says retryable, the next target answers.",
    );
    let busy = StatusFault { status: 429, retry_after: Some(RetryAfter::Seconds(20)), ..StatusFault::default() };
    stage.mock.script("large", vec![Step::fault(Fault::Status(busy)), Step::default()]);
    stage.mock.script("sonnet", vec![Step::text("The other provider took over.")]);
    let before = stage.mock.model_counts("large").calls;
    let reply = stage.ask(chat(WEB_KEY, "standard", "Anybody there?")).await?;
    let called = stage.mock.model_counts("large").calls - before;
    must(reply.status == 200 && reply.model == "anthropic/sonnet" && reply.attempts == "2" && called == 1, || {
        seen(&reply)
    })?;
    voice.done(&format!("openai/large: 429, Retry-After 20 s -> {}: \"{}\"", reply.model, reply.text()));
    voice.done("2 attempts, one settlement; openai/large rests for 20 s, every other call passes it by");
    Ok(())
}

async fn cost_cap(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title(
        "A cost cap",
        "The worst-case price is known before the call: what could cost more than $0.05 is not sent.",
    );
    let calls = stage.mock.counts().calls;
    let novel = "all work and no play makes jack a dull boy ".repeat(1_200);
    let reply = stage.ask(chat(WEB_KEY, "standard", &novel)).await?;
    let sent = stage.mock.counts().calls - calls;
    must(reply.status == 402 && reply.code() == "cost_cap_exceeded" && sent == 0, || seen(&reply))?;
    voice.done(&format!("402 {}: {}", reply.code(), reply.message()));
    voice.done("calls to providers: 0. A 402, because SDKs retry a 429 three times by themselves");
    Ok(())
}

async fn budget(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title(
        "A budget",
        "The trial key has $0.006 a day. Money is set aside before a call and settled after it, exactly.",
    );
    stage.mock.script("mini", vec![Step { words: Some(900), ..Step::default() }]);
    let mut answered = 0;
    // Bounded: far more calls than the budget can pay for.
    for _ in 0..50 {
        let reply = stage.ask(chat(TRIAL_KEY, "simple", "Write as much as you like.")).await?;
        if reply.status == 200 {
            answered += 1;
            continue;
        }
        must(reply.status == 402 && reply.code() == "budget_exceeded" && answered > 0, || seen(&reply))?;
        voice.done(&format!("{answered} calls answered, then 402 {}: {}", reply.code(), reply.message()));
        return Ok(());
    }
    Err("fifty calls fitted into $0.006".into())
}

async fn policy(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title("A policy", "admission.lua is ordinary Luau in a sandbox: facts in, a verdict out, 10 ms at most.");
    let reply = stage.ask(chat(TRIAL_KEY, "complex", "Prove it.")).await?;
    must(reply.status == 403 && reply.code() == "tier_not_allowed", || seen(&reply))?;
    voice.done(&format!("403 {}: {}", reply.code(), reply.message()));
    Ok(())
}

async fn reload(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title("A live edit", "Config and policies are watched, validated and swapped whole; no call is lost.");
    let text = std::fs::read_to_string(stage.config())?;
    let edited = text.replace(
        "simple: { primary: openai/mini, fallback: anthropic/haiku",
        "simple: { primary: anthropic/haiku, fallback: openai/mini",
    );
    must(edited != text, || "the demo's config is not what the tour knows".to_owned())?;
    let began = Instant::now();
    std::fs::write(stage.config(), edited)?;
    until(|| stage.gateway.hall().snapshot().generation == 2).await?;
    let took = began.elapsed();
    let reply = stage.ask(chat(WEB_KEY, "simple", "Who are you now?")).await?;
    must(reply.status == 200 && reply.model == "anthropic/haiku", || seen(&reply))?;
    voice.done(&format!("saved, in force after {} ms as generation 2: simple -> {}", took.as_millis(), reply.model));
    Ok(())
}

async fn bad_edit(stage: &Stage, voice: &mut Voice) -> Result<(), Failure> {
    voice.title("A bad edit", "What is wrong is named with line and key, and the last good config goes on serving.");
    let text = std::fs::read_to_string(stage.config())?;
    std::fs::write(stage.config(), text.replace("fallback: openai/large", "fallback: opnai/large"))?;
    let status = stage.gateway.hall().status();
    until(|| status.config_error().is_some()).await?;
    let error = status.config_error().map(|e| e.lines().next().unwrap_or_default().to_owned()).unwrap_or_default();
    let reply = stage.ask(chat(WEB_KEY, "simple", "Still there?")).await?;
    let generation = stage.gateway.hall().snapshot().generation;
    must(reply.status == 200 && generation == 2 && error.contains("opnai"), || format!("{error}; {}", seen(&reply)))?;
    voice.done(
        &error
            .replace(&format!("{}/", stage.config().parent().map(|p| p.display().to_string()).unwrap_or_default()), ""),
    );
    voice.done("refused; generation 2 goes on serving");
    std::fs::write(stage.config(), text)?;
    until(|| status.config_error().is_none()).await
}

/// Waits for what must come true within a few seconds.
async fn until(held: impl Fn() -> bool) -> Result<(), Failure> {
    let by = Instant::now() + Duration::from_secs(5);
    while !held() {
        must(Instant::now() < by, || "the edit was not noticed within 5 s".to_owned())?;
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
