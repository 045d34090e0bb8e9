//! Where an `[[applications]]` entry sends: a destination, or a user's private queue, with words from the pattern.

use crate::message::{BadDestination, Captures, Pattern, SendTo, UserName};

use super::Problem;

#[derive(Debug)]
pub(super) struct Target {
    user: Option<Recipient>,
    /// The whole target, or its `/queue/…` part.
    rest: Pattern,
}

#[derive(Debug)]
enum Recipient {
    Named(UserName),
    Captured(Box<str>),
}

impl Target {
    pub(super) fn compile(text: &str, pattern: &Pattern) -> Result<Self, Problem> {
        let (user, rest) = match text.strip_prefix("/user/") {
            None => (None, text),
            Some(after) => {
                let (word, rest) = after.find('/').map(|slash| after.split_at(slash)).ok_or(Problem::Target)?;
                let user = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                    Some(name) => Recipient::Captured(name.into()),
                    // The same spelling as in a client's SEND.
                    None => match SendTo::parse(&format!("/user/{word}/queue/x")) {
                        Ok(SendTo::User(user, _)) => Recipient::Named(user),
                        _ => return Err(Problem::Target),
                    },
                };
                (Some(user), rest)
            }
        };
        let allowed: &[&str] = if user.is_some() { &["/queue/"] } else { &["/topic/", "/queue/"] };
        if !allowed.iter().any(|prefix| rest.starts_with(prefix)) {
            return Err(Problem::Target);
        }
        let target = Self { user, rest: Pattern::parse(rest).map_err(|_| Problem::Target)? };
        let captured = target.user.iter().filter_map(|user| match user {
            Recipient::Captured(name) => Some(&**name),
            Recipient::Named(_) => None,
        });
        if let Some(unknown) = captured.chain(target.rest.names()).find(|name| !pattern.names().any(|known| known == *name)) {
            return Err(Problem::TargetPlaceholder(unknown.into()));
        }
        // With every placeholder filled, only `*` and `**` are left to fail.
        let words: Captures = pattern.names().map(|name| (name.into(), "x".into())).collect();
        target.fill(&words).map_err(|_| Problem::Target)?;
        Ok(target)
    }

    /// Where a message goes whose `/app/…` destination had these words. The result may be too long to be one.
    pub(super) fn fill(&self, words: &Captures) -> Result<SendTo, BadDestination> {
        let to = SendTo::parse(&self.rest.fill(words).ok_or(BadDestination::User)?)?;
        let user = match &self.user {
            None => return Ok(to),
            Some(Recipient::Named(user)) => user.clone(),
            Some(Recipient::Captured(name)) => {
                let (_, word) = words.iter().find(|(known, _)| known == name).ok_or(BadDestination::User)?;
                UserName::new(word).map_err(|_| BadDestination::User)?
            }
        };
        match to {
            SendTo::Destination(queue) => Ok(SendTo::User(user, queue)),
            SendTo::User(..) | SendTo::Application(_) => Err(BadDestination::User),
        }
    }
}
