//! The inbound channel: the pipe that every request of every client passes. Interceptors may refuse it; what they let
//! through is done: a SEND goes to the bus, a SUBSCRIBE to the edge.

mod authentication;
mod authorization;
mod caller;
mod interceptor;
mod rate_limit;

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::time::{Instant, timeout_at};

pub use authentication::Authentication;
pub use authorization::Authorization;
pub use caller::{Caller, Handshake};
pub use interceptor::{Call, ChannelInterceptor};
pub use rate_limit::{RateLimit, RateLimitSettings};

use crate::broker::{NewRoles, Outbox};
use crate::bus::{ANSWER_WITHIN, Bus, BusError, Durable, Record, Topic};
use crate::edge::{Edge, Joined, Joiner, Start, Stored};
use crate::message::{Code, Message, Outcome, Refusal, RenderedOnce, Tag, Ticket, User, keyed_id, new_id};
use crate::policy::{Policies, Policy, Receipt, SendGrant, SubscribeGrant, SubscribeTarget};
use crate::session::{From, Request, Send, Subscribe};
use caller::Place;
use interceptor::Grant;

/// What became of a request so far.
pub enum Handled {
    /// With the id that others see with its messages.
    Connected(Arc<User>, Arc<str>),
    /// The session goes on with another token; these subscriptions may not.
    Refreshed(Ticket, Arc<User>, Vec<(Arc<Tag>, Refusal)>),
    /// The user has other roles; these subscriptions may not go on.
    Judged(Vec<(Arc<Tag>, Refusal)>),
    /// CONNECT was refused.
    Rejected(Refusal),
    Done(Ticket, Outcome),
    /// Whoever the request was given to puts the answer into the outbox.
    Answered,
    /// The bus has the message and will say when it is durable. The connection polls this; others may go on.
    Pending(BoxFuture<'static, Option<(Ticket, Outcome)>>),
}

/// One for all connections of a node.
#[derive(Debug)]
pub struct InboundChannel {
    interceptors: Vec<Box<dyn ChannelInterceptor>>,
    policies: Arc<ArcSwap<Policies>>,
    bus: Arc<dyn Bus>,
    edge: Edge,
}

impl InboundChannel {
    /// Requests pass the rate limit (which lets by who has no name yet), authentication and authorization, then
    /// `interceptors` in this order.
    pub fn new(
        authentication: Authentication,
        rate_limit: Arc<RateLimit>,
        policies: Arc<ArcSwap<Policies>>,
        interceptors: Vec<Box<dyn ChannelInterceptor>>,
        bus: Arc<dyn Bus>,
        edge: Edge,
    ) -> Self {
        let first: [Box<dyn ChannelInterceptor>; 3] =
            [Box::new(rate_limit), Box::new(authentication), Box::new(Authorization::new(Arc::clone(&policies)))];
        Self { interceptors: first.into_iter().chain(interceptors).collect(), policies, bus, edge }
    }

    /// A client that has said nothing yet. `session` is the public id of its session.
    pub fn caller(&self, session: Arc<str>, handshake: Handshake, outbox: Arc<Outbox>) -> Caller {
        Caller::new(session, handshake, outbox, self.edge.clone())
    }

    /// Takes one request. Requests of one client come one after the other: the next when this is answered.
    pub fn handle(self: Arc<Self>, caller: Box<Caller>, request: Request) -> BoxFuture<'static, (Box<Caller>, Handled)> {
        async move {
            let mut call = Call::new(caller, request);
            for interceptor in &self.interceptors {
                if let Err(mut refusal) = interceptor.intercept(&mut call).await {
                    if matches!(call.request, Request::Refresh(..)) {
                        refusal.notify = self.policies.load().notifies();
                    }
                    let handled = refused(&call.request, refusal);
                    return (call.caller, handled);
                }
            }
            let Call { mut caller, request, grant } = call;
            let handled = match (request, grant) {
                (Request::Connect(_), Some(Grant::Connect(user))) => {
                    caller.user = Some(Arc::clone(&user));
                    Handled::Connected(user, Arc::clone(&caller.sender_session))
                }
                (Request::Refresh(ticket, _), Some(Grant::Refresh(user))) => self.refresh(&mut caller, ticket, *user).await,
                (Request::Send(ticket, send), Some(Grant::Send(grant))) => self.send(&caller, ticket, send, &grant).await,
                (Request::Subscribe(ticket, subscribe), Some(Grant::Subscribe(grant))) => {
                    self.subscribe(&mut caller, ticket, subscribe, &grant).await
                }
                (Request::Unsubscribe(ticket, tag), _) => {
                    caller.leave(&tag);
                    Handled::Done(ticket, Outcome::Done)
                }
                // No interceptor granted it, so it is refused: forgetting one must not open the door.
                (request, _) => refused(&request, Refusal::new(Code::Internal)),
            };
            (caller, handled)
        }
        .boxed()
    }

    /// After everybody who may refuse it: from here on the session stands on the new token, or on the one it had.
    async fn refresh(&self, caller: &mut Caller, ticket: Ticket, user: User) -> Handled {
        let Some(stay) = &caller.stay else { return Handled::Done(ticket, Outcome::Refused(Code::NotConnected.into())) };
        match stay.refresh(user).await {
            Ok(user) => {
                caller.user = Some(Arc::clone(&user));
                Handled::Refreshed(ticket, user, self.judge_again(caller))
            }
            Err(refusal) => {
                let notify = self.policies.load().notifies();
                Handled::Done(ticket, Outcome::Refused(Refusal { notify, ..refusal }))
            }
        }
    }

    /// Gives the client's user other roles, unless the session stands on another token by now. Like a request: one at a
    /// time, between two of the client's own.
    pub fn change_roles(self: Arc<Self>, mut caller: Box<Caller>, new: NewRoles) -> BoxFuture<'static, (Box<Caller>, Handled)> {
        let stands = |user: &&Arc<User>| user.token.as_ref() == Some(&new.token);
        let Some(user) = caller.user.as_ref().filter(stands) else { return ready((caller, Handled::Judged(Vec::new()))).boxed() };
        caller.user = Some(Arc::new(User { roles: new.roles, ..(**user).clone() }));
        let withdrawn = self.judge_again(&mut caller);
        ready((caller, Handled::Judged(withdrawn))).boxed()
    }

    /// Judges all subscriptions as if they were asked for now, and ends those that are refused.
    fn judge_again(&self, caller: &mut Caller) -> Vec<(Arc<Tag>, Refusal)> {
        let Some(user) = caller.user.clone() else { return Vec::new() };
        let (policies, now_s) = (self.policies.load(), authentication::now_s());
        caller.leave_refused(|to| policies.subscribe(&user, to, now_s).err())
    }

    async fn send(&self, caller: &Caller, ticket: Ticket, send: Send, grant: &SendGrant) -> Handled {
        let policy = Arc::clone(grant.policy());
        let message = Arc::new(message(caller, send, grant));
        let topic = if policy.store { Topic::Events } else { Topic::Broadcast };
        // Before it is published: the answer could be there before we ask for it.
        let stored = (policy.store && policy.receipt == Receipt::Stored).then(|| self.edge.expect_stored(message.id));
        let answer_by = Instant::now() + ANSWER_WITHIN;
        match self.bus.publish(topic, Record::message(message)).await {
            Ok(durable) => Handled::Pending(durable_outcome(ticket, durable, stored, answer_by, policy).boxed()),
            Err(error) => Handled::Done(ticket, failed(&error, &policy)),
        }
    }

    async fn subscribe(&self, caller: &mut Caller, ticket: Ticket, subscribe: Subscribe, grant: &SubscribeGrant) -> Handled {
        let joiner = Joiner { outbox: Arc::clone(&caller.outbox), tag: Arc::clone(&subscribe.tag), ticket, receipt: subscribe.receipt };
        let refuse = |code: Code| Handled::Done(ticket, Outcome::Refused(with_notify(Refusal::new(code), grant.policy())));
        match grant.target() {
            SubscribeTarget::Pattern(_) if subscribe.from != From::Now => refuse(Code::PatternWithoutHistory),
            SubscribeTarget::Pattern(pattern) => {
                caller.join(&subscribe.to, Place::Pattern(pattern.clone()), &subscribe.tag);
                self.edge.join_pattern(pattern, &joiner);
                Handled::Answered
            }
            SubscribeTarget::Destination(_) if !grant.policy().store && subscribe.from != From::Now => refuse(Code::NoHistory),
            SubscribeTarget::Destination(destination) if !grant.policy().store => {
                caller.join(&subscribe.to, Place::Destination(destination.clone()), &subscribe.tag);
                self.edge.join_transient(destination, &joiner);
                Handled::Answered
            }
            SubscribeTarget::Destination(destination) => {
                caller.join(&subscribe.to, Place::Destination(destination.clone()), &subscribe.tag);
                match self.edge.join(destination, joiner, start(subscribe.from)).await {
                    Ok(Joined::Live) => Handled::Answered,
                    Ok(Joined::CatchingUp(replay)) => Handled::Pending(replay.map(|()| None).boxed()),
                    Err(refusal) => {
                        caller.leave(&subscribe.tag);
                        Handled::Done(ticket, Outcome::Refused(with_notify(refusal, grant.policy())))
                    }
                }
            }
        }
    }
}

async fn durable_outcome(
    ticket: Ticket,
    durable: Durable,
    stored: Option<Stored>,
    answer_by: Instant,
    policy: Arc<Policy>,
) -> Option<(Ticket, Outcome)> {
    let outcome = match (durable.await, stored) {
        (Ok(()), None) => Outcome::Done,
        (Ok(()), Some(stored)) => match timeout_at(answer_by, stored.stored()).await {
            Ok(Ok(())) => Outcome::Done,
            Ok(Err(code)) => Outcome::Refused(with_notify(Refusal::new(code), &policy)),
            Err(_) => failed(&BusError::Unknown, &policy),
        },
        (Err(error), _) => failed(&error, &policy),
    };
    Some((ticket, outcome))
}

fn failed(error: &BusError, policy: &Policy) -> Outcome {
    let code = match error {
        BusError::Unavailable | BusError::Closed => Code::BusUnavailable,
        BusError::Unknown => Code::Unknown,
        BusError::TooLarge => Code::FrameTooLarge,
    };
    Outcome::Refused(with_notify(Refusal::new(code), policy))
}

fn with_notify(mut refusal: Refusal, policy: &Policy) -> Refusal {
    refusal.notify = policy.notify;
    refusal
}

fn refused(request: &Request, refusal: Refusal) -> Handled {
    match request {
        Request::Connect(_) => Handled::Rejected(refusal),
        Request::Send(ticket, _) | Request::Refresh(ticket, _) | Request::Subscribe(ticket, _) | Request::Unsubscribe(ticket, _) => {
            Handled::Done(*ticket, Outcome::Refused(refusal))
        }
    }
}

fn message(caller: &Caller, send: Send, grant: &SendGrant) -> Message {
    let destination = grant.destination().clone();
    let sender = caller.user.as_ref().map(|user| user.name.clone());
    let id = match (&sender, &send.idempotency_key) {
        (Some(sender), Some(key)) => keyed_id(sender, &destination, key),
        _ => new_id(),
    };
    let timestamp_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Message {
        id,
        destination,
        sender,
        session: Some(Arc::clone(&caller.sender_session)),
        timestamp_ms,
        content_type: send.content_type,
        headers: send.headers,
        body: send.body,
        position: None,
        rendered: RenderedOnce::default(),
    }
}

fn start(from: From) -> Start {
    match from {
        From::Now => Start::Now,
        From::History(newest) => Start::History(newest),
        From::After(position) => Start::After(position),
    }
}

impl std::fmt::Debug for Handled {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connected(user, _) => out.debug_tuple("Connected").field(&user.name).finish(),
            Self::Refreshed(ticket, user, withdrawn) => {
                out.debug_tuple("Refreshed").field(ticket).field(&user.name).field(&withdrawn.len()).finish()
            }
            Self::Judged(withdrawn) => out.debug_tuple("Judged").field(&withdrawn.len()).finish(),
            Self::Rejected(refusal) => out.debug_tuple("Rejected").field(refusal).finish(),
            Self::Done(ticket, outcome) => out.debug_tuple("Done").field(ticket).field(outcome).finish(),
            Self::Answered => out.write_str("Answered"),
            Self::Pending(_) => out.write_str("Pending"),
        }
    }
}
