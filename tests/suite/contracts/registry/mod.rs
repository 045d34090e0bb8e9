//! What every adapter of the `Registry` port must do. An adapter brings a [`Home`] and calls `registry_contract!`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod leases;
mod logins;
mod news;
mod revocations;
mod sessions;
mod tokens;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use footfall::message::{TokenId, UserName};
use footfall::registry::{Admission, Admitted, Demand, Lease, LiveSession, News, NewsEvent, NewsReader, NodeRun, Registry, Renewal};
use tokio::time::timeout;

pub(crate) use leases::*;
pub(crate) use logins::*;
pub(crate) use news::*;
pub(crate) use revocations::*;
pub(crate) use sessions::*;
pub(crate) use tokens::*;

use crate::support::PATIENCE;

/// Where one registry is.
pub(crate) trait Home: Send + Sync {
    /// As a node opens it; all of them have the same one.
    fn open(&self) -> impl Future<Output = Arc<dyn Registry>> + Send;

    /// Lets time pass by the registry's clock.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// What the registry's clock shows, in seconds since 1970.
    fn now(&self) -> u64;

    /// Throws away all news but the last few, as when very many came.
    fn forget_news(&self) -> impl Future<Output = ()> + Send;
}

/// The whole suite as tests, each in a home of its own.
macro_rules! registry_contract {
    ($home:expr) => {
        crate::contracts::registry::registry_contract!(@ $home;
            a_lease_lapses_and_is_remembered
            a_lease_is_given_back
            a_later_start_takes_over_the_name
            a_node_that_was_never_seen_is_gone_for_as_long_as_anyone_remembers
            sessions_are_there_until_they_leave
            sessions_vanish_with_their_node_and_can_be_put_back
            sessions_of_an_earlier_start_are_no_more
            the_oldest_session_is_pushed_out
            sessions_of_silent_nodes_are_pushed_out_first
            an_admission_asked_again_changes_nothing
            sessions_that_come_at_once_leave_as_many_as_may_be
            without_a_limit_everyone_stays
            a_session_is_ended_by_whoever_asks
            names_of_any_kind_are_kept_apart
            a_token_is_registered_once
            a_token_belongs_to_one_user
            a_token_lapses
            a_token_that_is_unregistered_is_news
            all_tokens_of_a_user_are_unregistered
            only_registered_tokens_are_admitted
            what_was_revoked_is_not_known_before_it_is_filled
            a_revoked_token_is_not_admitted
            a_users_older_tokens_are_revoked
            revocations_lapse
            what_is_revoked_while_it_is_filled_stays
            a_filling_may_be_finished_twice_and_by_another
            a_login_session_slides
            a_login_session_that_ended_does_not_come_back
            login_sessions_are_listed_by_user
            a_user_has_so_many_login_sessions_and_no_more
            a_reader_begins_lost_and_then_misses_nothing
            every_reader_is_told_in_the_order_of_the_changes
            a_reader_that_was_away_too_long_is_lost_and_goes_on
            waiting_for_news_may_be_given_up
            a_closed_registry_says_so
        );
    };
    (@ $home:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::contracts::registry::$case(&$home).await;
            }
        )*
    };
}
pub(crate) use registry_contract;

/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_mins(10);

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

pub(crate) fn token(id: &str) -> TokenId {
    TokenId::new(id).unwrap()
}

pub(crate) fn node(name: &str) -> NodeRun {
    NodeRun { name: name.into(), started_ms: 1_700_000_000_000 }
}

pub(crate) fn lease(node: &NodeRun) -> Lease {
    Lease { node: node.clone(), address: "10.0.0.1:8080".into(), connections: 3, version: "0.1.0".into() }
}

/// A node that lives.
pub(crate) async fn live(registry: &Arc<dyn Registry>, name: &str) -> NodeRun {
    let node = node(name);
    assert_eq!(registry.renew(lease(&node), LONG).await.unwrap(), Renewal::Anew);
    node
}

pub(crate) fn admission(user_name: &str, session: &str, node: &NodeRun) -> Admission {
    Admission {
        user: user(user_name),
        session: session.into(),
        node: node.clone(),
        token: None,
        issued_at: None,
        demand: Demand::Nothing,
        max_sessions: None,
    }
}

pub(crate) fn at_most(most: u32, admission: Admission) -> Admission {
    Admission { max_sessions: NonZeroU32::new(most), ..admission }
}

/// Comes in, and whom that pushes out.
pub(crate) async fn admit(registry: &Arc<dyn Registry>, admission: Admission) -> Vec<LiveSession> {
    match registry.admit(admission).await.unwrap() {
        Admitted::In { pushed_out, .. } => pushed_out,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ids(sessions: &[LiveSession]) -> Vec<&str> {
    sessions.iter().map(|session| &*session.id).collect()
}

pub(crate) async fn sessions_of(registry: &Arc<dyn Registry>, name: &str) -> Vec<LiveSession> {
    registry.sessions_of(user(name)).await.unwrap()
}

pub(crate) async fn next(reader: &mut Box<dyn NewsReader>) -> NewsEvent {
    timeout(PATIENCE, reader.next()).await.unwrap().unwrap()
}

/// A reader that has begun.
pub(crate) async fn reader(registry: &Arc<dyn Registry>) -> Box<dyn NewsReader> {
    let mut reader = registry.news();
    assert_eq!(next(&mut reader).await, NewsEvent::Lost);
    reader
}

pub(crate) async fn news(reader: &mut Box<dyn NewsReader>) -> News {
    match next(reader).await {
        NewsEvent::News(news) => news,
        NewsEvent::Lost => panic!("lost"),
    }
}

/// Makes something that every reader must come to, so that what did not come before it did not come at all.
pub(crate) async fn nothing_more(registry: &Arc<dyn Registry>, reader: &mut Box<dyn NewsReader>) {
    let node = node("end-of-test");
    admit(registry, admission("end-of-test", "end", &node)).await;
    assert!(registry.end(user("end-of-test"), "end".into()).await.unwrap());
    match news(reader).await {
        News::SessionEnded { session, .. } if &*session == "end" => {}
        more => panic!("{more:?}"),
    }
}
