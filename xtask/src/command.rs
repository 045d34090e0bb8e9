//! Commands as all steps begin them: at the root, and without our own settings from the developer's environment.

use std::process::Command;

use crate::root;

/// A node takes variables with this prefix for settings, and a developer's own must not change what is tested.
const PREFIX: &str = "FOOTFALL_";

pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    for name in ours() {
        command.env_remove(name);
    }
    command
}

pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command("cargo", arguments)
}

#[expect(clippy::disallowed_methods, reason = "read only to keep it from the tests")]
fn ours() -> impl Iterator<Item = std::ffi::OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with(PREFIX))
}

/// A browser that the developer chose.
#[expect(clippy::disallowed_methods, reason = "the same variable that the client suites read")]
pub(crate) fn chosen_browser() -> Option<String> {
    std::env::var("CHROMIUM").ok().filter(|path| !path.is_empty())
}
