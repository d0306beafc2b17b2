use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const PATIENT: Duration = Duration::from_secs(20);

fn bounds(allow: &[String]) -> Bounds<'_> {
    Bounds { allow, timeout: PATIENT, max_bytes: 1_000 }
}

fn client() -> Guarded {
    Guarded::new().expect("a client")
}

/// A server on this machine that counts on nobody to come.
async fn inside() -> (MockServer, String) {
    let server = MockServer::start().await;
    let redirect = ResponseTemplate::new(302).insert_header("location", format!("{}/secret", server.uri()));
    Mock::given(path("/redirect")).respond_with(redirect).mount(&server).await;
    Mock::given(path("/large"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 1_001]))
        .mount(&server)
        .await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(path("/slow")).respond_with(slow).mount(&server).await;
    Mock::given(path("/keys")).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&server).await;
    let host = server.address().to_string();
    (server, host)
}

#[tokio::test]
async fn nothing_but_the_public_internet_is_reached_however_it_is_spelt() {
    let (server, _) = inside().await;
    let (client, port) = (client(), server.address().port());
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "0",
        "10.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.168.0.1",
        "localhost",
        "LOCALHOST",
        "user@127.0.0.1",
        "user:password@example.com",
    ] {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}:{port}/keys");
            let refused = client.get(&url, bounds(&[])).await;
            assert!(matches!(refused, Err(GuardedError::Refused(_))), "{url}: {refused:?}");
        }
    }
    for url in ["ftp://example.com/", "file:///etc/passwd", "http://example.com/", "data:,x", "example.com", ""] {
        let refused = client.get(url, bounds(&[])).await;
        assert!(matches!(refused, Err(GuardedError::Refused(_))), "{url}: {refused:?}");
    }
    assert!(server.received_requests().await.expect("recorded").is_empty());
}

#[tokio::test]
async fn a_listed_host_is_reached_on_the_listed_port_only() {
    let (server, host) = inside().await;
    let allow = [host.clone()];
    let fetched = client().get(&format!("http://{host}/keys"), bounds(&allow)).await;
    assert_eq!(fetched, Ok(Fetched { status: 200, body: "[]".into() }));
    let elsewhere =
        [format!("127.0.0.1:{}", server.address().port() ^ 1), format!("localhost:{}", server.address().port())];
    let refused = client().get(&format!("http://{host}/keys"), bounds(&elsewhere)).await;
    assert!(matches!(refused, Err(GuardedError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (server, host) = inside().await;
    let fetched = client().get(&format!("http://{host}/redirect"), bounds(std::slice::from_ref(&host))).await;
    assert_eq!(fetched.map(|fetched| fetched.status), Ok(302));
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_too_late_is_none() {
    let (_server, host) = inside().await;
    let allow = [host.clone()];
    let large = client().get(&format!("http://{host}/large"), bounds(&allow)).await;
    assert_eq!(large, Err(GuardedError::TooLarge));
    let hurried = Bounds { timeout: Duration::from_millis(50), ..bounds(&allow) };
    assert_eq!(client().get(&format!("http://{host}/slow"), hurried).await, Err(GuardedError::Timeout));
}
