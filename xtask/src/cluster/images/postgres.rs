//! `postgres`: a user, a database, and settings after `-c`.

use super::{Named, Secret, Unmapped};

pub(in crate::cluster) const PORT: u16 = 5432;

#[derive(Debug)]
pub(in crate::cluster) struct Database {
    pub(in crate::cluster) user: String,
    pub(in crate::cluster) name: String,
    pub(in crate::cluster) password: Secret,
    pub(in crate::cluster) settings: Vec<(String, String)>,
}

pub(super) fn map(named: &Named<'_>) -> Result<Database, Unmapped> {
    named.single()?;
    named.data_volume("/var/lib/postgresql/data")?;
    named.health_check(&["pg_isready"])?;
    let text = |name| named.variable(name).map(str::to_owned);
    let (user, name, password) = (text("POSTGRES_USER")?, text("POSTGRES_DB")?, Secret(text("POSTGRES_PASSWORD")?));
    if let Some(other) =
        named.service.environment.keys().find(|key| !["POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"].contains(&key.as_str()))
    {
        return Err(named.unmapped(&format!("environment.{other}"), "it is not known what it does"));
    }
    Ok(Database { user, name, password, settings: settings(named)? })
}

fn settings(named: &Named<'_>) -> Result<Vec<(String, String)>, Unmapped> {
    let wrong = || named.unmapped("command", "it is not `postgres -c key=value …`");
    let Some((program, rest)) = named.service.command.split_first() else { return Ok(Vec::new()) };
    if program != "postgres" || !rest.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let setting = |pair: &[String]| match pair {
        [option, setting] if option == "-c" => setting.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())),
        _ => None,
    };
    rest.chunks(2).map(|pair| setting(pair).ok_or_else(wrong)).collect()
}
