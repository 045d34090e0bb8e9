//! The interceptor that checks the JWT on CONNECT.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::interceptor::{Call, ChannelInterceptor, Grant};
use crate::auth::{Credentials, TokenVerifier};
use crate::message::{Code, Refusal};
use crate::session::Request;

/// Lets CONNECT through with a good token, and nothing else before it.
#[derive(Debug)]
pub struct Authentication {
    verifier: Arc<TokenVerifier>,
}

impl Authentication {
    pub fn new(verifier: Arc<TokenVerifier>) -> Self {
        Self { verifier }
    }

    fn check(&self, call: &mut Call) -> Result<(), Refusal> {
        let Request::Connect(connect) = &call.request else {
            return if call.caller.user.is_some() { Ok(()) } else { Err(Refusal::new(Code::NotConnected)) };
        };
        let handshake = &call.caller.handshake;
        let credentials = Credentials {
            authorization: connect.authorization.as_deref(),
            passcode: connect.passcode.as_deref(),
            handshake_authorization: handshake.authorization.as_deref(),
            cookie: handshake.cookie.as_deref(),
        };
        let picked = credentials.pick()?;
        let user = self.verifier.verify(picked.token, now_s())?;
        // Proved; it need not lie about for as long as the session lives.
        call.caller.handshake = super::Handshake::default();
        call.grant = Some(Grant::Connect(Arc::new(user)));
        Ok(())
    }
}

impl ChannelInterceptor for Authentication {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.check(call)).boxed()
    }
}

pub(super) fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
