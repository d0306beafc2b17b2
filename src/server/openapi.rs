//! `GET /openapi.json`: this listener, described for programs.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use bytes::Bytes;
use serde_json::Value;

/// The document as JSON. It is written in YAML, with comments and without repetitions.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .content_type("application/json")
        .body(DOCUMENT.clone())
}

fn document() -> Value {
    let read = |text| read(text).expect("a file of this crate, which a test reads");
    let mut document = read(include_str!("openapi/paths.yaml"));
    document["components"] = read(include_str!("openapi/components.yaml"));
    document["components"]["schemas"] = read(include_str!("openapi/schemas.yaml"));
    document
}

/// YAML with merge keys (`<<`), which JSON has not.
fn read(text: &str) -> Result<Value, serde_yaml::Error> {
    let mut yaml: serde_yaml::Value = serde_yaml::from_str(text)?;
    yaml.apply_merge()?;
    serde_yaml::from_value(yaml)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::routes;

    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().into_iter().flat_map(|item| item.keys());
                let methods = methods.map(|name| name.to_uppercase()).filter(|name| METHODS.contains(&name.as_str()));
                methods.map(|method| (path.clone(), method))
            })
            .collect();
        let registered: BTreeSet<(String, String)> = routes::all()
            .flat_map(|(path, allow)| {
                let methods: Vec<_> = allow.split(", ").map(|method| (path.to_owned(), method.to_owned())).collect();
                methods
            })
            .collect();
        assert_eq!(described, registered);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, node: &Value) {
            match node {
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        let pointer = target.strip_prefix('#').expect("a place in this document");
                        assert!(document.pointer(pointer).is_some(), "{target}");
                    }
                    members.values().for_each(|inner| check(document, inner));
                }
                Value::Array(items) => items.iter().for_each(|inner| check(document, inner)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }

    #[test]
    fn it_names_the_version_of_this_package() {
        assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
