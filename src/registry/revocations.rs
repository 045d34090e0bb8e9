//! Whose tokens no longer count (`auth.registry = "deny"`).
//!
//! The store keeps the list; the registry makes all nodes obey it at once. It knows whether it was filled, so that one
//! that forgot everything is not taken for one in which nothing was revoked.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::RegistryError;
use crate::message::{Revocation, TokenId, UserName};

/// A registry is being filled; proves that it did not forget meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refill(pub(super) Uuid);

/// Whose tokens no longer count.
///
/// Whoever revokes writes to the store first and then calls [`Self::revoke`] until that succeeds: in this order a filling
/// that runs meanwhile loses nothing. A registry may come back with an older state, in which the last revocations are
/// missing though it is filled. So nodes also keep the list they loaded and what became news since, look there first, and
/// give the store's list to [`Self::refill`] whenever they find themselves [`super::NewsEvent::Lost`].
pub trait Revocations {
    /// From now on such tokens are not admitted, and it is news. For a user the later of two times counts. Works on a
    /// registry that is not filled, too.
    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Whether a token counts no more, for those who are connected already. [`RegistryError::NotFilled`] if that is not known.
    fn is_revoked(&self, user: UserName, token: Option<TokenId>, issued_at: Option<u64>) -> BoxFuture<'_, Result<bool, RegistryError>>;

    /// Begins to fill a registry; none if it is filled. What is given to [`Self::refill`] then must be read from the store
    /// *after* this was answered. Several nodes may fill at once.
    fn begin_refill(&self) -> BoxFuture<'_, Result<Option<Refill>, RegistryError>>;

    /// Adds a part of the list, at most [`super::MAX_BATCH`], to a registry that is being filled or that is. No news.
    fn refill(&self, part: Vec<Revocation>) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// All of the list was added: the registry is filled, and tokens can be judged. False if it forgot meanwhile; begin again.
    fn finish_refill(&self, refill: Refill) -> BoxFuture<'_, Result<bool, RegistryError>>;
}
