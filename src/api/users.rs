//! What is about a user: logging out, sessions, login sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Api, told};
use crate::message::{TokenId, UserName};

/// `POST /api/users/{name}/logout`
pub(super) async fn log_out(State(api): State<Arc<Api>>, params: Params) -> Result<StatusCode, Problem> {
    let user = params.user()?;
    let how = api.admissions.log_out(user.clone()).await?;
    tracing::info!(%user, ?how, "a user was logged out");
    Ok(told(how))
}

/// `GET /api/users/{name}/sessions`
pub(super) async fn sessions(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, Problem> {
    let sessions = api.admissions.sessions_of(params.user()?).await?;
    let shown = sessions.iter().map(|session| {
        json!({
            "id": &*session.id,
            "node": &*session.node.name,
            "since_ms": session.since_ms,
            "token": session.token.as_ref().map(TokenId::as_str),
        })
    });
    Ok(Json(json!({ "sessions": shown.collect::<Vec<_>>() })))
}

/// `DELETE /api/users/{name}/sessions/{id}`
pub(super) async fn end_session(State(api): State<Arc<Api>>, params: Params) -> Result<StatusCode, Problem> {
    let (user, session) = (params.user()?, params.session()?);
    if !api.admissions.end_session(user.clone(), &session).await? {
        return Err(Problem::new(Kind::NotFound, "This user has no session with this id, or none any more."));
    }
    tracing::info!(%user, "a session was ended");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/users/{name}/logins`
pub(super) async fn logins(State(api): State<Arc<Api>>, params: Params) -> Result<Json<Value>, Problem> {
    let logins = api.admissions.logins_of(params.user()?).await?;
    let shown = logins.iter().map(|(key, login)| json!({ "id": key.to_string(), "user": login.user.as_ref().map(UserName::as_str) }));
    Ok(Json(json!({ "logins": shown.collect::<Vec<_>>() })))
}

/// `DELETE /api/logins/{id}`
pub(super) async fn end_login(State(api): State<Arc<Api>>, params: Params) -> Result<StatusCode, Problem> {
    if !api.admissions.end_login(params.login()?).await? {
        return Err(Problem::new(Kind::NotFound, "There is no login session with this id, or not any more."));
    }
    tracing::info!("a login session was ended");
    Ok(StatusCode::NO_CONTENT)
}
