//! The interceptor that checks the JWT on CONNECT, and the new one of a session that has one.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::interceptor::{Call, ChannelInterceptor, Grant};
use crate::admission::{Admissions, Arrival};
use crate::auth::{Credentials, TokenVerifier};
use crate::login::{Claim, LoginSessions};
use crate::message::{Code, Refusal};
use crate::session::{Connect, Refresh, Request};

/// Lets CONNECT through with a good token that counts, and nothing else before it.
#[derive(Debug)]
pub struct Authentication {
    verifier: Arc<TokenVerifier>,
    admissions: Admissions,
    logins: LoginSessions,
}

impl Authentication {
    pub fn new(verifier: Arc<TokenVerifier>, admissions: Admissions, logins: LoginSessions) -> Self {
        Self { verifier, admissions, logins }
    }

    async fn check(&self, call: &mut Call) -> Result<(), Refusal> {
        call.grant = match &call.request {
            Request::Connect(connect) => {
                let arrival = self.arrival(call, connect)?;
                // Proved; it need not lie about for as long as the session lives.
                let login = std::mem::take(&mut call.caller.handshake).login;
                let (user, stay) = self.admissions.admit(arrival).await?;
                call.caller.stay = Some(stay);
                // Not before: who is not admitted must leave nothing behind.
                if let Some(claim) = login
                    && let Some(membership) = self.logins.join(claim, &user.name).await
                {
                    call.caller.belong(membership);
                }
                Some(Grant::Connect(user))
            }
            Request::Refresh(_, refresh) => Some(self.refresh(call, refresh)?),
            _ if call.caller.user.is_some() => None,
            _ => return Err(Code::NotConnected.into()),
        };
        Ok(())
    }

    fn arrival(&self, call: &Call, connect: &Connect) -> Result<Arrival, Refusal> {
        let handshake = &call.caller.handshake;
        let credentials = Credentials {
            authorization: connect.authorization.as_deref(),
            passcode: connect.passcode.as_deref(),
            handshake_authorization: handshake.authorization.as_deref(),
            cookie: handshake.cookie.as_deref(),
        };
        let user = self.verifier.verify(credentials.pick()?.token, now_s())?;
        let (session, outbox) = (Arc::clone(&call.caller.session), Arc::clone(&call.caller.outbox));
        Ok(Arrival { user, session, outbox, login: handshake.login.as_ref().map(Claim::key) })
    }

    fn refresh(&self, call: &Call, refresh: &Refresh) -> Result<Grant, Refusal> {
        let user = call.caller.user.as_ref().ok_or_else(|| Refusal::new(Code::NotConnected))?;
        let body = std::str::from_utf8(&refresh.body).unwrap_or_default().trim();
        let credentials = Credentials { authorization: refresh.authorization.as_deref(), passcode: Some(body), ..Credentials::default() };
        let refreshed = self.verifier.verify(credentials.pick()?.token, now_s())?;
        if refreshed.name != user.name {
            return Err(Refusal::with(Code::TokenInvalid, "The JWT is another user's; connect anew with it."));
        }
        Ok(Grant::Refresh(Box::new(refreshed)))
    }
}

impl ChannelInterceptor for Authentication {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        self.check(call).boxed()
    }
}

pub(super) fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
