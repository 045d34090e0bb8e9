//! What can be wrong with policies, said so that whoever wrote the settings finds the place.

use crate::message::BadPattern;

/// One entry of the settings that can't be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}[{index}].{key}: {problem}", list.name())]
pub struct PolicyError {
    /// Which list of the settings.
    pub list: List,
    /// Which of its entries, from 0.
    pub index: usize,
    /// Which key of the entry.
    pub key: &'static str,
    pub problem: Problem,
}

/// A list of entries in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Destinations,
    Applications,
}

impl List {
    /// The key of the list in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Destinations => "destinations",
            Self::Applications => "applications",
        }
    }
}

/// What is wrong with the value of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    #[error("A pattern in [[destinations]] begins with /topic/, /queue/ or /user/queue/; /app/ has entries in [[applications]].")]
    ApplicationPattern,
    #[error("A pattern in [[applications]] begins with /app/.")]
    NoApplicationPattern,
    #[error("A pattern of private queues can't name a placeholder user: params.user is the user whose queue it is.")]
    CapturedUser,
    #[error("Clients never subscribe to private queues with wildcards.")]
    WildcardOfPrivateQueue,
    #[error("A receipt can mean that the message is stored only where store = true.")]
    ReceiptWithoutStore,
    #[error("To keep no message at all, leave out store; a count is at least 1.")]
    KeepsNothing,
    #[error("A target is /topic/…, /queue/… or /user/{{name}}/queue/…, without * and **.")]
    Target,
    #[error("The target names {{{0}}}, which the pattern has not.")]
    TargetPlaceholder(Box<str>),
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl Problem {
    /// Line and column in a rule, from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Rule(
                RuleError::Syntax { line, column, .. }
                | RuleError::UnknownName { line, column, .. }
                | RuleError::UnknownFunction { line, column, .. }
                | RuleError::TooManyLoops { line, column, .. },
            ) => Some((*line, *column)),
            _ => None,
        }
    }
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("Line {line}, column {column}: {message}.")]
    Syntax { line: usize, column: usize, message: Box<str> },
    #[error("Line {line}, column {column}: There is no {name} here. A rule may use {known}.")]
    UnknownName { line: usize, column: usize, name: Box<str>, known: Box<str> },
    #[error("Line {line}, column {column}: There is no function {name}.")]
    UnknownFunction { line: usize, column: usize, name: Box<str> },
    #[error("A rule is true or false, and this is neither.")]
    NotBool,
    #[error("The rule could not be parsed.")]
    NotParsed,
    #[error("A rule has at most {max} bytes.")]
    TooLong { max: usize },
    #[error("The rule has too many parts (at most {max}).")]
    TooLarge { max: usize },
    #[error("The rule is nested too deeply (at most {max} levels).")]
    TooDeep { max: usize },
    #[error(
        "Line {line}, column {column}: all, exists, map and filter can be nested at most {max} levels, which bounds the work of one message."
    )]
    TooManyLoops { line: usize, column: usize, max: usize },
}
