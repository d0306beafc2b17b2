//! How much a model is to think.

use serde_json::{Value, json};

/// The setting for an OpenAI effort; none where the model has none for it. Budgets and levels are those that Google's
/// own OpenAI-compatible endpoint uses. Summaries of the thoughts are asked for, as they are the part people can read.
pub(super) fn config(model: &str, effort: &str) -> Option<Value> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    let is_pro = model.contains("pro");
    if model.starts_with("gemini-1") || model.starts_with("gemini-2.0") {
        return None;
    }
    if model.starts_with("gemini-2") {
        let budget = match effort {
            // Only the smaller models can do without.
            "none" if !is_pro => return Some(json!({ "thinkingBudget": 0 })),
            "minimal" | "low" => 1_024,
            "medium" => 8_192,
            "high" | "xhigh" => 24_576,
            _ => return None,
        };
        return Some(json!({ "thinkingBudget": budget, "includeThoughts": true }));
    }
    let level = match effort {
        "minimal" if !is_pro => "minimal",
        "minimal" | "low" => "low",
        "medium" => "medium",
        "high" | "xhigh" => "high",
        // Thinking can't be turned off any more.
        _ => return None,
    };
    Some(json!({ "thinkingLevel": level, "includeThoughts": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_a_budget_for_older_models_and_a_level_for_newer_ones() {
        let of = |model, effort| config(model, effort).map(|config| config.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("gemini-2.5-flash", "medium"), some(r#"{"thinkingBudget":8192,"includeThoughts":true}"#));
        assert_eq!(of("models/gemini-2.5-flash", "none"), some(r#"{"thinkingBudget":0}"#));
        assert_eq!(of("gemini-2.5-pro", "none"), None);
        assert_eq!(of("gemini-2.0-flash", "low"), None);
        assert_eq!(of("gemini-3-pro", "minimal"), some(r#"{"thinkingLevel":"low","includeThoughts":true}"#));
        assert_eq!(of("gemini-flash-latest", "minimal"), some(r#"{"thinkingLevel":"minimal","includeThoughts":true}"#));
        assert_eq!(of("gemini-3-flash", "none"), None);
    }
}
