//! Who said no, and when the same would fit.

use crate::domain::limit::Unit;
use crate::domain::record::{Refusal, RunRecord};

use super::words::{allowed, amount, at, count, ms, whose};

pub(super) fn tell(record: &RunRecord) -> Option<String> {
    let cause = record.refusal_cause.as_deref()?;
    if let Some(refusal) = &record.refused_by {
        return Some(by_limit(refusal));
    }
    let why = match cause {
        "cost_cap" => "The cost cap per request refused it: at its worst it could have cost more than that.",
        "policy" => "The admission policy denied it.",
        "policy_failed" => "A policy that has to decide could not, and then nothing is admitted.",
        "moderation" => "The moderation of the tier refused it.",
        "moderation_failed" => "The moderation of the tier did not answer, and the tier admits nothing without it.",
        "key" => "The key is not allowed to do this.",
        "request" => "The request itself was refused: it can't be carried out as it is.",
        "store" => "The store did not answer, and without it nothing is admitted.",
        _ => "The gateway itself failed.",
    };
    Some(why.to_owned())
}

fn by_limit(refusal: &Refusal) -> String {
    let (view, unit) = (&refusal.view, refusal.view.unit());
    let whose = whose(&view.limit.scope, &view.subject);
    let allowed = allowed(unit, view.max(), &view.limit.quota.window);
    let used = amount(unit, view.before);
    let stood = match unit {
        Unit::Identical => format!(
            "The loop guard refused it: {whose} may {allowed} and had sent this very one {} already.",
            count(view.before, "time")
        ),
        Unit::Requests => format!("A limit refused it: {whose} may {allowed}, and {used} had been made."),
        Unit::Concurrent => format!("A limit refused it: {whose} may {allowed}, and {used} were open."),
        Unit::Usd | Unit::SpendRate | Unit::Tokens => format!(
            "{} refused it: {whose} may {allowed}; {used} were used or held, and this call could take {} more.",
            if unit == Unit::SpendRate { "The spend guard" } else { "A limit" },
            amount(unit, refusal.asked)
        ),
    };
    let heals = if refusal.asked > view.max() {
        "It is larger than the whole limit, so waiting does not help.".to_owned()
    } else if unit == Unit::Concurrent {
        "It fits as soon as another call ends.".to_owned()
    } else {
        format!("It would fit from {} on, {} later.", at(view.resets_at_ms), ms(refusal.retry_after_ms))
    };
    format!("{stood} {heals} It took nothing from any limit.")
}
