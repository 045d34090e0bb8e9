//! PostgreSQL's errors in the words of the store: what may work later, what a message is to blame for, and what a human has to see to.

use crate::store::StoreError;

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => match database.code().as_deref().map(verdict) {
            Some(Verdict::Passing) => StoreError::Unavailable(Box::new(error)),
            Some(Verdict::Late) => StoreError::Late(Box::new(error)),
            Some(Verdict::Rejected) => StoreError::Rejected(database.message().to_owned()),
            Some(Verdict::Refused) => StoreError::Unusable(format!(
                "the server refuses this footfall ({}); look at user, password, database and rights",
                database.message()
            )),
            Some(Verdict::Unexpected) | None => StoreError::Corrupt(error.to_string()),
        },
        sqlx::Error::Configuration(_) => StoreError::Unusable(error.to_string()),
        sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::RowNotFound => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Whether it came from the server's state and not from what it was asked, so that other connections fare no better.
pub(super) fn is_the_servers(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else { return false };
    match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => {
            database.code().is_some_and(|code| code.starts_with("57") || code.starts_with("08") || code == "25006")
        }
        Some(_) => true,
        None => false,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passing,
    Late,
    Rejected,
    Refused,
    Unexpected,
}

fn verdict(code: &str) -> Verdict {
    match code {
        // query_canceled: a statement that took too long says nothing about others.
        "57014" => Verdict::Late,
        // lock_not_available; idle_in_transaction_session_timeout; a standby; a row that somebody else was quicker to write.
        "55P03" | "25P03" | "25006" | "23505" => Verdict::Passing,
        // An index entry that is too long, as of a name: no server will ever take it.
        "54000" => Verdict::Rejected,
        // The database is not there, or no schema of it.
        "3D000" | "3F000" => Verdict::Refused,
        // A table or a function is not there, but rights are not the reason.
        "42P01" | "42703" | "42883" => Verdict::Unexpected,
        _ => match code.get(..2) {
            // Connection, transaction rollback, resources, operator.
            Some("08" | "40" | "53" | "57") => Verdict::Passing,
            // Data, constraints.
            Some("22" | "23") => Verdict::Rejected,
            // Authorization, rights.
            Some("28" | "42") => Verdict::Refused,
            _ => Verdict::Unexpected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_is_poison_and_only_what_passes_is_tried_again() {
        for code in ["08006", "40001", "40P01", "53300", "53100", "57P01", "57P03", "55P03", "25P03", "25006", "23505"] {
            assert_eq!(verdict(code), Verdict::Passing, "{code}");
        }
        assert_eq!(verdict("57014"), Verdict::Late);
        for code in ["22021", "22P05", "22003", "23502", "23514", "54000"] {
            assert_eq!(verdict(code), Verdict::Rejected, "{code}");
        }
        for code in ["28P01", "28000", "42501", "3D000", "3F000"] {
            assert_eq!(verdict(code), Verdict::Refused, "{code}");
        }
        for code in ["XX001", "42P01", "25P02", "54001", "", "é"] {
            assert_eq!(verdict(code), Verdict::Unexpected, "{code}");
        }
    }
}
