//! The interceptor that judges every SUBSCRIBE and SEND by the policy of its destination.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::authentication::now_s;
use super::interceptor::{Call, ChannelInterceptor, Grant};
use crate::message::{Code, Refusal};
use crate::policy::{OutgoingMessage, Policies};
use crate::session::Request;

/// Asks the policies, which may be replaced while sessions live.
#[derive(Debug)]
pub struct Authorization {
    policies: Arc<ArcSwap<Policies>>,
}

impl Authorization {
    pub fn new(policies: Arc<ArcSwap<Policies>>) -> Self {
        Self { policies }
    }

    fn judge(&self, call: &mut Call) -> Result<(), Refusal> {
        let policies = self.policies.load();
        let user = call.caller.user.as_ref().ok_or_else(|| Refusal::new(Code::NotConnected));
        match &call.request {
            Request::Send(_, send) => {
                let message = OutgoingMessage { headers: &send.headers, body: &send.body, content_type: send.content_type.as_deref() };
                call.grant = Some(Grant::Send(policies.send(user?, &send.to, &message, now_s())?));
            }
            Request::Subscribe(_, subscribe) => {
                call.grant = Some(Grant::Subscribe(policies.subscribe(user?, &subscribe.to, now_s())?));
            }
            Request::Connect(_) | Request::Refresh(..) | Request::Unsubscribe(..) => {}
        }
        Ok(())
    }
}

impl ChannelInterceptor for Authorization {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.judge(call)).boxed()
    }
}
