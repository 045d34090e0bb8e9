//! What a step in the inbound channel is.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Caller;
use crate::message::{Refusal, User};
use crate::policy::{SendGrant, SubscribeGrant};
use crate::session::Request;

/// A request on its way through the channel.
#[derive(Debug)]
pub struct Call {
    pub caller: Box<Caller>,
    pub request: Request,
    /// Only this room's own interceptors can set it, and without it nothing is done.
    pub(super) grant: Option<Grant>,
}

/// What authentication or authorization gave. Each can only be made by the check itself.
#[derive(Debug)]
pub(super) enum Grant {
    Connect(Arc<User>),
    /// Verified; whether it counts is asked when nobody else refuses it.
    Refresh(Box<User>),
    Send(SendGrant),
    Subscribe(SubscribeGrant),
}

impl Call {
    pub(super) fn new(caller: Box<Caller>, request: Request) -> Self {
        Self { caller, request, grant: None }
    }
}

/// A step in the inbound channel (Spring: `ChannelInterceptor::preSend`). It sees every request of every client, one
/// at a time per client and in order, and may refuse it; it can't grant what authorization refused. It must end in
/// bounded time: the client's next frame waits for it.
pub trait ChannelInterceptor: Debug + Send + Sync {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>>;
}

impl<T: ChannelInterceptor + ?Sized> ChannelInterceptor for Arc<T> {
    fn intercept<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Result<(), Refusal>> {
        (**self).intercept(call)
    }
}
