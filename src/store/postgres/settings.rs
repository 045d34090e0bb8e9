//! What an operator may say about the PostgreSQL store.

use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::message::HumanDuration;

/// What the url's query may say, in the words of libpq. Others would be ignored, and their values logged.
const PARAMETERS: [&str; 9] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "application_name"];

/// The server ends a statement before the call ends that waits for it, so that its outcome is known.
const MAX_TIMEOUT: Duration = Duration::from_secs(4);

/// The database that all nodes of a cluster share, and how long it may take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresSettings {
    /// Where the database is, as in `postgres://footfall@db:5432/footfall?sslmode=verify-full&sslrootcert=/etc/ca.pem`. Of
    /// `sslmode` there is `disable`, `allow`, `prefer` (which is meant if it is left out), `require`, `verify-ca` and
    /// `verify-full`; `options[search_path]=…` chooses a schema. Never shown, since it may hold a password.
    #[schemars(with = "String")]
    pub url: SecretString,
    /// The password, if it is not part of the url. Best given as a variable.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// How many connections this node has at most, at least 2. Half of them are for what has to be stored, so that reads
    /// never hold it up.
    #[schemars(range(min = 2))]
    pub connections: u32,
    /// How long the server may work on one statement; at most 4s count.
    pub statement_timeout: HumanDuration,
    /// How long a statement waits for a lock, such as that of a partition; at most 4s count.
    pub lock_timeout: HumanDuration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: "postgres://footfall@localhost:5432/footfall".into(),
            password: None,
            connections: 10,
            statement_timeout: HumanDuration::from_secs(4),
            lock_timeout: HumanDuration::from_secs(2),
        }
    }
}

impl PostgresSettings {
    /// The key that is wrong and a sentence about it, if one is. Shows no part of the url.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        self.options().err().map(|sentence| ("url", sentence))
    }

    pub(super) fn options(&self) -> Result<PgConnectOptions, String> {
        let url = self.url.expose_secret();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("It begins with postgres:// as in postgres://footfall@db:5432/footfall.".to_owned());
        }
        let query = url.split_once('?').map_or("", |(_, query)| query);
        for key in query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or_default()) {
            if !PARAMETERS.contains(&key) && key != "password" && !is_options(key) {
                return Err(format!("Behind the question mark stand {} or options[…], each with a value.", PARAMETERS.join(", ")));
            }
        }
        // What the reader says of it could show a part of it.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            "It can't be read; characters of a password such as @ / : ? # % have to be percent-encoded, or it goes under password."
                .to_owned()
        })?;
        let options = match &self.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let options = if options.get_application_name().is_none() { options.application_name("footfall") } else { options };
        // Statements would be logged as they are, at length.
        Ok(options.disable_statement_logging())
    }

    /// What a connection is told first.
    pub(super) fn session(&self) -> String {
        let millis = |timeout: HumanDuration| timeout.0.clamp(Duration::from_millis(1), MAX_TIMEOUT).as_millis();
        format!(
            "SET statement_timeout = {statement};
             SET lock_timeout = {lock};
             {SESSION}",
            statement = millis(self.statement_timeout),
            lock = millis(self.lock_timeout),
        )
    }

    /// The same for whoever changes the schema: that may take long, but no lock may be waited for, as all others would
    /// then wait behind.
    pub(super) fn migration_session() -> String {
        format!("SET statement_timeout = 0; SET lock_timeout = {}; {SESSION}", MAX_TIMEOUT.as_millis() / 2)
    }
}

/// `options` or `options[…]`; brackets may be encoded.
fn is_options(key: &str) -> bool {
    let Some(name) = key.strip_prefix("options") else { return false };
    let bracketed = |name: &str| Some(name.strip_prefix('[')?.strip_suffix(']')?.len());
    name.is_empty() || bracketed(&name.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]")).is_some()
}

/// - No transaction is left open by a process that stopped.
/// - A default of the server's may neither forget commits at a crash, nor show statements an older moment.
/// - All statements have an index to go by, and each is planned once, which takes longer than to run it. While a table is small
///   its index looks dearer than reading all of it, and a plan that was made then is kept until the table is analyzed anew,
///   when it has long grown. A bitmap would collect all of a destination before the first message of a page comes out.
/// - Compiling a statement takes longer still.
const SESSION: &str = "SET idle_in_transaction_session_timeout = 5000;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SET default_transaction_isolation = 'read committed';
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET jit = off;
    SET client_min_messages = warning";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> PostgresSettings {
        PostgresSettings { url: url.into(), ..PostgresSettings::default() }
    }

    #[test]
    fn a_misspelt_key_is_refused_and_what_is_left_out_has_its_default() {
        assert!(toml::from_str::<PostgresSettings>("adresse = 'x'").is_err());
        let settings: PostgresSettings = toml::from_str("connections = 4").unwrap();
        assert_eq!((settings.connections, settings.lock_timeout), (4, HumanDuration::from_secs(2)));
        assert_eq!(settings.wrong(), None);
    }

    #[test]
    fn no_password_is_ever_shown() {
        let canary = "canary-7f3a";
        let settings = PostgresSettings { password: Some(canary.into()), ..settings("postgres://u:canary-7f3a@h/d") };
        assert!(!format!("{settings:?}").contains(canary));
        for url in [
            "postgres://u:canary-7f3a@h:port/d",
            "canary-7f3a",
            "postgres://u@h/d?pasword=canary-7f3a",
            "postgres://u@h/d?sslmode=canary-7f3a",
            // The reader would ignore these, and log their values.
            "postgres://u@h/d?optionsx=canary-7f3a",
            "postgres://u@h/d?options_=canary-7f3a",
            "postgres://u@h/d?options]x[=canary-7f3a",
            "postgres://u@h/d?options%5Bx=canary-7f3a",
        ] {
            let (key, sentence) = self::settings(url).wrong().unwrap();
            assert!(key == "url" && !sentence.contains(canary), "{sentence}");
        }
    }

    #[test]
    fn what_a_url_may_say() {
        for url in [
            "postgres://u:p%40ss@db:6543/rooms",
            "postgresql://u@db/rooms?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres://u@db/rooms?options[search_path]=chat",
            "postgres://u@db/rooms?options%5Bsearch_path%5D=chat&password=x",
            "postgres://u@db/rooms?options%5bsearch_path%5d=chat",
            "postgres://u@db/rooms?options=-c%20search_path=chat",
        ] {
            assert_eq!(settings(url).wrong(), None, "{url}");
        }
        assert!(settings("mysql://u@db/rooms").wrong().is_some());
        let options = settings("postgres://u:p%40ss@db:6543/rooms").options().unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_database()), ("db", 6543, Some("rooms")));
    }

    #[test]
    fn a_timeout_never_outlasts_a_call() {
        let settings =
            PostgresSettings { statement_timeout: HumanDuration::from_secs(60), lock_timeout: HumanDuration::ZERO, ..settings("") };
        let session = settings.session();
        assert!(session.contains("statement_timeout = 4000;") && session.contains("lock_timeout = 1;"), "{session}");
    }
}
