//! The route table: every path of the client listener with the methods it answers. A new route is a row here and a path
//! in `openapi/paths.yaml`; a test compares the two.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Route, web};

use crate::dialects::{ANTHROPIC_MESSAGES, Dialect, OPENAI_CHAT, UI_MESSAGES};
use crate::domain::error::GatewayError;

use super::{chat, count_tokens, guard, models, openapi, probes, receipt, reply, responses, resume, unread};

/// One path and what answers there.
struct Row {
    path: &'static str,
    /// Web pages may call it, so that browsers ask first.
    pages: bool,
    calls: &'static [(Method, Answer)],
}

/// A handler; each is of a type of its own, and a route hides that.
type Answer = fn() -> Route;

static ROWS: &[Row] = &[
    Row { path: "/v1/chat/completions", pages: true, calls: &[(Method::POST, || web::to(chat::openai_chat))] },
    Row { path: "/v1/embeddings", pages: true, calls: &[(Method::POST, || web::to(chat::embeddings))] },
    Row { path: "/v1/messages", pages: true, calls: &[(Method::POST, || web::to(chat::messages))] },
    Row {
        path: "/v1/messages/count_tokens",
        pages: true,
        calls: &[(Method::POST, || web::to(count_tokens::messages))],
    },
    Row { path: "/v1/responses", pages: true, calls: &[(Method::POST, || web::to(chat::response))] },
    Row {
        path: "/v1/responses/input_tokens",
        pages: true,
        calls: &[(Method::POST, || web::to(count_tokens::response))],
    },
    Row { path: "/v1/responses/compact", pages: true, calls: &[(Method::POST, || web::to(chat::compaction))] },
    Row {
        path: "/v1/responses/{id}",
        pages: true,
        calls: &[(Method::GET, || web::to(responses::show)), (Method::DELETE, || web::to(responses::delete))],
    },
    Row {
        path: "/v1/responses/{id}/input_items",
        pages: true,
        calls: &[(Method::GET, || web::to(responses::input_items))],
    },
    Row { path: "/v1/responses/{id}/cancel", pages: true, calls: &[(Method::POST, || web::to(responses::cancel))] },
    Row { path: "/api/chat", pages: true, calls: &[(Method::POST, || web::to(chat::ui_messages))] },
    Row { path: "/api/chat/{chat}/stream", pages: true, calls: &[(Method::GET, || web::to(resume::stream))] },
    Row { path: "/api/chat/{chat}/stop", pages: true, calls: &[(Method::POST, || web::to(resume::stop))] },
    Row {
        path: "/v1/models",
        pages: true,
        calls: &[(Method::GET, || web::to(models::list)), (Method::HEAD, || web::to(models::list))],
    },
    Row {
        path: "/v1/requests/{id}",
        pages: true,
        calls: &[(Method::GET, || web::to(receipt::show)), (Method::HEAD, || web::to(receipt::show))],
    },
    Row {
        path: "/healthz",
        pages: false,
        calls: &[(Method::GET, || web::to(probes::alive)), (Method::HEAD, || web::to(probes::alive))],
    },
    Row {
        path: "/readyz",
        pages: false,
        calls: &[(Method::GET, || web::to(probes::ready)), (Method::HEAD, || web::to(probes::ready))],
    },
    Row {
        path: "/openapi.json",
        pages: false,
        calls: &[(Method::GET, || web::to(openapi::show)), (Method::HEAD, || web::to(openapi::show))],
    },
];

pub(super) fn register(config: &mut web::ServiceConfig) {
    for row in ROWS {
        let mut resource = web::resource(row.path);
        for (method, answer) in row.calls {
            resource = resource.route(answer().method(method.clone()));
        }
        if row.pages {
            resource = resource
                .route(web::method(Method::OPTIONS).to(|request, door| guard::preflight(row.allow(), request, door)));
        }
        config.service(resource.default_service(web::to(|request, payload| wrong_method(row, request, payload))));
    }
    config.default_service(web::to(unknown_route));
}

/// Every path with the methods it answers, comma-separated.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, String)> {
    ROWS.iter().map(|row| (row.path, row.allow()))
}

impl Row {
    /// The methods of this path, as the `Allow` header lists them.
    fn allow(&self) -> String {
        let asked_first = self.pages.then_some(Method::OPTIONS);
        let methods = self.calls.iter().map(|(method, _)| method.clone()).chain(asked_first);
        methods.map(|method| method.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// The format of a client that called no chat route: Anthropic's name themselves on every call.
pub(super) fn spoken(request: &HttpRequest) -> &'static dyn Dialect {
    if request.path().starts_with("/api/chat") {
        return UI_MESSAGES;
    }
    let anthropic = request.headers().contains_key("anthropic-version") || request.path().starts_with("/v1/messages");
    if anthropic { ANTHROPIC_MESSAGES } else { OPENAI_CHAT }
}

async fn wrong_method(row: &Row, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let (method, path) = (request.method().to_string(), request.path().to_owned());
    let error = GatewayError::MethodNotAllowed { method, path, allowed: row.allow() };
    unread::drained(reply::error(spoken(&request), &error, &reply::request_id(&request)), payload)
}

async fn unknown_route(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let error = GatewayError::RouteNotFound { path: request.path().to_owned() };
    unread::drained(reply::error(spoken(&request), &error, &reply::request_id(&request)), payload)
}
