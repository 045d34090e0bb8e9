//! The schema changes of the program, how the schema that is there stands to them, and what is said if it is not one of them.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::store::error::in_full;
use crate::store::{Schema, StoreError};

/// A schema change.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Change {
    pub(in crate::store) version: i64,
    pub(in crate::store) name: &'static str,
    /// The oldest schema whose nodes go on working with this one, also when they start anew: in the middle of a roll some
    /// do. It is written into the database, since those nodes don't know this change. None if no other's do.
    pub(in crate::store) beside: Option<i64>,
    pub(in crate::store) sql: &'static str,
}

/// A change that the database remembers.
#[derive(Debug)]
pub(in crate::store) struct Applied {
    pub(in crate::store) version: i64,
    pub(in crate::store) description: String,
    pub(in crate::store) checksum: Vec<u8>,
}

const BESIDE: &str = ", beside ";

impl Change {
    fn description(&self) -> Cow<'static, str> {
        self.beside.map_or(Cow::Borrowed(self.name), |oldest| Cow::Owned(format!("{}{BESIDE}{oldest}", self.name)))
    }
}

impl Applied {
    /// Whether nodes that know changes up to this one work with it.
    fn works_beside(&self, newest: i64) -> bool {
        let oldest = self.description.rsplit_once(BESIDE).and_then(|(_, oldest)| oldest.parse::<i64>().ok());
        oldest.is_some_and(|oldest| oldest <= newest)
    }
}

pub(in crate::store) fn migrator(changes: &[Change]) -> Migrator {
    let migration = |change: &Change| {
        let sql = sqlx::SqlStr::from_static(change.sql);
        Migration::new(change.version, change.description(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(changes.iter().map(migration).collect())
}

/// How the schema stands that the database remembers; [`StoreError::Unusable`] if this footfall can't work with it. `place`
/// is what was opened, as in "the file".
pub(in crate::store) fn judge(applied: &[Applied], changes: &[Change], place: &str) -> Result<Schema, StoreError> {
    let newest = newest(changes);
    let migrator = migrator(changes);
    for one in applied {
        match migrator.iter().find(|migration| migration.version == one.version) {
            Some(migration) if *migration.checksum == *one.checksum => {}
            None if one.version > newest && one.works_beside(newest) => {}
            None if one.version > newest => return Err(is_newer(one.version, newest, place)),
            _ => return Err(is_another(one.version, place)),
        }
    }
    let Some(version) = applied.iter().map(|one| one.version).max() else { return Ok(Schema::Absent) };
    let pending = changes.iter().filter(|change| !applied.iter().any(|one| one.version == change.version)).count();
    Ok(match pending {
        0 if version > newest => Schema::Newer { version },
        0 => Schema::Current { version },
        _ => Schema::Older { version, pending },
    })
}

/// What a failed migration means.
pub(in crate::store) fn refusal(error: MigrateError, changes: &[Change], place: &str, failed: fn(sqlx::Error) -> StoreError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) if version > newest(changes) => is_newer(version, newest(changes), place),
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => is_another(version, place),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        other => StoreError::Unusable(in_full(&other)),
    }
}

fn newest(changes: &[Change]) -> i64 {
    changes.last().map_or(0, |change| change.version)
}

fn is_newer(version: i64, newest: i64, place: &str) -> StoreError {
    StoreError::Unusable(format!("{place} has schema {version}, made by a newer footfall; this one knows schemas up to {newest}"))
}

fn is_another(version: i64, place: &str) -> StoreError {
    StoreError::Unusable(format!("{place} has another schema {version} than this footfall; it was made by a build that was never released"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Change = Change { version: 1, name: "messages", beside: None, sql: "SELECT 1" };
    const ADDS: Change = Change { version: 2, name: "pins", beside: Some(1), sql: "SELECT 2" };
    const TAKES: Change = Change { version: 3, name: "no old pins", beside: Some(2), sql: "SELECT 3" };

    fn applied(changes: &[Change]) -> Vec<Applied> {
        let applied = |migration: &Migration| Applied {
            version: migration.version,
            description: migration.description.clone().into_owned(),
            checksum: migration.checksum.to_vec(),
        };
        migrator(changes).iter().map(applied).collect()
    }

    fn sentence(applied: &[Applied], changes: &[Change]) -> String {
        judge(applied, changes, "the database").unwrap_err().to_string()
    }

    #[test]
    fn what_is_there_is_told_from_what_is_missing() {
        let all = [FIRST, ADDS, TAKES];
        assert_eq!(judge(&[], &all, "").unwrap(), Schema::Absent);
        assert_eq!(judge(&applied(&[FIRST]), &all, "").unwrap(), Schema::Older { version: 1, pending: 2 });
        assert_eq!(judge(&applied(&all), &all, "").unwrap(), Schema::Current { version: 3 });
        let changed = [Change { sql: "SELECT 4", ..FIRST }];
        assert!(sentence(&applied(&changed), &all).contains("never released"));
    }

    #[test]
    fn a_node_that_starts_in_the_middle_of_a_roll_accepts_what_was_made_to_stand_beside_it() {
        assert_eq!(judge(&applied(&[FIRST, ADDS]), &[FIRST], "").unwrap(), Schema::Newer { version: 2 });
        assert_eq!(judge(&applied(&[FIRST, ADDS, TAKES]), &[FIRST, ADDS], "").unwrap(), Schema::Newer { version: 3 });
        let what = sentence(&applied(&[FIRST, ADDS, TAKES]), &[FIRST]);
        assert!(what.contains("schema 3") && what.contains("newer footfall"), "two releases back is too far: {what}");
        let silent = Change { beside: None, ..ADDS };
        assert!(sentence(&applied(&[FIRST, silent]), &[FIRST]).contains("newer footfall"), "what says nothing promises nothing");
        for name in ["x, beside ", "x, beside one", "x, beside 9"] {
            let odd = Change { name, beside: None, ..ADDS };
            assert!(sentence(&applied(&[FIRST, odd]), &[FIRST]).contains("newer footfall"), "{name}");
        }
    }
}
