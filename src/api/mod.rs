//! What backends and operators order over HTTP, under `/api`: log out, revoke, register, look who is there, end.
//!
//! Knows no socket of a client. Every request bears a service token, which is looked at before anything else.

mod body;
mod nodes;
mod params;
mod problem;
mod service_token;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any_service, delete, get, post, put};
use secrecy::SecretString;
use tokio::time::timeout;

use self::problem::{Kind, Problem};
use self::service_token::ServiceTokens;
use crate::admission::{Admissions, Told};
use crate::auth::TokenVerifier;
use crate::shutdown::Shutdown;

/// At the latest after this a request is answered; what it asks of the registry and the store each ends sooner by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What the endpoints need.
#[derive(Debug)]
pub struct Api {
    service_tokens: ServiceTokens,
    admissions: Admissions,
    verifier: Arc<TokenVerifier>,
    shutdown: Shutdown,
}

impl Api {
    /// None without a service token: nobody could use it.
    pub fn new(service_tokens: &[SecretString], admissions: Admissions, verifier: Arc<TokenVerifier>, shutdown: Shutdown) -> Option<Self> {
        let service_tokens = ServiceTokens::new(service_tokens)?;
        Some(Self { service_tokens, admissions, verifier, shutdown })
    }
}

/// Everything under `/api`.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let routes = endpoints().into_iter().fold(Router::new(), |router, (_, path, handler)| router.route(&format!("/api{path}"), handler));
    let inside = routes
        .fallback(async || Problem::new(Kind::NotFound, "There is nothing under this path."))
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed, "The header Allow says what this path takes."))
        .with_state(Arc::clone(&api));
    // Around all routes, not around each: those say which methods they take, whoever asks. And not nested, which would leave
    // `/api/` to the routes outside.
    let guarded = any_service(inside).layer(from_fn_with_state(api, guard));
    ["/api", "/api/", "/api/{*rest}"].into_iter().fold(Router::new(), |router, path| router.route(path, guarded.clone()))
}

/// Method, path below `/api`, and what does it; `docs/http-api.md` has all of them.
fn endpoints() -> Vec<(&'static str, &'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("POST", "/users/{name}/logout", post(users::log_out)),
        ("GET", "/users/{name}/sessions", get(users::sessions)),
        ("DELETE", "/users/{name}/sessions/{id}", delete(users::end_session)),
        ("GET", "/users/{name}/logins", get(users::logins)),
        ("DELETE", "/logins/{id}", delete(users::end_login)),
        ("POST", "/tokens", post(tokens::register)),
        ("GET", "/tokens/{jti}", get(tokens::token)),
        ("DELETE", "/tokens/{jti}", delete(tokens::revoke)),
        ("PUT", "/tokens/{jti}/roles", put(tokens::change_roles)),
        ("GET", "/users/{name}/tokens", get(tokens::of_user)),
        ("GET", "/nodes", get(nodes::all)),
    ]
}

/// Looks at the service token before the path or the body, and sees to it that an answer comes and that nobody keeps it.
async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut response = if api.service_tokens.admit(request.headers()) {
        // A task of its own: a backend that hangs up must not leave its order half done.
        let order = api.shutdown.spawn("api", next.run(request));
        match timeout(ANSWER_WITHIN, order).await {
            Ok(Ok(response)) => response,
            Ok(Err(_panicked)) => Problem::new(Kind::Internal, "The broker's log says more.").into_response(),
            Err(_) => Problem::new(Kind::TooLate, "What was asked may have been done or not; ask again.").into_response(),
        }
    } else {
        Problem::new(Kind::Unauthorized, "Send one of auth.service_tokens as Authorization: Bearer …").into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// How a revocation is answered.
fn told(told: Told) -> StatusCode {
    match told {
        Told::Now => StatusCode::NO_CONTENT,
        Told::Soon => StatusCode::ACCEPTED,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn page() -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http-api.md")).unwrap()
    }

    #[test]
    fn the_page_has_every_endpoint_with_an_example_and_no_other() {
        let page = page();
        let sections: Vec<_> = page.split("\n### ").skip(1).collect();
        let titles: BTreeSet<_> = sections.iter().filter_map(|section| section.lines().next()).map(str::to_owned).collect();
        let endpoints: BTreeSet<_> = endpoints().iter().map(|(method, path, _)| format!("`{method} /api{path}`")).collect();
        assert_eq!(titles, endpoints);
        for section in sections {
            let section = section.split("\n## ").next().unwrap_or_default();
            let (title, example) = section.split_once('\n').unwrap();
            let (method, path) = title.trim_matches('`').split_once(' ').unwrap();
            // The example calls this very path: up to its first variable part at least.
            let fixed = path.split('{').next().unwrap_or_default().replacen("/api", "$API", 1);
            let calls = example.lines().find(|line| line.starts_with("curl "));
            let calls = calls.unwrap_or_else(|| panic!("{title} needs an example with curl"));
            assert!(calls.contains(&fixed) && (method == "GET" || calls.contains(&format!("-X {method} "))), "{title}\n{calls}");
        }
    }

    #[test]
    fn the_page_has_every_code() {
        let page = page();
        for kind in Kind::ALL {
            let row = format!("| `{}` | {} |", kind.code(), kind.status().as_u16());
            assert!(page.contains(&row), "docs/http-api.md lacks a row that begins with\n{row}");
        }
    }
}
