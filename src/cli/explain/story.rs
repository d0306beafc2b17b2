//! The story of a run that has ended, from its record.

use crate::domain::record::{Judgement, Outcome, RunRecord};

use super::words::{at, count, ms};
use super::{attempts, limits, money, refusals};

pub(super) fn tell(record: &RunRecord) -> String {
    let mut paragraphs = vec![format!("{}  {}", record.id, headline(record)), asked(record)];
    paragraphs.extend(refusals::tell(record));
    paragraphs.extend(admitted_away(record));
    paragraphs.extend(moderated(record));
    paragraphs.extend(attempts::tell(record));
    paragraphs.push(ended(record));
    paragraphs.push(money::tell(record));
    paragraphs.extend(changed(record));
    format!("{}\n{}", paragraphs.join("\n\n"), limits::table(&record.limits))
}

fn headline(record: &RunRecord) -> &'static str {
    match (record.outcome, record.attempts.len()) {
        (Outcome::Ok, 0 | 1) => "was answered",
        (Outcome::Ok, _) => "was answered, after failed attempts",
        (Outcome::CutAtHold, _) => "was cut short, because it had used up what was set aside for it",
        (Outcome::ClientGone, _) => "ended because its client left",
        (Outcome::Refused, _) => "was refused",
        (Outcome::Error, _) => "failed",
    }
}

/// Who asked for what, and where that led.
fn asked(record: &RunRecord) -> String {
    let team = if record.team.is_empty() { String::new() } else { format!(" of team {}", record.team) };
    let user = if record.user == record.key { String::new() } else { format!(", for user {},", record.user) };
    let model = record.asked.as_ref().map_or("no model".to_owned(), |model| format!("model \"{model}\""));
    let how = if record.stream { "as a stream" } else { "as one answer" };
    let mut text = format!(
        "On {} key {}{team}{user} asked for {model} in the {} format, {how}.",
        at(record.started_ms),
        record.key,
        record.dialect
    );
    text.push_str(&match (record.tier.as_str(), record.tier_cause.as_str()) {
        ("", _) => " It was refused before its tier was settled.".to_owned(),
        ("direct", "alias") => " The config has that name as an alias of a model.".to_owned(),
        ("direct", _) => " The key may name models itself, so no tier was chosen.".to_owned(),
        (tier, "asked") => format!(" That is the tier {tier}."),
        (tier, "alias") => format!(" The config has that name as an alias of the tier {tier}."),
        (tier, "policy") => format!(" A policy chose the tier {tier}."),
        (tier, _) => format!(" It got the tier {tier}, the default of the config."),
    });
    text.push_str(&format!(" Config generation {} was in force.", record.generation));
    text
}

fn admitted_away(record: &RunRecord) -> Option<String> {
    let told = "The store did not answer. Its limits let it go on (`on_store_error`), within what this process may spend then; \
                the limits below are those.";
    record.store_away.then(|| told.to_owned())
}

fn moderated(record: &RunRecord) -> Option<String> {
    let moderation = record.moderation.as_ref()?;
    let (judge, took) = (&moderation.target, ms(moderation.ms));
    Some(match moderation.judgement {
        Judgement::Passed => format!("Moderation by {judge} found nothing ({took})."),
        Judgement::Flagged => {
            format!("Moderation by {judge} flagged it ({took}): {}.", moderation.categories.join(", "))
        }
        Judgement::Failed => {
            let why = moderation.error.as_deref().unwrap_or("no reason is known");
            format!("Moderation by {judge} did not work ({took}): {why}.")
        }
        Judgement::ClientGone => format!("The client left while {judge} was judging ({took})."),
    })
}

fn ended(record: &RunRecord) -> String {
    let took = ms(record.total_ms);
    match record.outcome {
        Outcome::Ok => format!("The client got its whole answer in {took} (HTTP {}).", record.status),
        Outcome::ClientGone => format!("The client left after {took}; what it had been sent until then is charged."),
        Outcome::CutAtHold => {
            format!("The client got HTTP 200 after {took}, with an answer that ends as if its length were used up.")
        }
        Outcome::Error | Outcome::Refused => {
            let code = record.error_code.as_deref().unwrap_or_default();
            let got = format!("The client got HTTP {} ({code}) after {took}", record.status);
            match &record.told {
                Some(told) => format!("{got} and was told: {told}"),
                None => format!("{got}.{}", meaning(code)),
            }
        }
    }
}

/// What an operator should make of a provider's failure.
fn meaning(code: &str) -> &'static str {
    match code {
        "upstream_auth" => " The provider does not accept the gateway's own key: look at `api_key` in the config.",
        "insufficient_quota" => " The gateway's account at the provider is out of credit: top it up.",
        "upstream_timeout" => " No provider answered within its time.",
        "upstream_empty" => " The provider's answer was empty.",
        "rate_limit_exceeded" => " The provider limits the gateway's own account.",
        _ => "",
    }
}

/// What the client did not get as it had asked.
fn changed(record: &RunRecord) -> Option<String> {
    let mut sentences = Vec::new();
    if let Some(clamp) = record.clamped {
        sentences.push(format!(
            "The output was capped at {}; the client had asked for {}.",
            count(clamp.to, "token"),
            clamp.asked
        ));
    }
    if !record.dropped.is_empty() {
        sentences.push(format!("These fields of the request were left out: {}.", record.dropped.join(", ")));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}
