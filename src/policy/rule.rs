//! Rules: CEL expressions, compiled at start, that say yes or no. Whatever goes wrong in one says no.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::{Expr, LiteralValue};
use cel::{Context, Env, Program, Value};

use super::RuleError;
use super::facts::Facts;
use super::inspect::{Vocabulary, inspect};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Only what a rule makes the parser use of it is ever touched.
const PARSER_STACK: usize = 64 * 1024 * 1024;

/// A compiled rule.
pub(super) enum Rule {
    /// `true` and `false` as such.
    Constant(bool),
    Program(Box<Program>),
}

impl Rule {
    pub(super) const MAX_BYTES: usize = 4 * 1024;

    pub(super) fn compile(text: &str, vocabulary: Vocabulary<'_>) -> Result<Self, RuleError> {
        if text.len() > Self::MAX_BYTES {
            return Err(RuleError::TooLong { max: Self::MAX_BYTES });
        }
        // The two that stand in most settings need no parser.
        match text.trim() {
            "true" => return Ok(Self::Constant(true)),
            "false" => return Ok(Self::Constant(false)),
            _ => {}
        }
        // The parser takes some 50 KiB of stack for each bracket that a rule opens (in a debug build), and its own limit
        // of 96 is more than a runtime's worker has. What comes out is small enough for any thread.
        thread::scope(|scope| {
            let parser = thread::Builder::new().name("rule".to_owned()).stack_size(PARSER_STACK);
            let parsing = parser.spawn_scoped(scope, || parse(text, vocabulary)).map_err(|_| RuleError::NotParsed)?;
            parsing.join().map_err(|_| RuleError::NotParsed)?
        })
    }

    /// Whether the rule is true. Neither an error nor a value that is no boolean is.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Program(program) => {
                let mut context = Context::with_env(Arc::clone(&ENV));
                context.set_variable_resolver(facts);
                match program.execute(&context) {
                    Ok(Value::Bool(value)) => value,
                    Ok(other) => {
                        tracing::debug!(kind = %other.type_of(), "a rule gave something else than true or false");
                        false
                    }
                    Err(error) => {
                        // The error's text may hold claims and bodies; its name does not.
                        tracing::debug!(error = error_name(&error), "a rule failed, so it denies");
                        false
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(out, "Constant({value})"),
            Self::Program(program) => write!(out, "Program({:?})", program.source_info().source),
        }
    }
}

fn parse(text: &str, vocabulary: Vocabulary<'_>) -> Result<Rule, RuleError> {
    let program = ENV.compile(text).map_err(|errors| first_error(&errors))?;
    inspect(&program, vocabulary)?;
    match &program.expression().expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Ok(Rule::Constant(*value.inner())),
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => Err(RuleError::NotBool),
        _ => Ok(Rule::Program(Box::new(program))),
    }
}

fn first_error(errors: &cel::ParseErrors) -> RuleError {
    let Some(error) = errors.errors.first() else {
        return RuleError::Syntax { line: 1, column: 1, message: "Syntax error".into() };
    };
    let from_one = |number: isize| usize::try_from(number).unwrap_or(0).max(1);
    RuleError::Syntax { line: from_one(error.pos.0), column: from_one(error.pos.1), message: error.msg.trim_end_matches('.').into() }
}

fn error_name(error: &cel::ExecutionError) -> &'static str {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchKey(_) => "no such key",
        E::NoSuchOverload(_) | E::UnexpectedType { .. } | E::UnsupportedBinaryOperator(..) | E::ValuesNotComparable(..) => "wrong type",
        E::UndeclaredReference(_) => "not available here, or too large",
        E::IndexOutOfBounds(_) | E::UnsupportedIndex(..) => "bad index",
        E::Overflow(..) | E::DivisionByZero(_) | E::RemainderByZero(_) => "arithmetic",
        _ => "other",
    }
}
