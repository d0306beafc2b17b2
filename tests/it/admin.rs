//! The operators' listener: what it tells, and to whom.

use headgate::simulator::Step;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{KEY, PATIENCE, Reply, TestGateway, config, mock, sha256_hex, streamed, told_when};

const TOKEN: &str = "canary-token-of-the-operator";
const PROVIDERS_KEY: &str = "canary-key-of-the-provider";

/// A gateway that knows two secrets from files.
async fn with_secrets() -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    config["server"]["admin_token"] = json!("file:token");
    config["providers"]["openai"]["api_key"] = json!("file:key");
    config["limits"] = json!([
        { "scope": "user", "usd": 5, "per": "day" },
        { "scope": "global", "usd": "0.5", "per": "day" },
        { "scope": "user", "requests": 10, "per": "1m" },
    ]);
    let folder = TempDir::new().expect("a temporary folder");
    let files = [("token", TOKEN), ("key", PROVIDERS_KEY)];
    TestGateway::start_in(mock, folder, &config, &files).await.expect("the gateway starts")
}

async fn ask(gw: &TestGateway, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = gw.client.request(method, format!("http://{}{path}", gw.gateway.admin));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Reply::of(request.send().await.expect("an answer")).await
}

async fn get(gw: &TestGateway, path: &str) -> Reply {
    ask(gw, Method::GET, path, &[("authorization", &format!("Bearer {TOKEN}"))]).await
}

const PATHS: &[&str] = &["/metrics", "/api/usage", "/api/config"];

#[tokio::test]
async fn everything_needs_the_token() {
    let gw = with_secrets().await;
    let (almost, callers) = (format!("Bearer {}", &TOKEN[1..]), format!("Bearer {KEY}"));
    for path in PATHS.iter().chain(&["/api/", "/api/nothing", "/nothing"]) {
        for headers in [
            vec![],
            vec![("authorization", "Bearer")],
            vec![("authorization", "Bearer ")],
            vec![("authorization", almost.as_str())],
            vec![("authorization", callers.as_str())],
            vec![("authorization", TOKEN)],
            vec![("x-api-key", TOKEN)],
        ] {
            let reply = ask(&gw, Method::GET, path, &headers).await;
            assert_eq!(reply.status, 401, "{path} {headers:?}");
            assert_eq!(reply.header("cache-control"), "no-store");
        }
        assert_ne!(get(&gw, path).await.status, 401, "{path}");
    }
    // In a URL it would end up in the logs of every proxy.
    assert_eq!(ask(&gw, Method::GET, &format!("/metrics?token={TOKEN}"), &[]).await.status, 401);
}

#[tokio::test]
async fn pages_and_names_of_others_are_refused_even_with_the_token() {
    let gw = with_secrets().await;
    let (token, admin) = (format!("Bearer {TOKEN}"), gw.gateway.admin.to_string());
    let own = format!("http://{admin}");
    for path in PATHS {
        for strange in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:3000"),
            ("origin", "http://127.0.0.1"),
            ("host", "evil.example"),
            ("host", "localhost.evil.example:8081"),
            ("host", "127.0.0.1.evil.example"),
            ("host", ""),
        ] {
            let reply = ask(&gw, Method::GET, path, &[("authorization", &token), strange]).await;
            assert_eq!(reply.status, 403, "{path} {strange:?}");
            assert_eq!(reply.header("access-control-allow-origin"), "");
        }
        for fine in [("origin", own.as_str()), ("host", "localhost:1"), ("host", "[::1]:1")] {
            assert_eq!(
                ask(&gw, Method::GET, path, &[("authorization", &token), fine]).await.status,
                200,
                "{path} {fine:?}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_of_it_is_on_the_clients_listener() {
    let gw = with_secrets().await;
    for path in PATHS {
        for token in [TOKEN, KEY] {
            let reply = Reply::of(gw.client.get(gw.url(path)).bearer_auth(token).send().await.unwrap()).await;
            assert_eq!((reply.status, reply.code().as_str()), (404, "route_not_found"), "{path}");
        }
    }
}

/// Value of the sample with this name and labels.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(|value| value.parse().ok())
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_rely_on_and_count_what_happened() {
    let gw = with_secrets().await;
    gw.mock.script("first", vec![Step::status(500), Step::text("hello")]);
    assert_eq!(gw.ask("standard").await.status, 200);
    assert_eq!(gw.ask("standard").await.status, 200);
    assert_eq!(gw.ask("nowhere").await.status, 404);
    assert_eq!(gw.chat(&streamed("standard")).await.status, 200);
    gw.finished(4).await;
    let breaker = r#"headgate_breaker_state{target="openai/first"}"#;
    // What only a look from outside can tell is looked at once a second.
    let shows = |reply: &Reply| sample(&String::from_utf8_lossy(&reply.body), breaker).is_some();
    let reply = told_when(breaker, PATIENCE, async || get(&gw, "/metrics").await, shows).await;
    assert!(
        reply.header("content-type").starts_with("application/openmetrics-text"),
        "{}",
        reply.header("content-type")
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    let metrics = String::from_utf8(reply.body).unwrap();
    let without_buckets: Vec<&str> = metrics.lines().filter(|line| !line.contains("_bucket{")).collect();
    for (name, value) in [
        ("headgate_config_generation", 1.0),
        ("headgate_holds_open", 0.0),
        ("headgate_runs_open", 0.0),
        ("headgate_upstream_open", 0.0),
        ("headgate_store_up", 1.0),
        ("headgate_usage_anomalies_total", 0.0),
        (breaker, 0.0),
        (r#"headgate_policy_failures_total{hook="admission"}"#, 0.0),
        (r#"headgate_runs_total{tier="standard",outcome="ok",status="200"}"#, 3.0),
        (r#"headgate_runs_total{tier="",outcome="refused",status="404"}"#, 1.0),
        (r#"gen_ai_client_operation_duration_seconds_count{gen_ai_request_model="openai/first"}"#, 2.0),
        (r#"gen_ai_client_operation_time_to_first_chunk_seconds_count{gen_ai_request_model="openai/first"}"#, 1.0),
        (r#"gen_ai_client_operation_duration_seconds_count{gen_ai_request_model="anthropic/second"}"#, 1.0),
        (r#"gen_ai_client_token_usage_count{gen_ai_request_model="openai/first",gen_ai_token_type="output"}"#, 2.0),
    ] {
        assert_eq!(sample(&metrics, name), Some(value), "{name} in\n{}", without_buckets.join("\n"));
    }
    // Labels are what config names: no user and no free text makes a new series.
    assert!(!metrics.contains("nowhere") && !metrics.contains("web"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn usage_has_the_shape_that_scripts_rely_on() {
    let gw = with_secrets().await;
    assert_eq!(gw.ask("standard").await.status, 200);
    let cost = gw.finished(1).await["cost_nano"].as_u64().unwrap();
    let reply = get(&gw, "/api/usage").await;
    assert_eq!((reply.header("content-type"), reply.header("cache-control")), ("application/json", "no-store"));
    assert_usage(&reply.json(), cost);
}

/// One call of the test key that cost `cost`, under the limits of `with_secrets`.
pub fn assert_usage(usage: &Value, cost: u64) {
    assert_eq!(usage["platform_waste_nano"], 0);
    let row = |scope: &str, unit: &str| {
        let rows: Vec<&Value> = usage["limits"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["scope"] == scope && row["unit"] == unit)
            .collect();
        assert_eq!(rows.len(), 1, "{scope} {unit} in {usage}");
        rows[0]
    };
    for (scope, id, limit) in [("user", "web", 5_000_000_000_u64), ("global", "", 500_000_000)] {
        let row = row(scope, "usd");
        let fields: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["scope", "id", "unit", "per", "limit_nano", "settled_nano", "held_nano", "resets_at"]);
        assert_eq!((&row["id"], &row["per"]), (&json!(id), &json!("day")));
        // A user's limit is known where the user is a key; a global one always.
        assert!(row["limit_nano"] == limit || (scope == "user" && row["limit_nano"].is_null()), "{row}");
        assert_eq!((&row["settled_nano"], &row["held_nano"]), (&json!(cost), &json!(0)), "{row}");
        let resets: jiff::Timestamp = row["resets_at"].as_str().unwrap().parse().expect("RFC 3339");
        assert_eq!(resets.as_second() % 86_400, 0, "midnight UTC");
    }
    assert_eq!(row("user", "requests")["used"], 1);
}

#[tokio::test]
async fn the_shown_config_is_whole_and_has_stars_for_secrets() {
    let gw = with_secrets().await;
    let reply = get(&gw, "/api/config").await;
    assert_eq!(reply.status, 200);
    let shown = String::from_utf8(reply.body).unwrap();
    for secret in [TOKEN, PROVIDERS_KEY, KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let read: Value = serde_yaml::from_str(&shown).unwrap();
    assert_eq!(
        (&read["server"]["admin_token"], &read["providers"]["openai"]["api_key"]),
        (&json!("***"), &json!("***"))
    );
    assert_eq!(read["keys"][0]["sha256"], sha256_hex(KEY));
    // Defaults are written out.
    assert_eq!((&read["timeouts"]["connect"], &read["retry"]["attempts"]), (&json!("3s"), &json!(3)));
    assert_eq!(read["tiers"]["standard"]["fallback"], json!(["anthropic/second"]));
    assert_eq!(read["limits"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_token_is_made_up_where_config_names_none_and_is_another_one_at_every_start() {
    let (one, two) = (TestGateway::start().await, TestGateway::start().await);
    assert!(one.gateway.admin_token_is_new && one.gateway.admin_token.len() >= 32);
    assert_ne!(one.gateway.admin_token, two.gateway.admin_token);
    let token = format!("Bearer {}", two.gateway.admin_token);
    assert_eq!(ask(&one, Method::GET, "/metrics", &[("authorization", &token)]).await.status, 401);
    assert_eq!(ask(&two, Method::GET, "/metrics", &[("authorization", &token)]).await.status, 200);
}
