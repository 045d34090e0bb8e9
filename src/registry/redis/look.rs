//! What a look at a Redis finds, for an operator who asks before nodes run. Nothing is changed by it.

use super::error::unusable_because;
use super::link::Link;
use super::settings::RedisSettings;
use super::upkeep::value;
use crate::registry::RegistryError;

/// The oldest that has all commands and arguments that the scripts use.
const LEAST: (u32, u32) = (6, 2);

/// A Redis that was reached, and lets this footfall in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisLooked {
    pub version: String,
    /// What works, at a risk that somebody should know; complete sentences.
    pub warnings: Vec<String>,
}

pub(super) async fn look(settings: &RedisSettings) -> Result<RedisLooked, RegistryError> {
    let link = Link::new(settings.client().map_err(RegistryError::Unusable)?);
    let looked = reached(&link).await;
    link.close();
    looked
}

async fn reached(link: &Link) -> Result<RedisLooked, RegistryError> {
    let _pong: String = link.call(&redis::cmd("PING")).await?;
    // One section at a time: Redis 6 takes no more.
    let server: String = link.call(redis::cmd("INFO").arg("server")).await?;
    let memory: String = link.call(redis::cmd("INFO").arg("memory")).await?;
    let persistence: String = link.call(redis::cmd("INFO").arg("persistence")).await?;
    let version = value(&server, "redis_version").unwrap_or_default();
    if !is_new_enough(&version) {
        return Err(unusable_because(&format!("it is of version {version}, and 6.2 is the oldest that will do")));
    }
    Ok(RedisLooked { warnings: warnings(&memory, &persistence), version })
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or_default()) >= LEAST)
}

fn warnings(memory: &str, persistence: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let policy = value(memory, "maxmemory_policy").unwrap_or_default();
    if policy != "noeviction" {
        let what = "a Redis that is full would throw away sessions and tokens. Set it to noeviction.";
        warnings.push(format!("maxmemory-policy is {policy}: {what}"));
    }
    if value(persistence, "aof_enabled").as_deref() != Some("1") {
        let what = "a restart may forget who is connected, login sessions and registered tokens. Revocations are safe in the store.";
        warnings.push(format!("appendonly is off: {what}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_known_by_its_version() {
        for (version, expected) in
            [("6.2.0", true), ("6.10", true), ("7.0.15", true), ("10.0", true), ("8", true), ("6.0.16", false), ("5.9", false), ("", false)]
        {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }

    #[test]
    fn each_risk_is_named_once() {
        let (good, bad) = ("maxmemory_policy:noeviction\r\n", "maxmemory_policy:allkeys-lru\r\n");
        let (kept, lost) = ("loading:0\r\naof_enabled:1\r\n", "aof_enabled:0\r\n");
        assert_eq!(warnings(good, kept), [""; 0]);
        assert!(matches!(&warnings(bad, kept)[..], [one] if one.starts_with("maxmemory-policy is allkeys-lru: ")));
        assert!(matches!(&warnings(good, lost)[..], [one] if one.starts_with("appendonly is off: ")));
        assert_eq!(warnings(bad, lost).len(), 2);
    }
}
