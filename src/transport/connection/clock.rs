//! What happens though nothing happens: beats, deadlines, and the one alarm for them.

use std::task::Context;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use super::ending::Ending;
use crate::message::{Code, Refusal};
use crate::metrics::Slow;
use crate::session::Due;

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// Acts on what is due, and sets the alarm for what comes next.
    pub(super) fn poll_timers(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        let mut acted = false;
        while let (Ending::Not, Some(due)) = (&self.ending, self.timers.due(now)) {
            acted = true;
            let code = match due {
                Due::Beat => {
                    self.socket.put(true, &[b"\n"]);
                    self.timers.wrote(now);
                    continue;
                }
                Due::HeartBeatLost => Code::HeartBeatLost,
                Due::ConnectTimeout => Code::ConnectTimeout,
                Due::FrameTimeout => Code::FrameTimeout,
                Due::WriteStalled => {
                    self.registered.metrics.slow(Slow::WriteStalled);
                    Code::SlowConsumer
                }
                Due::TokenExpired => Code::TokenExpired,
            };
            self.end(&Refusal::new(code), now);
        }
        let next = match self.ending {
            Ending::Not => self.timers.next(),
            Ending::Writing(_, by) | Ending::Closing(by) => Some(by),
        };
        acted | self.poll_alarm(context, next)
    }

    /// Wakes this task at `next` or a little before; whether that time has come. An alarm that is early enough stays:
    /// moving it at every write would cost more than one wake-up too many.
    pub(super) fn poll_alarm(&mut self, context: &mut Context<'_>, next: Option<Instant>) -> bool {
        let Some(next) = next.map(tokio::time::Instant::from_std) else { return false };
        let alarm = match &mut self.alarm {
            Some(alarm) => {
                if alarm.deadline() > next || alarm.is_elapsed() {
                    alarm.as_mut().reset(next);
                }
                alarm
            }
            None => self.alarm.insert(Box::pin(tokio::time::sleep_until(next))),
        };
        alarm.as_mut().poll(context).is_ready()
    }
}
