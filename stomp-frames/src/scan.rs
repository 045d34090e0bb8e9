//! Finds the end of a head that arrives in pieces, and refuses it as soon as a limit is passed.

use memchr::memchr2;

use crate::error::ParseError;
use crate::limits::Limits;

/// How far a head has been seen. No byte is ever looked at again here.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// Bytes of the head so far.
    total: usize,
    /// Bytes of the line that has not ended yet.
    line: usize,
    ends_in_cr: bool,
    past_command: bool,
    headers: usize,
}

impl HeadScan {
    pub(crate) fn headers(&self) -> usize {
        self.headers
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Looks at the next bytes. `Some(n)`: the head ends behind the first `n` of them.
    ///
    /// Cutting the input elsewhere never changes the answer: of several limits the one passed by the earliest byte
    /// is reported.
    pub(crate) fn feed(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, ParseError> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            self.check_count(rest[0], limits)?;
            let stop = memchr2(b'\n', 0, rest);
            let piece = &rest[..stop.unwrap_or(rest.len())];
            let ends_line = stop.is_some_and(|stop| rest[stop] == b'\n');
            self.check_length(piece.len(), ends_line, limits)?;
            if stop.is_some() && !ends_line {
                return Err(ParseError::NulInHead);
            }

            self.total += piece.len() + usize::from(ends_line);
            self.line += piece.len();
            self.ends_in_cr = piece.last().map_or(self.ends_in_cr, |&last| last == b'\r');
            at += piece.len() + usize::from(ends_line);
            if ends_line && self.end_line(limits)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// A header line is refused at its first byte, unless that may still become the blank line.
    fn check_count(&self, next: u8, limits: &Limits) -> Result<(), ParseError> {
        let begins_header = self.past_command && self.line == 0 && next != b'\n' && next != b'\r';
        if begins_header && self.headers >= limits.header_count {
            return Err(ParseError::TooManyHeaders { limit: limits.header_count });
        }
        Ok(())
    }

    fn check_length(&self, piece: usize, ends_line: bool, limits: &Limits) -> Result<(), ParseError> {
        let longest = if self.past_command { limits.header_line } else { limits.command };
        let line_room = longest.saturating_sub(self.line);
        let head_room = limits.head.min(limits.frame).saturating_sub(self.total);
        if piece > line_room && line_room <= head_room {
            return Err(if self.past_command {
                ParseError::HeaderTooLong { limit: longest }
            } else {
                ParseError::CommandTooLong { limit: longest }
            });
        }
        if piece + usize::from(ends_line) > head_room {
            return Err(if limits.head <= limits.frame {
                ParseError::HeadTooLarge { limit: limits.head }
            } else {
                ParseError::FrameTooLarge { limit: limits.frame }
            });
        }
        Ok(())
    }

    /// True for the blank line.
    fn end_line(&mut self, limits: &Limits) -> Result<bool, ParseError> {
        let blank = self.line == 0 || (self.line == 1 && self.ends_in_cr);
        if self.past_command {
            if blank {
                return Ok(true);
            }
            if self.headers >= limits.header_count {
                return Err(ParseError::TooManyHeaders { limit: limits.header_count });
            }
            self.headers += 1;
        }
        self.past_command = true;
        self.line = 0;
        self.ends_in_cr = false;
        Ok(false)
    }
}
