use serde_json::json;

use super::super::{ErrorWords, Fault, InBandError, RetryAfter, StatusFault, Step};
use super::client::{Api, Ending, Received, SILENCE, call, chat, post, receive, receive_within, send};
use super::scripted;

/// A stream under a fault: how it ends, how many words arrive before, and whether finish and end marker do.
struct Streamed {
    fault: Fault,
    ending: Ending,
    words: usize,
    finish: bool,
    done: bool,
}

fn words(answer: &Received) -> usize {
    let text = answer.text();
    ["one", "two", "three", "four"].iter().filter(|word| text.contains(**word)).count()
}

fn has_finish(answer: &Received) -> bool {
    answer.text().contains(r#""finish_reason":"stop""#) || answer.text().contains(r#""stop_reason":"end_turn""#)
}

fn has_done(answer: &Received) -> bool {
    answer.text().contains("data: [DONE]") || answer.text().contains("event: message_stop")
}

async fn answer_under(fault: &Fault, api: Api, stream: bool) -> Received {
    let simulator = scripted("m", Step { fault: Some(fault.clone()), ..Step::text("one two three four") }).await;
    let mut socket = send(simulator.addr(), &post(api.path(), &chat("m", stream))).await;
    match fault {
        Fault::HangBeforeHead | Fault::Stall { .. } => receive_within(&mut socket, SILENCE).await,
        _ => receive(&mut socket).await,
    }
}

#[tokio::test]
async fn every_fault_of_a_stream_arrives_as_scripted() {
    let in_band = |after| Fault::InBandError(InBandError { after, ..InBandError::default() });
    let row = |fault, ending, words, finish, done| Streamed { fault, ending, words, finish, done };
    use Ending::{Closed, Reset, Silent, Whole};
    let table = [
        row(Fault::HangBeforeHead, Silent, 0, false, false),
        row(Fault::ResetBeforeHead, Reset, 0, false, false),
        row(Fault::CloseBeforeHead, Closed, 0, false, false),
        row(Fault::Reset { after: 2 }, Reset, 2, false, false),
        row(Fault::Cut { after: 0 }, Closed, 0, false, false),
        row(Fault::Cut { after: 2 }, Closed, 2, false, false),
        row(Fault::Cut { after: 99 }, Closed, 4, false, false),
        row(Fault::Stall { after: 0 }, Silent, 0, false, false),
        row(Fault::Stall { after: 2 }, Silent, 2, false, false),
        row(Fault::CleanEnd { after: 0 }, Whole, 0, false, false),
        row(Fault::CleanEnd { after: 2 }, Whole, 2, false, false),
        row(Fault::DoneWithoutFinish { after: 2 }, Whole, 2, false, true),
        row(Fault::FinishWithoutDone, Whole, 4, true, false),
        row(in_band(0), Whole, 0, false, false),
        row(in_band(2), Whole, 2, false, false),
        row(Fault::MalformedFrame { after: 2 }, Whole, 4, true, true),
        row(Fault::EmptyStream, Whole, 0, false, false),
        row(Fault::OnlyDone, Whole, 0, false, true),
        row(Fault::HugeLine { bytes: 300_000 }, Whole, 4, true, true),
        row(Fault::EmptyDataLines { lines: 100_000 }, Whole, 4, true, true),
        row(Fault::GzipHeader, Whole, 4, true, true),
        row(Fault::BadUtf8, Whole, 4, true, true),
        row(Fault::Html, Whole, 0, false, false),
        row(Fault::EmptyBody, Whole, 0, false, false),
        row(Fault::ErrorObject, Whole, 0, false, false),
    ];
    for expected in table {
        for api in Api::BOTH {
            let answer = answer_under(&expected.fault, api, true).await;
            let case = format!("{:?} in {api:?}", expected.fault);
            assert_eq!(answer.ending, expected.ending, "{case}");
            assert_eq!(has_finish(&answer), expected.finish, "{case}: {}", answer.text());
            assert_eq!(has_done(&answer), expected.done, "{case}: {}", answer.text());
            assert_eq!(words(&answer), expected.words, "{case}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn every_fault_of_a_plain_answer_arrives_as_scripted() {
    use Ending::{Closed, Reset, Silent, Whole};
    let table = [
        (Fault::HangBeforeHead, Silent),
        (Fault::ResetBeforeHead, Reset),
        (Fault::CloseBeforeHead, Closed),
        (Fault::Reset { after: 2 }, Reset),
        (Fault::Cut { after: 2 }, Closed),
        (Fault::Stall { after: 2 }, Silent),
        (Fault::ShortBody, Closed),
        (Fault::TruncatedJson, Whole),
        (Fault::MalformedFrame { after: 2 }, Whole),
        (Fault::Html, Whole),
        (Fault::EmptyBody, Whole),
        (Fault::EmptyStream, Whole),
        (Fault::HugeLine { bytes: 300_000 }, Whole),
        (Fault::EmptyDataLines { lines: 100_000 }, Whole),
        (Fault::BadUtf8, Whole),
    ];
    for (fault, ending) in table {
        for api in Api::BOTH {
            let answer = answer_under(&fault, api, false).await;
            assert_eq!(answer.ending, ending, "{fault:?} in {api:?}");
            let readable = serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok();
            assert!(!readable, "{fault:?} in {api:?} is no answer: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_plain_answer_may_be_json_and_still_no_answer() {
    for api in Api::BOTH {
        for fault in [Fault::ErrorObject, Fault::InBandError(InBandError::default())] {
            let answer = answer_under(&fault, api, false).await;
            assert_eq!(answer.status, 200);
            assert!(answer.json()["error"]["message"].is_string(), "{fault:?} in {api:?}");
        }
        for fault in [Fault::CleanEnd { after: 0 }, Fault::DoneWithoutFinish { after: 0 }] {
            let answer = answer_under(&fault, api, false).await;
            assert!(answer.text().contains("one two") && !has_finish(&answer), "{fault:?} in {api:?}");
        }
    }
}

#[tokio::test]
async fn the_first_event_may_be_the_error_and_it_has_the_shape_of_the_format() {
    let openai = answer_under(&Fault::InBandError(InBandError::default()), Api::OpenAi, true).await;
    let events = openai.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["error"]["type"], "server_error");

    let anthropic = answer_under(&Fault::InBandError(InBandError::default()), Api::Anthropic, true).await;
    assert!(anthropic.text().starts_with("event: error\ndata: "), "{}", anthropic.text());
    let events = anthropic.events();
    assert_eq!((events.len(), &events[0]["error"]["type"]), (1, &json!("overloaded_error")));

    let error = ErrorWords { code: Some(json!("insufficient_quota")), ..ErrorWords::default() };
    let named = Fault::InBandError(InBandError { error, event_line: true, after: 1 });
    let named = answer_under(&named, Api::OpenAi, true).await;
    assert!(named.text().contains("event: error\ndata: "), "{}", named.text());
    assert_eq!(named.events().last().unwrap()["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn a_broken_body_comes_to_a_call_for_a_stream_as_well() {
    for api in Api::BOTH {
        let short = answer_under(&Fault::ShortBody, api, true).await;
        assert_eq!((short.ending, short.header("content-type")), (Ending::Closed, Some("application/json")));
        let truncated = answer_under(&Fault::TruncatedJson, api, true).await;
        assert_eq!((truncated.ending, truncated.body.last() == Some(&b'}')), (Ending::Whole, false));
    }
}

#[tokio::test]
async fn the_odd_bytes_of_an_answer_are_really_there() {
    for stream in [false, true] {
        let answer = answer_under(&Fault::BadUtf8, Api::OpenAi, stream).await;
        assert!(answer.body.contains(&0xFF), "stream {stream}");
        let answer = answer_under(&Fault::GzipHeader, Api::OpenAi, stream).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        let answer = answer_under(&Fault::EmptyDataLines { lines: 1_000_000 }, Api::OpenAi, stream).await;
        assert!(answer.text().lines().filter(|line| ["", "data:"].contains(line)).count() >= 1_000_000);
        let answer = answer_under(&Fault::JsonToStream, Api::OpenAi, stream).await;
        assert_eq!(answer.json()["object"], "chat.completion");
    }
    let huge = answer_under(&Fault::HugeLine { bytes: 1 << 20 }, Api::OpenAi, true).await;
    assert_eq!(huge.text().lines().map(str::len).max(), Some("data: ".len() + (1 << 20)));
    let headers =
        [("x-odd".to_owned(), "\u{e9}\u{1}".to_owned()), ("content-type".to_owned(), "text/plain".to_owned())];
    let simulator = scripted("m", Step { headers: headers.into(), ..Step::default() }).await;
    let odd = call(simulator.addr(), Api::OpenAi, &chat("m", false)).await;
    assert_eq!((odd.header("x-odd"), odd.header("content-type")), (Some("\u{e9}\u{1}"), Some("text/plain")));
}

#[tokio::test]
async fn every_error_status_has_the_body_of_its_provider() {
    for status in [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529] {
        let fault = Fault::Status(StatusFault { status, ..StatusFault::default() });
        let openai = answer_under(&fault, Api::OpenAi, false).await;
        assert_eq!(openai.status, status);
        let error = openai.json()["error"].clone();
        assert!(["message", "type", "param", "code"].iter().all(|key| error.get(key).is_some()), "{status}: {error}");
        let anthropic = answer_under(&fault, Api::Anthropic, true).await;
        assert_eq!((anthropic.status, &anthropic.json()["type"]), (status, &json!("error")));
        assert!(anthropic.json()["error"]["type"].is_string() && anthropic.header("retry-after").is_none());
    }
}

#[tokio::test]
async fn a_retry_hint_comes_in_seconds_as_a_date_or_in_milliseconds() {
    let answer = async |hint| {
        let fault = StatusFault { status: 429, retry_after: Some(hint), ..StatusFault::default() };
        answer_under(&Fault::Status(fault), Api::OpenAi, false).await
    };
    assert_eq!(answer(RetryAfter::Seconds(2)).await.header("retry-after"), Some("2"));
    assert_eq!(answer(RetryAfter::Ms(300)).await.header("retry-after-ms"), Some("300"));
    assert_eq!(answer(RetryAfter::Raw("soon".into())).await.header("retry-after"), Some("soon"));
    let dated = answer(RetryAfter::HttpDate(5)).await;
    let at = |name| httpdate::parse_http_date(dated.header(name).unwrap()).unwrap();
    let ahead = at("retry-after").duration_since(at("date")).unwrap().as_secs();
    assert!((4..=6).contains(&ahead), "{ahead} s ahead");
}

#[tokio::test]
async fn an_error_body_may_be_anything() {
    let bodies = [
        ("<html>bad gateway</html>", "text/html"),
        ("", "text/plain"),
        (r#"{"error":"a string"}"#, "application/json"),
        (r#"{"object":"error","message":"not nested","code":40001}"#, "application/json"),
    ];
    for (body, content_type) in bodies {
        let fault = Fault::Status(StatusFault { status: 502, body: Some(body.into()), ..StatusFault::default() });
        let answer = answer_under(&fault, Api::OpenAi, false).await;
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.header("content-type")),
            (502, body, Some(content_type))
        );
    }
    let redirect = answer_under(&Fault::Redirect { location: "http://elsewhere/".into() }, Api::OpenAi, true).await;
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("http://elsewhere/")));
}
