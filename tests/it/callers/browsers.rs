//! Web pages: which ones may call, and that no page of another site can use a gateway without keys.

use reqwest::Method;
use serde_json::json;

use super::{call, entry};
use crate::support::TestGateway;

const CHAT: &str = "/v1/chat/completions";

async fn keyless() -> TestGateway {
    TestGateway::with(|config| config["keys"] = json!([])).await
}

/// Key `page` is for the page at app.example, key `server` for no page.
async fn with_pages() -> TestGateway {
    TestGateway::with(|config| {
        config["keys"] = json!([entry("page", json!({ "cors": ["https://app.example"] })), entry("server", json!({}))]);
    })
    .await
}

#[tokio::test]
async fn without_keys_only_this_machines_names_are_answered() {
    let gw = keyless().await;
    let port = gw.gateway.client.port();
    for (method, path) in [(Method::POST, CHAT), (Method::GET, "/v1/models")] {
        // A page of evil.example that lets its name point at 127.0.0.1 sends its own name.
        for host in [
            "evil.example",
            &format!("evil.example:{port}"),
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "",
        ] {
            let reply = call(&gw, method.clone(), path, &[("host", host)]).await;
            assert_eq!((reply.status, reply.code()), (403, "forbidden".to_owned()), "{host:?} {path}");
        }
        for host in
            [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "LOCALHOST".to_owned()]
        {
            assert_eq!(call(&gw, method.clone(), path, &[("host", &host)]).await.status, 200, "{host} {path}");
        }
    }
    assert_eq!(gw.mock.counts().calls, 4);
}

#[tokio::test]
async fn without_keys_only_this_machines_pages_are_served() {
    let gw = keyless().await;
    for origin in
        ["https://evil.example", "http://localhost.evil.example", "null", "", "file://", "http://192.168.0.10"]
    {
        for (method, path) in [(Method::POST, CHAT), (Method::GET, "/v1/models")] {
            let reply = call(&gw, method, path, &[("origin", origin)]).await;
            assert_eq!(reply.status, 403, "{origin:?} {path}");
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin:?}");
        }
        let preflight = call(&gw, Method::OPTIONS, CHAT, &[("origin", origin)]).await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (403, ""), "{origin:?}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
    for origin in ["http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]"] {
        let reply = call(&gw, Method::POST, CHAT, &[("origin", origin)]).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, origin));
    }
    // Everything that is no browser sends none.
    assert_eq!(call(&gw, Method::POST, CHAT, &[]).await.status, 200);
}

#[tokio::test]
async fn a_page_may_use_the_key_that_lists_it_and_no_other() {
    let gw = with_pages().await;
    let (ours, key, other) = ("https://app.example", "Bearer KEY-OF-page", "Bearer KEY-OF-server");
    for (method, path) in [(Method::POST, CHAT), (Method::GET, "/v1/models")] {
        let reply = call(&gw, method.clone(), path, &[("authorization", key), ("origin", ours)]).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ours), "{path}");
        assert_eq!(reply.header("access-control-expose-headers"), "*");
        assert!(reply.header("vary").eq_ignore_ascii_case("origin"), "{}", reply.header("vary"));
        for (key, origin) in [
            (other, ours),
            (key, "https://evil.example"),
            (key, "http://app.example"),
            (key, "https://app.example:444"),
            (key, "https://app.example.evil.example"),
            (key, "null"),
            (key, "http://localhost:3000"),
        ] {
            let reply = call(&gw, method.clone(), path, &[("authorization", key), ("origin", origin)]).await;
            assert_eq!((reply.status, reply.code()), (403, "forbidden".to_owned()), "{origin} {path}");
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin} {path}");
        }
        // A key alone, from a server.
        assert_eq!(call(&gw, method, path, &[("authorization", other)]).await.status, 200);
    }
}

#[tokio::test]
async fn a_page_can_read_why_its_call_was_refused() {
    let gw = with_pages().await;
    let headers = [("authorization", "Bearer KEY-OF-page"), ("origin", "https://app.example")];
    let request = gw.client.post(gw.url(CHAT)).header(headers[0].0, headers[0].1).header(headers[1].0, headers[1].1);
    let reply = crate::support::Reply::of(request.body("{nope").send().await.unwrap()).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (400, "https://app.example"));
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_knows_the_pages_of_all_keys() {
    let gw = with_pages().await;
    for path in [CHAT, "/v1/models"] {
        let asked = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let reply = call(&gw, Method::OPTIONS, path, &asked).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
        let list = |name: &str| reply.header(name).to_lowercase();
        assert!(list("access-control-allow-methods").contains("post"));
        for name in ["authorization", "content-type"] {
            assert!(list("access-control-allow-headers").contains(name), "{}", list("access-control-allow-headers"));
        }
        assert_eq!(reply.header("cache-control"), "no-store");
        for origin in ["https://evil.example", "null", "http://localhost:3000"] {
            let reply = call(&gw, Method::OPTIONS, path, &[("origin", origin)]).await;
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, ""), "{origin}");
        }
    }
}

#[tokio::test]
async fn with_keys_the_names_that_are_answered_are_those_that_config_lists() {
    let gw = TestGateway::with(|config| {
        config["keys"] = json!([entry("web", json!({}))]);
        config["server"]["hosts"] = json!(["gateway.example"]);
    })
    .await;
    let key = ("authorization", "Bearer KEY-OF-web");
    for host in ["gateway.example", "GATEWAY.example:443", "127.0.0.1:1", "localhost"] {
        assert_eq!(call(&gw, Method::POST, CHAT, &[key, ("host", host)]).await.status, 200, "{host}");
    }
    for host in ["evil.example", "gateway.example.evil.example", "xgateway.example"] {
        assert_eq!(call(&gw, Method::POST, CHAT, &[key, ("host", host)]).await.status, 403, "{host}");
    }
}
