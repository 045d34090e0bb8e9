//! The judgement itself, and the grants that only it can make.

use std::sync::Arc;

use super::facts::{Facts, OutgoingMessage};
use super::{Application, Policies, Policy, Rule};
use crate::message::{Captures, Code, Destination, Pattern, Refusal, SendTo, SubscribeTo, User, UserName};

/// Proof that a user may subscribe to something now. Its fields are private, so nobody else can make one.
#[derive(Debug, Clone)]
pub struct SubscribeGrant {
    target: SubscribeTarget,
    policy: Arc<Policy>,
}

/// What a subscription is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscribeTarget {
    /// One destination; for `/user/queue/…` the user's private queue.
    Destination(Destination),
    /// All destinations that fit. The policy is the first to fit each of them.
    Pattern(Pattern),
}

impl SubscribeGrant {
    pub fn target(&self) -> &SubscribeTarget {
        &self.target
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

/// Proof that a user may send this message now. Its fields are private, so nobody else can make one.
#[derive(Debug, Clone)]
pub struct SendGrant {
    destination: Destination,
    policy: Arc<Policy>,
}

impl SendGrant {
    /// Where the message goes; for `/app/…` the target.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

impl Policies {
    /// Whether this user may subscribe now (seconds since 1970).
    pub fn subscribe(&self, user: &User, to: &SubscribeTo, now_s: u64) -> Result<SubscribeGrant, Refusal> {
        match to {
            SubscribeTo::Destination(destination) => {
                check_public(destination)?;
                self.subscribe_to(user, destination.as_str(), None, destination, now_s)
            }
            SubscribeTo::OwnQueue(queue) => {
                let own = Destination::user_queue(&user.name, queue);
                self.subscribe_to(user, &own.shown(), Some(&user.name), &own, now_s)
            }
            SubscribeTo::Pattern(pattern) => self.subscribe_to_pattern(user, pattern, now_s),
            SubscribeTo::Application(_) => Err(self.uncovered()),
        }
    }

    fn subscribe_to(
        &self,
        user: &User,
        shown: &str,
        owner: Option<&UserName>,
        destination: &Destination,
        now_s: u64,
    ) -> Result<SubscribeGrant, Refusal> {
        let policy = self.first_fit(shown).ok_or_else(|| self.uncovered())?;
        let allowed = judge(policy.subscribe.as_ref(), |rule| {
            let params = policy.pattern.captures(shown).unwrap_or_default();
            rule.holds(&Facts::new(user, now_s, &params).owner(owner).destination(shown))
        });
        if !allowed {
            return Err(refusal(Code::SubscribeDenied, policy.notify));
        }
        Ok(SubscribeGrant { target: SubscribeTarget::Destination(destination.clone()), policy: Arc::clone(policy) })
    }

    /// A wildcard is judged as a pattern: one policy must be the first to fit everything that it matches. An earlier
    /// policy that fits only some of it could be a stricter one, and would be walked around.
    fn subscribe_to_pattern(&self, user: &User, pattern: &Pattern, now_s: u64) -> Result<SubscribeGrant, Refusal> {
        // A pattern in the settings may begin with more than one in a client's SUBSCRIBE; the type can't tell them apart.
        if Pattern::wildcard(pattern.as_str()).is_err() {
            return Err(Code::BadDestination.into());
        }
        let policy = self.destinations.iter().find(|policy| policy.pattern.overlaps(pattern)).ok_or_else(|| self.uncovered())?;
        let params = policy.pattern.captures_of(pattern).filter(|_| policy.wildcard);
        let Some(params) = params else { return Err(refusal(Code::PatternDenied, policy.notify)) };
        if !judge(policy.subscribe.as_ref(), |rule| rule.holds(&Facts::new(user, now_s, &params))) {
            return Err(refusal(Code::SubscribeDenied, policy.notify));
        }
        Ok(SubscribeGrant { target: SubscribeTarget::Pattern(pattern.clone()), policy: Arc::clone(policy) })
    }

    /// Whether this user may send this message now (seconds since 1970), and where it goes.
    pub fn send(&self, user: &User, to: &SendTo, message: &OutgoingMessage<'_>, now_s: u64) -> Result<SendGrant, Refusal> {
        match to {
            SendTo::Destination(destination) => check_public(destination)?,
            SendTo::User(..) => {}
            SendTo::Application(destination) => return self.send_to_application(user, destination, message, now_s),
        }
        let (destination, owner) = resolve(to);
        let shown = destination.shown();
        let policy = self.first_fit(&shown).ok_or_else(|| self.uncovered())?;
        let allowed = judge(policy.send.as_ref(), |rule| {
            let params = policy.pattern.captures(&shown).unwrap_or_default();
            rule.holds(&Facts::new(user, now_s, &params).owner(owner).destination(&shown).message(Some(message)))
        });
        if !allowed {
            return Err(refusal(Code::SendDenied, policy.notify));
        }
        Ok(SendGrant { policy: Arc::clone(policy), destination })
    }

    fn send_to_application(
        &self,
        user: &User,
        destination: &Destination,
        message: &OutgoingMessage<'_>,
        now_s: u64,
    ) -> Result<SendGrant, Refusal> {
        let (application, params) = self.application(destination).ok_or_else(|| self.uncovered())?;
        let to = application.target.fill(&params);
        let target = to.as_ref().ok().map(|to| resolve(to).0);
        // Before the rule is asked: a refusal is shown as the target's policy wants it.
        let policy = target.as_ref().and_then(|target| self.policy_of(target));
        let facts = || Facts::new(user, now_s, &params).destination(destination.as_str()).message(Some(message));
        if !judge(application.send.as_ref(), |rule| rule.holds(&facts())) {
            return Err(refusal(Code::SendDenied, policy.map_or(self.notify, |policy| policy.notify)));
        }
        let Some(target) = target else { return Err(Code::BadDestination.into()) };
        let policy = policy.ok_or_else(|| self.uncovered())?;
        Ok(SendGrant { policy: Arc::clone(policy), destination: target })
    }

    /// Whether a refused SEND to this leaves the connection alive.
    pub fn notifies_send(&self, to: &SendTo) -> bool {
        let target = match to {
            SendTo::Application(destination) => {
                let found = self.application(destination).and_then(|(application, params)| application.target.fill(&params).ok());
                found.map(|to| resolve(&to).0)
            }
            to => Some(resolve(to).0),
        };
        target.and_then(|target| self.policy_of(&target)).map_or(self.notify, |policy| policy.notify)
    }

    /// Whether a refused SUBSCRIBE to this leaves the connection alive.
    pub fn notifies_subscribe(&self, to: &SubscribeTo) -> bool {
        let policy = match to {
            SubscribeTo::Destination(destination) => self.policy_of(destination),
            SubscribeTo::OwnQueue(queue) => self.first_fit(&format!("/user{queue}")),
            SubscribeTo::Pattern(pattern) => self.destinations.iter().find(|policy| policy.pattern.overlaps(pattern)),
            SubscribeTo::Application(_) => None,
        };
        policy.map_or(self.notify, |policy| policy.notify)
    }

    fn application(&self, destination: &Destination) -> Option<(&Application, Captures)> {
        self.applications.iter().find_map(|application| Some((application, application.pattern.captures(destination.as_str())?)))
    }

    fn uncovered(&self) -> Refusal {
        refusal(Code::UnknownDestination, self.notify)
    }
}

/// Where a SEND goes, and whose private queue that is. An `/app/…` destination goes nowhere by itself.
fn resolve(to: &SendTo) -> (Destination, Option<&UserName>) {
    match to {
        SendTo::User(user, queue) => (Destination::user_queue(user, queue), Some(user)),
        SendTo::Destination(destination) | SendTo::Application(destination) => (destination.clone(), None),
    }
}

/// A private queue can't be named by a client; parsing sees to that, and this to whoever doesn't parse.
fn check_public(destination: &Destination) -> Result<(), Refusal> {
    if destination.is_user_queue() { Err(Code::BadDestination.into()) } else { Ok(()) }
}

/// No rule, no right; and what is constant costs no look-ups.
fn judge(rule: Option<&Rule>, holds: impl FnOnce(&Rule) -> bool) -> bool {
    match rule {
        None => false,
        Some(Rule::Constant(value)) => *value,
        Some(rule) => holds(rule),
    }
}

fn refusal(code: Code, notify: bool) -> Refusal {
    Refusal { notify, ..Refusal::new(code) }
}
