//! What is about tokens: registering, revoking, roles.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Api, body, told};
use crate::message::{TokenId, UserName};
use crate::registry::{Registered, RegisteredToken};

/// More than anyone has, and little enough to be in every rule's scope.
const MOST_ROLES: usize = 64;
const MOST_ROLE_BYTES: usize = 128;

const NEW_TOKEN: &str =
    "The body is {\"token\": \"<jwt>\"} or {\"id\": …, \"user\": …, \"expires_at\": <seconds since 1970>}, with \"roles\": […] if need be.";
const ROLES: &str = "The body is {\"roles\": […]}.";

/// Either `token`, or `id`, `user` and `expires_at`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    token: Option<SecretString>,
    id: Option<String>,
    user: Option<String>,
    expires_at: Option<u64>,
    roles: Option<Vec<Box<str>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: Vec<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    expires_at: Option<u64>,
}

/// `POST /api/tokens`
pub(super) async fn register(State(api): State<Arc<Api>>, request: Request) -> Result<(StatusCode, Json<Value>), Problem> {
    let asked: NewToken = body::json(request, NEW_TOKEN).await?;
    let roles = asked.roles.map(checked).transpose()?.map(Arc::from);
    let (token, issued_at) = match (asked.token, asked.id, asked.user, asked.expires_at) {
        (Some(jwt), None, None, None) => {
            let user = api.verifier.verify(jwt.expose_secret(), now_s())?;
            let (Some(id), Some(expires_at)) = (user.token, user.expires_at) else {
                return Err(Problem::new(Kind::TokenInvalid, "A JWT without an id (jti) can't be registered."));
            };
            (RegisteredToken { id, user: user.name, roles, expires_at }, user.issued_at)
        }
        (None, Some(id), Some(user), Some(expires_at)) => {
            let id = TokenId::new(&id).map_err(|error| bad(error.to_string()))?;
            let user = UserName::new(&user).map_err(|error| bad(error.to_string()))?;
            (RegisteredToken { id, user, roles, expires_at }, None)
        }
        _ => return Err(bad(NEW_TOKEN)),
    };
    let shown = shown(&token);
    let user = token.user.clone();
    let status = match api.admissions.register(token, issued_at).await? {
        Registered::New => StatusCode::CREATED,
        Registered::Changed | Registered::Same => StatusCode::OK,
        Registered::Others => return Err(Problem::new(Kind::Others, "A token's id belongs to one user; nothing was changed.")),
    };
    tracing::info!(%user, "a token was registered");
    Ok((status, Json(shown)))
}

/// `GET /api/tokens/{jti}`
pub(super) async fn token(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, Problem> {
    let token = api.admissions.token(params.token()?).await?;
    token.map(|token| Json(shown(&token))).ok_or_else(not_registered)
}

/// `GET /api/users/{name}/tokens`
pub(super) async fn of_user(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, Problem> {
    let tokens = api.admissions.tokens_of(params.user()?).await?;
    Ok(Json(json!({ "tokens": tokens.iter().map(shown).collect::<Vec<_>>() })))
}

/// `PUT /api/tokens/{jti}/roles`
pub(super) async fn change_roles(State(api): State<Arc<Api>>, params: Params, request: Request) -> Result<StatusCode, Problem> {
    let token = params.token()?;
    let Roles { roles } = body::json(request, ROLES).await?;
    if !api.admissions.change_roles(token, checked(roles)?).await? {
        return Err(not_registered());
    }
    tracing::info!("a token's roles were changed");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/tokens/{jti}`
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    params: Params,
    query: Result<Query<Revoke>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let token = params.token()?;
    // The rejection's own text would quote the query.
    let Query(Revoke { expires_at }) = query.map_err(|_| bad("The query is expires_at=<seconds since 1970>, or none."))?;
    let how = api.admissions.revoke_token(token, expires_at).await?;
    tracing::info!(?how, "a token was revoked");
    Ok(told(how))
}

fn shown(token: &RegisteredToken) -> Value {
    json!({ "id": token.id.as_str(), "user": token.user.as_str(), "expires_at": token.expires_at, "roles": token.roles.as_deref() })
}

fn checked(roles: Vec<Box<str>>) -> Result<Vec<Box<str>>, Problem> {
    let good = |role: &str| !role.is_empty() && role.len() <= MOST_ROLE_BYTES && !role.chars().any(char::is_control);
    if roles.len() > MOST_ROLES || !roles.iter().all(|role| good(role)) {
        return Err(bad("There are at most 64 roles, each of 1 to 128 bytes and without control characters."));
    }
    Ok(roles)
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}

fn not_registered() -> Problem {
    Problem::new(Kind::NotFound, "No token with this id is registered, or not any more.")
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
