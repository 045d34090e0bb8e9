//! From an HTTP request to a connection: origin, subprotocol, upgrade.

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use stomp_frames::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Instrument;
use tracing::instrument::Instrumented;
use tungstenite::Error;
use tungstenite::error::ProtocolError;
use uuid::Uuid;

use super::Transport;
use super::connection::{Connection, ConnectionSettings};
use super::listener::Seat;
use super::origin::{self, Origin};
use super::session_cookie;
use crate::broker::Outbox;
use crate::channel::Handshake;
use crate::login::Claim;
use crate::message::Code;
use crate::session::Session;

/// What Spring's broker offers; the client's first one that we know is chosen. It does not bind the STOMP version.
const SUBPROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

/// `GET /ws`.
pub(super) async fn upgrade(State(transport): State<Arc<Transport>>, mut request: Request) -> Response {
    let origin = origin::judge(request.headers(), &transport.server.allowed_origins);
    if origin == Origin::Denied {
        transport.connections.metrics().denied(Code::OriginDenied);
        let problem = json!({ "code": Code::OriginDenied.as_str(), "message": Code::OriginDenied.sentence() });
        return (StatusCode::FORBIDDEN, Json(problem)).into_response();
    }
    let mut response = match tungstenite::handshake::server::create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader)) => {
            // RFC 6455 §4.2.2: who speaks another version is told which one is spoken here.
            return (StatusCode::UPGRADE_REQUIRED, [(header::SEC_WEBSOCKET_VERSION, "13")], "WebSocket version 13 is spoken here.\n")
                .into_response();
        }
        Err(error) => return (StatusCode::BAD_REQUEST, format!("This is a STOMP endpoint for WebSocket: {error}\n")).into_response(),
    };
    if let Some(subprotocol) = subprotocol(request.headers()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    // Only a page that the settings name may use its visitor's cookies; what is no browser sends what it means to.
    let cookie = transport.token_cookie.as_deref().filter(|_| origin == Origin::Allowed).and_then(|name| cookie(request.headers(), name));
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let login = login(&transport, origin, request.headers()).await;
    if let Some(value) = login.as_ref().and_then(Claim::to_set)
        && let Some(set_cookie) = session_cookie::write(&transport.server.session_cookie, request.headers(), &value)
    {
        // Appended: another layer may set one of its own.
        response.headers_mut().append(header::SET_COOKIE, set_cookie);
    }
    let handshake = Handshake { authorization, cookie, login };
    // HTTP is over once it is upgraded, and gives its own up.
    let seat = request.extensions().get::<Seat>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    let shutdown = transport.shutdown.clone();
    shutdown.spawn("connection", async move {
        let _seat = seat;
        match upgraded.await {
            Ok(upgraded) => tokio::select! {
                () = connection(&transport, TokioIo::new(upgraded), handshake) => {}
                // The drain is over; who is too slow to hear of it must not hold the node up.
                () = transport.shutdown.stopped() => {}
            },
            Err(error) => tracing::debug!(%error, "the client was gone before its upgrade"),
        }
    });
    response
}

/// The login session that this connection belongs to if it comes to a CONNECT.
async fn login(transport: &Transport, origin: Origin, headers: &HeaderMap) -> Option<Claim> {
    let settings = &transport.server.session_cookie;
    if !session_cookie::counts(settings, origin) {
        return None;
    }
    transport.logins.recognize(session_cookie::read(headers, &settings.name)).await
}

/// Boxed, since it is all that an idle connection is: as a part of a larger future its size would be there twice.
fn connection<IO>(transport: &Transport, io: IO, handshake: Handshake) -> Pin<Box<Instrumented<impl Future<Output = ()> + use<IO>>>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let id: Arc<str> = Uuid::new_v4().simple().to_string().into();
    let span = tracing::info_span!("session", session = &*id, user = tracing::field::Empty);
    let outbox = Arc::new(Outbox::new(transport.outbox));
    let registered = transport.connections.register(&outbox);
    let caller = Box::new(transport.channel.caller(Arc::clone(&id), handshake, outbox));
    let settings = ConnectionSettings {
        session: Arc::clone(&transport.session),
        before_connect: Limits { frame: transport.server.max_frame_before_connect, ..Limits::BEFORE_CONNECT },
        after_connect: Limits { frame: transport.server.max_frame, ..Limits::AFTER_CONNECT },
    };
    let session = Session::new(Arc::clone(&transport.session), id);
    Box::pin(Connection::new(io, settings, session, caller, Arc::clone(&transport.channel), registered).instrument(span))
}

fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|list| list.split(',')).map(str::trim).find_map(|offer| SUBPROTOCOLS.into_iter().find(|known| *known == offer))
}

/// The first cookie with this name. What is no cookie is passed over: a malformed header is never an error.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(cookie::Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_clients_first_known_subprotocol_is_chosen() {
        let chosen = |values: &[&str]| subprotocol(&headers(&header::SEC_WEBSOCKET_PROTOCOL, values));
        assert_eq!(chosen(&["v11.stomp, v12.stomp"]), Some("v11.stomp"));
        assert_eq!(chosen(&["mqtt,v12.stomp", "v10.stomp"]), Some("v12.stomp"));
        assert_eq!(chosen(&["mqtt"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_cookie_is_found_whatever_stands_beside_it() {
        let found = |values: &[&str]| cookie(&headers(&header::COOKIE, values), "token");
        assert_eq!(found(&["a=1; token=x.y.z; b"]).as_deref(), Some("x.y.z"));
        assert_eq!(found(&["=;;; =x", "token=1"]).as_deref(), Some("1"));
        assert_eq!(found(&["token2=1"]), None);
    }
}
