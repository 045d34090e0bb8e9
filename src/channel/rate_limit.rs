//! The interceptor that bounds how fast one session, and all sessions of one user on this node, may SEND and SUBSCRIBE.
//! It comes before authorization: what is refused there has cost a rule's run, and must not be free to repeat.
//!
//! Per node, not per cluster: behind a load balancer a user with many sessions gets the rate once per node.

use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::interceptor::{Call, ChannelInterceptor};
use crate::message::{Code, Refusal, UserName};
use crate::policy::Policies;
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

/// A client that comes back makes all its subscriptions anew at once; as many as a session may have, and again.
const SUBSCRIBE_BURST: NonZeroU32 = number(256);

/// Refuses what comes faster than it may.
pub struct RateLimit {
    sends: DefaultKeyedRateLimiter<Arc<str>>,
    subscribes: DefaultKeyedRateLimiter<Arc<str>>,
    users: DefaultKeyedRateLimiter<UserName>,
    policies: Arc<ArcSwap<Policies>>,
}

impl RateLimit {
    /// `policies` say whether a refusal leaves the connection alive.
    pub fn new(settings: &RateLimitSettings, policies: Arc<ArcSwap<Policies>>) -> Self {
        let quota = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            sends: RateLimiter::keyed(quota(settings.session_per_second, settings.session_burst)),
            subscribes: RateLimiter::keyed(quota(settings.session_per_second, settings.session_burst.max(SUBSCRIBE_BURST))),
            users: RateLimiter::keyed(quota(settings.user_per_second, settings.user_burst)),
            policies,
        }
    }

    /// Forgets who has not sent for a while; without this every name ever seen would stay.
    pub fn forget_idle(&self) {
        self.sends.retain_recent();
        self.sends.shrink_to_fit();
        self.subscribes.retain_recent();
        self.subscribes.shrink_to_fit();
        self.users.retain_recent();
        self.users.shrink_to_fit();
    }

    fn check(&self, call: &Call) -> Result<(), Refusal> {
        let Some(user) = &call.caller.user else { return Ok(()) };
        let may_send = || self.sends.check_key(&call.caller.session).is_ok() && self.users.check_key(&user.name).is_ok();
        let (within, notify) = match &call.request {
            Request::Send(_, send) => (may_send(), self.policies.load().notifies_send(&send.to)),
            Request::Refresh(..) => (may_send(), self.policies.load().notifies()),
            Request::Subscribe(_, subscribe) => {
                (self.subscribes.check_key(&call.caller.session).is_ok(), self.policies.load().notifies_subscribe(&subscribe.to))
            }
            Request::Connect(_) | Request::Unsubscribe(..) => return Ok(()),
        };
        if within { Ok(()) } else { Err(Refusal { notify, ..Refusal::new(Code::RateLimited) }) }
    }
}

impl ChannelInterceptor for RateLimit {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.check(call)).boxed()
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RateLimit").field("sessions", &self.sends.len()).field("users", &self.users.len()).finish_non_exhaustive()
    }
}
