//! `nginx`: its configuration is a template, filled in from the environment when it starts.

use std::collections::BTreeMap;

use super::{Named, Unmapped};

const TEMPLATE: &str = "/etc/nginx/templates/nginx.conf.template";

#[derive(Debug)]
pub(in crate::cluster) struct Proxy {
    pub(in crate::cluster) port: u16,
    /// The template of `nginx.conf`, beside the compose file.
    pub(in crate::cluster) template: String,
    pub(in crate::cluster) environment: BTreeMap<String, String>,
    /// Where it is asked whether it is well.
    pub(in crate::cluster) health_path: String,
}

/// Where it listens is said by these two, so that it can listen elsewhere.
pub(in crate::cluster) const HOST_VARIABLE: &str = "NGINX_HOST";
pub(in crate::cluster) const PORT_VARIABLE: &str = "NGINX_PORT";
/// Where the image puts what it filled in.
const OUTPUT_VARIABLE: &str = "NGINX_ENVSUBST_OUTPUT_DIR";

pub(super) fn map(named: &Named<'_>) -> Result<Proxy, Unmapped> {
    named.single()?;
    named.no_command()?;
    named.expect(HOST_VARIABLE, "0.0.0.0")?;
    named.expect(OUTPUT_VARIABLE, "/etc/nginx")?;
    let port = named.port(PORT_VARIABLE)?;
    let template = match named.mounts()?.as_slice() {
        [mount] if mount.is_path() && mount.target == TEMPLATE => mount.source.clone(),
        _ => return Err(named.unmapped("volumes", format!("exactly one is expected, a file at {TEMPLATE}"))),
    };
    // They say how the image fills in templates, and it is done here in the one way that it has without them.
    let is_unknown = |name: &&String| name.starts_with("NGINX_EN") && *name != OUTPUT_VARIABLE;
    if let Some(name) = named.service.environment.keys().find(is_unknown) {
        return Err(named.unmapped(&format!("environment.{name}"), "it is not known here"));
    }
    Ok(Proxy { port, template, environment: named.service.environment.clone(), health_path: named.health_path(port)? })
}

/// As the image does by `envsubst`: `$NAME` and `${NAME}` of variables that are there, nothing else, since nginx has
/// variables of its own.
pub(in crate::cluster) fn render(template: &str, environment: &BTreeMap<String, String>) -> String {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        rendered.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (inside, braces) = after.strip_prefix('{').map_or((after, 0), |inside| (inside, 1));
        let length = inside.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(inside.len());
        let closed = braces == 0 || inside[length..].starts_with('}');
        if let Some(value) = environment.get(&inside[..length]).filter(|_| closed) {
            rendered.push_str(value);
            rest = &inside[length + braces..];
        } else {
            rendered.push('$');
            rest = after;
        }
    }
    rendered.push_str(rest);
    rendered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_are_there_are_filled_in() {
        let environment = [("NGINX_PORT", "8080"), ("UP", "server a:1;")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (template, expected) in [
            ("listen ${NGINX_PORT};", "listen 8080;"),
            ("listen $NGINX_PORT;", "listen 8080;"),
            ("${UP}\n${UP}", "server a:1;\nserver a:1;"),
            ("$http_upgrade ${request_time}s $NGINX_PORTS", "$http_upgrade ${request_time}s $NGINX_PORTS"),
            ("${NGINX_PORT ${NGINX_PORT:-1} $ $", "${NGINX_PORT ${NGINX_PORT:-1} $ $"),
        ] {
            assert_eq!(render(template, &environment), expected, "{template}");
        }
    }
}
