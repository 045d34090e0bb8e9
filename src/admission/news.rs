//! What every node is told at once, done on this one: sessions end, roles change.

use std::sync::Arc;

use super::present::Guest;
use super::{Inner, revoked};
use crate::message::{Code, Revocation, TokenId};
use crate::registry::{News, NewsEvent, NewsReader, Why};
use crate::shutdown::Shutdown;

/// Until the node stops.
pub(super) async fn follow(inner: Arc<Inner>, mut reader: Box<dyn NewsReader>, shutdown: Shutdown) {
    loop {
        let event = tokio::select! {
            event = reader.next() => event,
            () = shutdown.stopped() => return,
        };
        match event {
            Ok(NewsEvent::News(news)) => inner.hear(&news),
            // Beside this, since it may have to wait for the store, and news go on.
            Ok(NewsEvent::Lost) => inner.lost.notify_one(),
            Err(error) => {
                if !shutdown.is_stopped() {
                    tracing::error!(%error, "news can't be read any more");
                }
                return;
            }
        }
    }
}

impl Inner {
    fn hear(&self, news: &News) {
        match news {
            News::TokenRevoked { token } => {
                self.grace.forget(token);
                // Where tokens are registered one that was unregistered may be registered again.
                if self.settings.counting == super::Counting::NotRevoked {
                    self.revoked.add(&Revocation::Token { token: token.clone(), until: revoked::UNKNOWN });
                }
                if self.counts() {
                    self.end_all_with(token);
                }
            }
            News::UserRevoked { user, issued_before } => {
                self.heed(&Revocation::User { user: user.clone(), issued_before: *issued_before, until: revoked::UNKNOWN });
            }
            News::TokenChanged { token } => {
                self.grace.forget(token);
                // Who is just being let in is here already.
                if !self.present.with_token(token).is_empty() {
                    self.roles.want(token.clone());
                }
            }
            News::SessionEnded { session, why, .. } => {
                let code = match why {
                    Why::PushedOut => Code::SessionReplaced,
                    Why::Asked => Code::SessionEnded,
                };
                self.end(session, code);
            }
            News::LoginEnded { login, user } => {
                // Another user's session may have come with this one's cookie, and does not belong to it.
                let of_user = |guest: &Guest| user.as_ref().is_none_or(|user| guest.user == *user);
                for guest in self.present.with_login(*login).into_iter().filter(of_user) {
                    guest.outbox.end(Code::SessionEnded);
                }
            }
        }
    }

    /// Remembers a revocation, and ends whom it is about.
    pub(super) fn heed(&self, revocation: &Revocation) {
        if !self.counts() {
            return;
        }
        self.revoked.add(revocation);
        match revocation {
            Revocation::Token { token, .. } => self.end_all_with(token),
            Revocation::User { user, .. } => {
                for guest in self.present.of_user(user) {
                    if self.revoked.covers_guest(&guest) {
                        guest.outbox.end(Code::TokenRevoked);
                    }
                }
            }
        }
    }

    fn end_all_with(&self, token: &TokenId) {
        for guest in self.present.with_token(token) {
            guest.outbox.end(Code::TokenRevoked);
        }
    }
}
