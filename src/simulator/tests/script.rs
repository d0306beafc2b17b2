use serde_json::json;

use super::super::presets;
use super::super::script::parse_steps;
use super::super::{ErrorWords, Fault, Finish, FixedUsage, InBandError, RetryAfter, StatusFault, Step, UsageReport};

#[test]
fn yaml_json_and_rust_say_the_same() {
    let yaml = "
- latency_ms: 5
  fault: { status: { status: 429, retry_after: { http_date: 3 }, error: { code: 7, type: requests } } }
- { fault: hang_before_head, finish: content_filter }
- { fault: { in_band_error: { after: 2 } }, usage: { output: 1e18 }, finish: eos_token }
- { usage: missing, headers: { x-odd: \"a\\u0001\" } }
";
    let error = ErrorWords { kind: Some("requests".into()), code: Some(json!(7)), message: None };
    let status = StatusFault { status: 429, retry_after: Some(RetryAfter::HttpDate(3)), error, body: None };
    let steps = vec![
        Step { latency_ms: 5, ..Step::fault(Fault::Status(status)) },
        Step { finish: Some(Finish::ContentFilter), ..Step::fault(Fault::HangBeforeHead) },
        Step {
            usage: UsageReport::Fixed(FixedUsage { output: Some(json!(1e18)), ..FixedUsage::default() }),
            finish: Some(Finish::Other("eos_token".into())),
            ..Step::fault(Fault::InBandError(InBandError { after: 2, ..InBandError::default() }))
        },
        Step {
            usage: UsageReport::Missing,
            headers: [("x-odd".to_owned(), "a\u{1}".to_owned())].into(),
            ..Step::default()
        },
    ];
    assert_eq!(parse_steps(yaml).unwrap(), steps);
    assert_eq!(parse_steps(&serde_json::to_string(&steps).unwrap()).unwrap(), steps);
}

#[test]
fn a_misspelt_field_is_named_with_its_line() {
    let error = parse_steps("- text: hi\n  latencyms: 5\n").unwrap_err().to_string();
    assert!(error.contains("latencyms") && error.contains("line 2"), "{error}");
    assert!(parse_steps("- fault: { cut: { aftr: 3 } }").is_err());
}

#[test]
fn every_preset_is_a_valid_step_and_stands_in_the_help() {
    let help = presets::help();
    for name in presets::names() {
        assert!(help.contains(name));
        assert_ne!(*presets::step(name), Step::default(), "{name} does something");
    }
}

#[test]
fn the_help_names_every_field_of_a_step() {
    let help = presets::help();
    let step = serde_json::to_value(Step::default()).unwrap();
    for field in step.as_object().unwrap().keys() {
        assert!(help.contains(field), "the help does not say what `{field}` is");
    }
}
