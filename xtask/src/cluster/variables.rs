//! `${NAME}` in the values of a compose file, as compose fills them in.

use thiserror::Error;

/// Why a value can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum VariableError {
    #[error("the variable {name} is not set: {message}")]
    Required { name: String, message: String },
    #[error(
        "`{0}` is no form of a variable that is known here; it is ${{X}}, ${{X:-default}}, ${{X-default}}, ${{X:?message}} or ${{X?message}}, and $$ for a dollar"
    )]
    Form(String),
}

/// Fills in all variables of a value. With a colon an empty variable counts as one that is not set.
pub(crate) fn fill_in(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, VariableError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let inside = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let Some((inside, after)) = inside else { return Err(VariableError::Form(rest[at..].to_owned())) };
        filled.push_str(&one(inside, variable)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn one(inside: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, VariableError> {
    let end = inside.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(inside.len());
    let (name, form) = inside.split_at(end);
    let unknown = || VariableError::Form(format!("${{{inside}}}"));
    // A variable inside of a default would have ended the outer one at the wrong brace.
    if name.is_empty() || form.contains("${") {
        return Err(unknown());
    }
    let (colon, form) = form.strip_prefix(':').map_or((false, form), |form| (true, form));
    let value = variable(name).filter(|value| !(colon && value.is_empty()));
    if let Some(default) = form.strip_prefix('-') {
        return Ok(value.unwrap_or_else(|| default.to_owned()));
    }
    if let Some(message) = form.strip_prefix('?') {
        return value.ok_or_else(|| VariableError::Required { name: name.to_owned(), message: message.to_owned() });
    }
    // Compose warns and takes it for empty.
    if form.is_empty() && !colon { Ok(value.unwrap_or_default()) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, VariableError> {
        fill_in(text, &|name| match name {
            "FULL" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn each_form_is_filled_in_as_compose_does() {
        let cases = [
            ("plain", "plain"),
            ("${FULL}", "value"),
            ("a ${FULL} b ${FULL}", "a value b value"),
            ("${NONE}", ""),
            ("${EMPTY}", ""),
            ("${FULL:-other}", "value"),
            ("${EMPTY:-other}", "other"),
            ("${NONE:-other}", "other"),
            ("${EMPTY-other}", ""),
            ("${NONE-other}", "other"),
            ("${NONE:-}", ""),
            ("${NONE:-server a:8080 max_fails=0; server b:8080;}", "server a:8080 max_fails=0; server b:8080;"),
            ("${FULL:?must be set}", "value"),
            ("${EMPTY?must be set}", ""),
            ("$${FULL} and $$1", "${FULL} and $1"),
        ];
        for (text, expected) in cases {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_required_variable_says_what_it_is_for() {
        for text in ["${NONE:?a secret}", "${NONE?a secret}", "${EMPTY:?a secret}"] {
            let error = filled(text).unwrap_err();
            assert!(matches!(&error, VariableError::Required { message, .. } if message == "a secret"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_known_fails() {
        for text in ["$FULL", "${FULL", "${}", "${FULL:+other}", "${FULL:}", "${NONE:-${FULL}}", "${FULL/a/b}", "50$"] {
            assert!(matches!(filled(text), Err(VariableError::Form(_))), "{text}");
        }
    }
}
