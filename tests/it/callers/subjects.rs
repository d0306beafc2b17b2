//! On whose account a call goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{chat_as, entry};
use crate::support::{Reply, TestGateway};

/// Keys `web` and `app` of team `product` and `ops` of none; `web` and `ops` speak for their users.
async fn house(limits: Value) -> TestGateway {
    TestGateway::with(|config| {
        config["keys"] = json!([
            entry("web", json!({ "team": "product", "user_from": "header" })),
            entry("app", json!({ "team": "product" })),
            entry("ops", json!({ "user_from": "header" })),
        ]);
        config["limits"] = limits;
    })
    .await
}

fn hit(reply: &Reply) -> (u16, String, String) {
    let limit = &reply.json()["error"]["limit"];
    let word = |name: &str| limit[name].as_str().unwrap_or_default().to_owned();
    (reply.status, word("scope"), word("id"))
}

fn refused(scope: &str, id: &str) -> (u16, String, String) {
    (429, scope.to_owned(), id.to_owned())
}

#[tokio::test]
async fn a_user_id_is_believed_only_from_a_key_that_says_so() {
    let gw = house(json!([{ "scope": "user", "usd": 5, "per": "day" }])).await;
    for (key, user) in [("web", "alice"), ("app", "alice2"), ("web", ""), ("ops", "bob")] {
        assert_eq!(chat_as(&gw, &format!("KEY-OF-{key}"), user).await.status, 200);
    }
    gw.finished(4).await;
    let usage = gw.usage().await;
    let rows = usage["limits"].as_array().unwrap().iter().filter(|row| row["scope"] == "user");
    let users: BTreeSet<&str> =
        rows.filter(|row| row["settled_nano"] != 0).map(|row| row["id"].as_str().unwrap()).collect();
    // No user known: the key is the user.
    assert_eq!(users, BTreeSet::from(["alice", "app", "bob", "web"]));
}

#[tokio::test]
async fn a_user_id_that_could_be_anything_is_a_400_and_one_that_is_not_believed_is_nobodys_concern() {
    let gw = house(json!([])).await;
    for user in [" ", &"u".repeat(257), "zo\u{eb}", "a\tb"] {
        let reply = chat_as(&gw, "KEY-OF-web", user).await;
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some("x-user-id")), "{user:?}");
        assert_eq!(chat_as(&gw, "KEY-OF-app", user).await.status, 200);
    }
    assert_eq!(chat_as(&gw, "KEY-OF-web", &"u".repeat(256)).await.status, 200);
}

#[tokio::test]
async fn each_limit_counts_its_own_subject() {
    let gw = house(json!([
        { "scope": "user", "requests": 2, "per": "1h" },
        { "scope": "team", "requests": 4, "per": "1h" },
        { "scope": "global", "requests": 7, "per": "1h" },
    ]))
    .await;
    let served = (200, String::new(), String::new());
    for (key, user, outcome) in [
        ("web", "alice", served.clone()),
        ("web", "alice", served.clone()),
        ("web", "alice", refused("user", "alice")),
        // Another user of the same team, through the same key and through another one.
        ("web", "bob", served.clone()),
        ("app", "alice", served.clone()),
        ("app", "", refused("team", "product")),
        ("web", "bob", refused("team", "product")),
        // Of no team: a user is the same person whatever key speaks for it.
        ("ops", "alice", refused("user", "alice")),
        ("ops", "carol", served.clone()),
        ("ops", "carol", served.clone()),
        ("ops", "carol", refused("user", "carol")),
        ("ops", "dave", served.clone()),
        ("ops", "erin", refused("global", "")),
    ] {
        assert_eq!(hit(&chat_as(&gw, &format!("KEY-OF-{key}"), user).await), outcome, "{key} for {user:?}");
    }
    assert_eq!(gw.mock.counts().calls, 7);
}

#[tokio::test]
async fn a_keys_own_limits_bind_it_alone_and_on_top_of_the_common_ones() {
    let gw = TestGateway::with(|config| {
        config["keys"] = json!([
            entry("web", json!({ "limits": [{ "scope": "key", "requests": 1, "per": "1h" }] })),
            entry("app", json!({})),
        ]);
        config["limits"] = json!([{ "scope": "key", "requests": 3, "per": "2h" }]);
    })
    .await;
    assert_eq!(chat_as(&gw, "KEY-OF-web", "").await.status, 200);
    assert_eq!(hit(&chat_as(&gw, "KEY-OF-web", "").await), refused("key", "web"));
    for _ in 0..3 {
        assert_eq!(chat_as(&gw, "KEY-OF-app", "").await.status, 200);
    }
    assert_eq!(hit(&chat_as(&gw, "KEY-OF-app", "").await), refused("key", "app"));
}
