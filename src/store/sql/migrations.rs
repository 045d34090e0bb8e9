//! Schema changes that are part of the program, and what is said when the schema is not one of them.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::store::StoreError;
use crate::store::error::in_full;

/// Number, name and SQL of a schema change.
pub(in crate::store) type Change = (i64, &'static str, &'static str);

/// Every schema change, oldest first; the database remembers which it has.
pub(in crate::store) fn migrator(changes: &[Change]) -> Migrator {
    let migration = |&(version, name, sql): &Change| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(changes.iter().map(migration).collect())
}

/// What a failed migration means. `place` is what was to be opened, as in "the file".
pub(in crate::store) fn refusal(error: MigrateError, changes: &[Change], place: &str, failed: fn(sqlx::Error) -> StoreError) -> StoreError {
    let newest = changes.last().map_or(0, |(version, _, _)| *version);
    match error {
        MigrateError::VersionMissing(version) if version > newest => {
            StoreError::Unusable(format!("{place} has schema {version}, made by a newer footfall; this one knows schemas up to {newest}"))
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => StoreError::Unusable(format!(
            "{place} has another schema {version} than this footfall; it was made by a build that was never released"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        other => StoreError::Unusable(in_full(&other)),
    }
}
