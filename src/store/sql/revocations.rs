//! Revocations as rows and back, whichever server it is.

use super::numbers::{bound, unsigned};
use crate::message::{Revocation, Revoked, TokenId, UserName};
use crate::store::StoreError;

// In the order that `Revoked` has.
const TOKEN: &str = "token";
const USER: &str = "user";

/// What is in a row besides when it changed. Times that no SQL integer holds are so far off that they are all the same.
#[derive(Debug)]
pub(in crate::store) struct RevocationRow<'a> {
    pub(in crate::store) kind: &'a str,
    pub(in crate::store) name: &'a str,
    pub(in crate::store) issued_before: Option<i64>,
    pub(in crate::store) until: i64,
}

impl<'a> RevocationRow<'a> {
    pub(in crate::store) fn new(revocation: &'a Revocation) -> Self {
        match revocation {
            Revocation::Token { token, until } => Self { kind: TOKEN, name: token.as_str(), issued_before: None, until: bound(*until) },
            Revocation::User { user, issued_before, until } => {
                Self { kind: USER, name: user.as_str(), issued_before: Some(bound(*issued_before)), until: bound(*until) }
            }
        }
    }

    pub(in crate::store) fn read(&self) -> Result<Revocation, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("a revocation of a {} {what}", self.kind));
        let until = unsigned(self.until)?;
        match (self.kind, self.issued_before) {
            (TOKEN, None) => {
                let token = TokenId::new(self.name).map_err(|_| corrupt("has a name that is no token's id"))?;
                Ok(Revocation::Token { token, until })
            }
            (USER, Some(issued_before)) => {
                let user = UserName::new(self.name).map_err(|_| corrupt("has a name that is no user's"))?;
                Ok(Revocation::User { user, issued_before: unsigned(issued_before)?, until })
            }
            _ => Err(corrupt("is not one that footfall writes")),
        }
    }
}

/// What a page follows, as the key of its row; before the first there is nothing smaller than two empty texts.
pub(in crate::store) fn after_key(after: Option<&Revoked>) -> (&str, &str) {
    match after {
        None => ("", ""),
        Some(Revoked::Token(token)) => (TOKEN, token.as_str()),
        Some(Revoked::User(user)) => (USER, user.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &'static str, name: &'static str, issued_before: Option<i64>, until: i64) -> RevocationRow<'static> {
        RevocationRow { kind, name, issued_before, until }
    }

    #[test]
    fn what_is_written_is_read() {
        let token = Revocation::Token { token: TokenId::new("j").unwrap(), until: 7 };
        let user = Revocation::User { user: UserName::new("alice").unwrap(), issued_before: 5, until: 7 };
        for revocation in [token, user] {
            assert_eq!(RevocationRow::new(&revocation).read().unwrap(), revocation);
        }
    }

    #[test]
    fn rows_are_in_the_order_of_what_they_are_about() {
        let revoked = [Revoked::Token(TokenId::new("z").unwrap()), Revoked::User(UserName::new("a").unwrap())];
        assert!(revoked[0] < revoked[1]);
        assert!(after_key(None) < after_key(Some(&revoked[0])));
        assert!(after_key(Some(&revoked[0])) < after_key(Some(&revoked[1])));
    }

    #[test]
    fn a_row_that_was_tampered_with_is_corrupt_and_not_shown() {
        let rows = [
            row("token", "secret\n", None, 1),
            row("token", "secret", Some(1), 1),
            row("token", "secret", None, -1),
            row("user", "", Some(1), 1),
            row("user", "secret", None, 1),
            row("user", "secret", Some(-1), 1),
            row("group", "secret", None, 1),
        ];
        for row in rows {
            let read = row.read();
            assert!(matches!(&read, Err(StoreError::Corrupt(what)) if !what.contains("secret")), "{row:?}: {read:?}");
        }
    }
}
