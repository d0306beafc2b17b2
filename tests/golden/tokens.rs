//! Token counts before a call, against a real tokenizer: the bound is never below the truth.

use std::sync::LazyLock;

use headgate::pricing::tokens::{input_estimate, input_upper_bound};
use proptest::prelude::*;
use serde_json::{Value, json};
use tiktoken_rs::CoreBPE;

/// What OpenAI's models read with since gpt-4o, and before.
static TOKENIZERS: LazyLock<[CoreBPE; 2]> =
    LazyLock::new(|| [tiktoken_rs::o200k_base(), tiktoken_rs::cl100k_base()].map(|loaded| loaded.expect("built in")));

/// Tokens of a dialogue as OpenAI counts them: 3 around each message, 3 before the answer.
fn truth(tokenizer: &CoreBPE, messages: &[Value]) -> u64 {
    let tokens = |text: &Value| tokenizer.encode_ordinary(text.as_str().expect("a text")).len();
    let all: usize = messages.iter().map(|m| 3 + tokens(&m["role"]) + tokens(&m["content"])).sum();
    u64::try_from(all + 3).expect("few")
}

/// As Python's clients write it: ASCII only.
fn escaped(json: &str) -> String {
    let unit = |unit: u16| if unit < 128 { char::from(unit as u8).to_string() } else { format!("\\u{unit:04x}") };
    json.encode_utf16().map(unit).collect()
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        r"\PC{0,200}",
        r"(?s).{0,200}",
        r"[a-z ,.]{0,400}",
        r"[\u{4e00}-\u{9fff}\u{3040}-\u{30ff}\u{ac00}-\u{d7a3}]{0,200}",
        r"[\u{1f300}-\u{1faff}\u{200d}\u{fe0f}\u{1f3fb}-\u{1f3ff}]{0,120}",
        r"[\u{0300}-\u{036f}\u{0600}-\u{06ff}\u{0900}-\u{097f}]{0,200}",
        r#"[\x00-\x1f"\\/ ]{0,200}"#,
    ]
}

proptest! {
    #[test]
    fn the_bound_is_never_below_what_a_tokenizer_counts(texts in prop::collection::vec(texts(), 0..4)) {
        let messages: Vec<Value> = texts.iter().map(|text| json!({ "role": "user", "content": text })).collect();
        let body = Value::from(messages.clone()).to_string();
        for body in [body.clone(), escaped(&body)] {
            let bound = input_upper_bound(&[&body]);
            for tokenizer in TOKENIZERS.iter() {
                let truth = truth(tokenizer, &messages);
                prop_assert!(bound >= truth, "{bound} is below {truth} for {body}");
            }
            prop_assert!(bound <= u64::try_from(body.len()).expect("short") + 64);
        }
    }
}

/// Some hundred bytes each of what people and programs write.
const SAMPLES: &[(&str, &str)] = &[
    (
        "English prose",
        "The gate at the head of a canal decides what flows, how much, and where to. It is lifted in the morning by whoever has the key, and lowered before the bank breaks. Nobody who lives by the water has to think of it, which is the best that can be said of any gate.",
    ),
    (
        "German prose",
        "Das Tor am Anfang des Kanals entscheidet, was hindurchfließt, wie viel und wohin. Wer den Schlüssel hat, hebt es am Morgen und senkt es, bevor der Damm bricht. Niemand, der am Wasser lebt, muss daran denken, und mehr lässt sich von keinem Tor verlangen.",
    ),
    (
        "Chinese prose",
        "渠首的闸门决定水流向何处、流多少。每天早晨，持有钥匙的人把它提起，并在堤岸决口之前放下。住在水边的人不必想到它，这已是对一道闸门最好的评价。",
    ),
    (
        "Japanese prose",
        "水路の取水口にある門は、何がどれだけどこへ流れるかを決める。鍵を持つ者が朝に上げ、土手が崩れる前に下ろす。水辺に暮らす人はそれを思い出す必要がない。",
    ),
    (
        "Arabic prose",
        "البوابة عند رأس القناة تقرر ما الذي يتدفق وكم وإلى أين. يرفعها في الصباح من يملك المفتاح ويخفضها قبل أن ينهار الجسر.",
    ),
    ("emoji", "🚪🌊🔑😀👩🏽‍🚀👨‍👩‍👧‍👦🏳️‍🌈🇩🇪🇯🇵❤️‍🔥🙏🏾🫡🧑‍⚖️✨🌅⛲️🛶🐟"),
    (
        "Rust code",
        "fn settle(&self, run: RunId, bill: Bill) -> Result<(), StoreError> {\n    let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);\n    for (target, amount) in &bill.targets {\n        book.counters.entry(target).or_default().settled += amount.get();\n    }\n    Ok(())\n}\n",
    ),
    (
        "JSON",
        "{\"id\":\"run_01a20efb97bd741582387239918a1703\",\"status\":499,\"limits\":[{\"scope\":\"global\",\"per\":\"day\",\"max\":50000000000,\"before\":31918500}],\"usage\":{\"input\":3,\"output\":1}}",
    ),
    ("base64", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="),
];

/// The table of `docs/ARCHITECTURE.md`: `cargo test --test golden how_far -- --nocapture`.
#[test]
fn how_far_the_bound_and_the_estimate_are_from_the_truth() {
    let [o200k, _] = &*TOKENIZERS;
    println!("| text | bytes | tokens | bound | estimate of count_tokens |\n|---|---|---|---|---|");
    for (kind, text) in SAMPLES {
        // Long enough that the frame of the call does not matter.
        let text = text.repeat(2_000 / text.len() + 1);
        let messages = [json!({ "role": "user", "content": text })];
        let body = json!(messages).to_string();
        let (truth, bound, estimate) = (truth(o200k, &messages), input_upper_bound(&[&body]), input_estimate(&[&body]));
        let times = |count: u64| count as f64 / truth as f64;
        println!("| {kind} | {} | {truth} | {:.1}x | {:.2}x |", text.len(), times(bound), times(estimate));
        assert!(bound >= truth, "{kind}");
    }
}
