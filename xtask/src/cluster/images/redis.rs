//! `redis`: its configuration stands in its command, which hands it to the server's standard input.

use super::{Named, Secret, Unmapped};

pub(in crate::cluster) const PORT: u16 = 6379;

/// Where the server and `redis-cli` have the password from.
const PASSWORD_VARIABLE: &str = "REDISCLI_AUTH";
const BEGIN: &str = "exec docker-entrypoint.sh redis-server - <<END\n";
const END: &str = "END\n";

#[derive(Debug)]
pub(in crate::cluster) struct Cache {
    pub(in crate::cluster) password: Secret,
    /// Lines of `redis.conf`, without that of the password.
    pub(in crate::cluster) settings: Vec<(String, String)>,
}

pub(super) fn map(named: &Named<'_>) -> Result<Cache, Unmapped> {
    named.single()?;
    named.data_volume("/data")?;
    if named.health_check(&["redis-cli"])? != ["-e", "ping"] {
        return Err(named.unmapped("healthcheck.test", "it is not `redis-cli -e ping`"));
    }
    let password = Secret(named.variable(PASSWORD_VARIABLE)?.to_owned());
    if let Some(other) = named.service.environment.keys().find(|key| *key != PASSWORD_VARIABLE) {
        return Err(named.unmapped(&format!("environment.{other}"), "it is not known what it does"));
    }
    let mut settings = settings(named)?;
    let protected = format!("\"${PASSWORD_VARIABLE}\"");
    match settings.iter().position(|(key, value)| key == "requirepass" && *value == protected) {
        Some(index) => drop(settings.remove(index)),
        None => return Err(named.unmapped("command", format!("there is no line `requirepass {protected}`"))),
    }
    // The shell would put in others, too.
    if let Some((key, _)) = settings.iter().find(|(_, value)| value.contains(['$', '`', '\\'])) {
        return Err(named.unmapped("command", format!("the shell would change the value of {key}")));
    }
    Ok(Cache { password, settings })
}

fn settings(named: &Named<'_>) -> Result<Vec<(String, String)>, Unmapped> {
    let wrong = |problem: &str| named.unmapped("command", problem.to_owned());
    let text = match named.service.command.as_slice() {
        [shell, option, text] if shell == "sh" && option == "-c" => text,
        _ => return Err(wrong("it is not `sh -c` and a text")),
    };
    let inside = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let inside = inside.ok_or_else(|| wrong("its text is not `exec docker-entrypoint.sh redis-server - <<END`, settings, `END`"))?;
    let setting = |line: &str| {
        let pair = line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| wrong("a line of its settings is not `key value`"))
    };
    inside.lines().map(setting).collect()
}
