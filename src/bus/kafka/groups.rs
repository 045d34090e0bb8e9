//! The groups of nodes, which only show how far each has read: deleted with their node, or swept once it is long gone.

use std::time::Duration;

use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::groups::GroupInfo;
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::admin::Admin;
use super::client::Names;
use super::error::{describe, sentence};
use super::settings::KafkaSettings;
use crate::bus::{GoneFor, SWEEP_AFTER};

/// For each question; a sweep has two of them.
const ANSWER: Duration = Duration::from_secs(3);

/// A list that was begun can't be given up; the one thread that waits for it ends by the library's own limits.
const LIST: Duration = Duration::from_secs(5);

/// The node's group would stay for a week, and look as if somebody were behind.
pub(super) async fn delete_own(settings: &KafkaSettings, node: &str, names: &Names) {
    let group = names.node_group.as_str();
    let deleted = async {
        let admin = admin(settings, node)?;
        let deleted = delete(&admin, &[group]).await;
        admin.close().await;
        deleted
    };
    match deleted.await {
        Ok(_) => debug!(group, "group deleted"),
        Err(failure) => warn!(failure, group, "this node's group could not be deleted"),
    }
}

/// Deletes the groups of nodes that are gone for long enough; those that were there. To Kafka they are all the same: whoever
/// reads by `assign` is no member, so a group of a node that lives is as empty as that of a dead one.
pub(super) async fn sweep(settings: &KafkaSettings, node: &str, names: &Names, gone: GoneFor) -> Result<Vec<String>, String> {
    let admin = admin(settings, node)?;
    let swept = async {
        let dead = dead(&listed(&admin).await?, settings, names, &gone);
        if dead.is_empty() {
            return Ok(dead);
        }
        let groups: Vec<&str> = dead.iter().map(String::as_str).collect();
        delete(&admin, &groups).await
    };
    let swept = swept.await;
    admin.close().await;
    if let Ok(groups) = &swept
        && !groups.is_empty()
    {
        info!(?groups, "groups of nodes that are gone were deleted");
    }
    swept
}

fn admin(settings: &KafkaSettings, node: &str) -> Result<Admin, String> {
    Admin::new(settings, node, ANSWER).map_err(|failure| failure.to_string())
}

/// Names of groups with whether they are of those that never have members.
async fn listed(admin: &Admin) -> Result<Vec<(String, bool)>, String> {
    let admin = admin.clone();
    let listing = spawn_blocking(move || {
        let groups = admin.inner().fetch_group_list(None, LIST)?;
        Ok(groups.groups().iter().map(|group| (group.name().to_owned(), is_memberless(group))).collect::<Vec<_>>())
    });
    // The library's own limit is for each broker.
    let listed = timeout(2 * LIST, listing).await.map_err(|_| "no answer in time".to_owned())?;
    listed.map_err(|failure| failure.to_string())?.map_err(|failure: RdKafkaError| sentence(&failure))
}

/// Groups of consumers that join have a protocol, also when all have left.
fn is_memberless(group: &GroupInfo) -> bool {
    group.members().is_empty() && group.protocol_type().is_empty()
}

fn dead(groups: &[(String, bool)], settings: &KafkaSettings, names: &Names, gone: &GoneFor) -> Vec<String> {
    let is_dead = |group: &str| node_of(group, &settings.prefix).and_then(|node| gone(node)).is_some_and(|time| time >= SWEEP_AFTER);
    let groups = groups.iter().filter(|(group, is_memberless)| *is_memberless && *group != names.node_group && is_dead(group));
    groups.map(|(group, _)| group.clone()).collect()
}

/// The node whose group this is. A name that could be another prefix's as well is nobody's: `chat-broadcast-broadcast-1`
/// is a node `broadcast-1` of `chat`, or a node `1` of `chat-broadcast`.
fn node_of<'a>(group: &'a str, prefix: &str) -> Option<&'a str> {
    let node = group.strip_prefix(prefix)?.strip_prefix("-broadcast-")?;
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let is_another = node.starts_with("broadcast-") || node.contains("-broadcast-");
    (!node.is_empty() && node.chars().all(is_of_name) && !is_another).then_some(node)
}

/// Those that were there. One that is in use after all stays.
async fn delete(admin: &Admin, groups: &[&str]) -> Result<Vec<String>, String> {
    let options = admin.options();
    let answer = timeout(ANSWER, admin.client().delete_groups(groups, &options)).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?.map_err(|failure| sentence(&failure))?;
    let (mut deleted, mut failure) = (Vec::new(), None);
    for result in answer {
        match result {
            Ok(group) => deleted.push(group),
            // It never showed a position, or another node was faster.
            Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => {
                debug!(group, code = describe(code), "a group could not be deleted");
                failure = Some(describe(code));
            }
        }
    }
    match failure {
        Some(failure) if deleted.is_empty() => Err(failure),
        _ => Ok(deleted),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn only_names_of_our_form_and_nobody_elses_are_of_a_node() {
        for (group, expected) in [
            ("chat-broadcast-node-1", Some("node-1")),
            ("chat-broadcast-a.b_c-1f2e", Some("a.b_c-1f2e")),
            ("chat-broadcast-", None),
            ("chat-broadcast", None),
            ("chat-persistence", None),
            ("chat-marks", None),
            ("chat2-broadcast-node-1", None),
            ("my-chat-broadcast-node-1", None),
            ("chat-broadcast-a b", None),
            ("chat-broadcast-ä", None),
            // Of the prefix `chat-broadcast`, and of `chat-broadcast-eu`.
            ("chat-broadcast-broadcast-node-1", None),
            ("chat-broadcast-eu-broadcast-node-1", None),
            ("", None),
        ] {
            assert_eq!(node_of(group, "chat"), expected, "{group}");
        }
    }

    #[test]
    fn who_lives_is_young_or_is_this_node_keeps_its_group() {
        let settings = KafkaSettings { prefix: "chat".to_owned(), ..KafkaSettings::default() };
        let gone: GoneFor = Arc::new(|node| match node {
            "live" => None,
            "young" => Some(SWEEP_AFTER.saturating_sub(Duration::from_secs(1))),
            _ => Some(SWEEP_AFTER),
        });
        let names = ["live", "young", "old", "me", "joined"].map(|node| format!("chat-broadcast-{node}"));
        let mut groups: Vec<_> = names.iter().map(|name| (name.clone(), !name.ends_with("joined"))).collect();
        groups.extend(["chat-persistence", "other-broadcast-old"].map(|name| (name.to_owned(), true)));
        assert_eq!(dead(&groups, &settings, &Names::new("chat", "me"), &gone), ["chat-broadcast-old"]);
    }
}
