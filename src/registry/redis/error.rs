//! Redis's errors in the words of the registry: what may work later, and what a human has to see to.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::registry::RegistryError;

/// What an error says of what was asked.
pub(super) fn failed(error: RedisError) -> RegistryError {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => RegistryError::Corrupt(error.to_string()),
        ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::CrossSlot | ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            unusable(&error)
        }
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => unusable(&error),
        _ => match code(&error).as_deref() {
            Some("WRONGTYPE") => RegistryError::Corrupt(error.to_string()),
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => unusable(&error),
            _ => RegistryError::Unavailable(Box::new(error)),
        },
    }
}

/// What the server calls it, also where it answered several questions at once.
fn code(error: &RedisError) -> Option<String> {
    let first = || Some(error.clone().into_server_errors()?.first()?.1.code().to_owned());
    error.code().map(str::to_owned).or_else(first)
}

fn unusable(error: &RedisError) -> RegistryError {
    RegistryError::Unusable(format!("Redis refuses this footfall ({error}); look at url, password, and the user's rights"))
}

/// It lets us in, and will not do.
pub(super) fn unusable_because(what: &str) -> RegistryError {
    RegistryError::Unusable(format!("Redis will not do: {what}"))
}

/// Nothing came back in time.
pub(super) fn silent() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "Redis did not answer in time").into()
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server answered; another question may fare better.
    Answered,
    /// The server answered, but on this connection nobody should ask again: it is not the one to ask any more (its name may
    /// stand for another one by now), or it can't be understood.
    AskAnother,
    /// No answer.
    Gone,
}

pub(super) fn verdict(error: &RedisError) -> Verdict {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown)
        // One value that somebody else wrote is no reason to refuse all others, and the two can't be told apart.
        | ErrorKind::Parse => Verdict::AskAnother,
        ErrorKind::Io => Verdict::Gone,
        _ if error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error() => Verdict::Gone,
        _ => Verdict::Answered,
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, from_redis_value};

    use super::*;

    fn said(line: &str) -> RedisError {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_said() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "BUSY Redis is busy running a script.",
            "MISCONF Redis is configured to save RDB snapshots",
            "ERR max number of clients reached",
            "NOREPLICAS Not enough good replicas to write.",
        ] {
            assert!(failed(said(line)).is_retryable(), "{line}");
        }
        for line in ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "NOPERM no", "MOVED 1 a:1"] {
            assert!(matches!(failed(said(line)), RegistryError::Unusable(_)), "{line}: {:?}", failed(said(line)));
        }
        assert!(matches!(failed(said("WRONGTYPE Operation against a key")), RegistryError::Corrupt(_)));
        assert!(matches!(failed(from_redis_value::<u64>(Value::Okay).unwrap_err().into()), RegistryError::Corrupt(_)));
        assert!(failed(silent()).is_retryable());
    }

    #[test]
    fn a_connection_is_given_up_when_nobody_answers_on_it() {
        assert_eq!(verdict(&silent()), Verdict::Gone);
        assert_eq!(verdict(&io::Error::from(io::ErrorKind::BrokenPipe).into()), Verdict::Gone);
        assert_eq!(verdict(&said("READONLY You can't write against a read only replica.")), Verdict::AskAnother);
        assert_eq!(verdict(&from_redis_value::<u64>(Value::Okay).unwrap_err().into()), Verdict::AskAnother);
        assert_eq!(verdict(&said("OOM command not allowed")), Verdict::Answered);
        assert_eq!(verdict(&said("WRONGTYPE Operation")), Verdict::Answered);
    }
}
