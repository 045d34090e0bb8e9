//! How much a peer may send before it is refused.

/// Limits in bytes, or in header lines. What reaches a limit passes; one more is refused, as soon as it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Head and body of a frame, without the NUL that ends it.
    pub frame: usize,
    /// The command's line, without its LF. The longest command has 11 bytes.
    pub command: usize,
    /// Header lines in a frame, repetitions too.
    pub header_count: usize,
    /// A header line as sent, without its LF; a CR before that counts.
    pub header_line: usize,
    /// From the command's first byte to the blank line, all line ends included.
    pub head: usize,
}

impl Limits {
    /// For a peer that has not been let in: CONNECT has a token but no body.
    pub const BEFORE_CONNECT: Self = Self { frame: 16 * 1024, command: 32, header_count: 64, header_line: 10 * 1024, head: 16 * 1024 };

    /// For a session.
    pub const AFTER_CONNECT: Self = Self { frame: 64 * 1024, ..Self::BEFORE_CONNECT };
}
