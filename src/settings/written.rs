//! What was read, kept so that whoever finds a setting wrong later can still say where it stands.

use std::fmt;

use super::problem::Source;
use super::tree::Node;
use super::{BadSettings, Checked, Problem, Settings, SettingsError};

/// The file and the variables as they were read.
pub struct Written {
    pub(super) source: Source,
    pub(super) tree: Node,
}

impl fmt::Debug for Written {
    /// It holds secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Written").finish_non_exhaustive()
    }
}

impl Written {
    /// What [`Settings::check`] does, with places for what is wrong.
    pub fn check(&self, settings: Settings) -> Result<Checked, SettingsError> {
        settings.check().map_err(|bad| self.locate(&bad))
    }

    /// The same with places, in their order.
    pub fn locate(&self, bad: &BadSettings) -> SettingsError {
        let mut problems: Vec<_> = bad.0.iter().map(|wrong| self.source.locate(&self.tree, wrong)).collect();
        problems.sort_by_key(Problem::offset);
        SettingsError::Invalid(problems)
    }
}
