//! The interceptor that bounds how fast one user may SEND, over all sessions of that user on this node.
//!
//! Per node, not per cluster: behind a load balancer a user with many sessions gets the rate once per node.

use std::num::NonZeroU32;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::interceptor::{Call, ChannelInterceptor};
use crate::message::{Code, Refusal, UserName};
use crate::session::Request;

/// How many SENDs a user may make.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSettings {
    /// How many SENDs a second a session may go on with.
    pub session_per_second: NonZeroU32,
    /// How many SENDs a session may make at once after a pause.
    pub session_burst: NonZeroU32,
    /// How many SENDs a second all sessions of a user on this node may go on with together.
    pub user_per_second: NonZeroU32,
    /// How many SENDs they may make at once after a pause.
    pub user_burst: NonZeroU32,
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self { session_per_second: number(50), session_burst: number(100), user_per_second: number(200), user_burst: number(400) }
    }
}

/// Refuses SENDs beyond the rate.
pub struct RateLimit {
    sessions: DefaultKeyedRateLimiter<std::sync::Arc<str>>,
    users: DefaultKeyedRateLimiter<UserName>,
}

impl RateLimit {
    pub fn new(settings: &RateLimitSettings) -> Self {
        let quota = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            sessions: RateLimiter::keyed(quota(settings.session_per_second, settings.session_burst)),
            users: RateLimiter::keyed(quota(settings.user_per_second, settings.user_burst)),
        }
    }

    /// Forgets who has not sent for a while; without this every name ever seen would stay.
    pub fn forget_idle(&self) {
        self.sessions.retain_recent();
        self.sessions.shrink_to_fit();
        self.users.retain_recent();
        self.users.shrink_to_fit();
    }

    fn check(&self, call: &Call) -> Result<(), Refusal> {
        let (Request::Send(..), Some(user)) = (&call.request, &call.caller.user) else { return Ok(()) };
        if self.sessions.check_key(&call.caller.session).is_err() || self.users.check_key(&user.name).is_err() {
            return Err(Refusal { notify: call.notify(), ..Refusal::new(Code::RateLimited) });
        }
        Ok(())
    }
}

impl ChannelInterceptor for RateLimit {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.check(call)).boxed()
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RateLimit").field("sessions", &self.sessions.len()).field("users", &self.users.len()).finish()
    }
}
