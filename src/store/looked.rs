//! What a look at a store finds, for an operator who asks before nodes run. Nothing is made or changed by it.

/// A store that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Where it is, without user and password.
    pub place: String,
    pub schema: Schema,
    /// What works, at a risk that somebody should know; complete sentences.
    pub warnings: Vec<String>,
}

/// How the schema that is there stands to the one this footfall works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing is there; a node that starts makes it.
    Absent,
    Current {
        version: i64,
    },
    /// A node that starts brings it up to date.
    Older {
        version: i64,
        pending: usize,
    },
    /// A newer footfall was here, and left what this one needs.
    Newer {
        version: i64,
    },
}
