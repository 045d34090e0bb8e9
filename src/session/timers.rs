//! When a connection has to act though nothing happens. Time is an argument.

use std::time::{Duration, Instant};

use super::heart_beat::HeartBeats;
use super::settings::SessionSettings;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Write a line end, and say so by [`Timers::wrote`].
    Beat,
    /// The client is silent for longer than it promised to be.
    HeartBeatLost,
    /// No CONNECT came.
    ConnectTimeout,
    /// A frame was begun and is not finished.
    FrameTimeout,
    /// The client does not take what is written to it.
    WriteStalled,
    TokenExpired,
}

/// STOMP 1.2, Heart-beating: the receiver "SHOULD be tolerant and take into account an error margin".
const TOLERANCE: u32 = 2;
const MARGIN: Duration = Duration::from_secs(1);

/// A beat takes its way too: the first goes out at 8/10 of the promised interval.
const EARLY: (u32, u32) = (8, 10);

/// The deadlines of one connection.
///
/// All but [`Due::Beat`] end it; they stay due until it is gone. Ask [`Self::next`] again after each other call.
#[derive(Debug)]
pub struct Timers {
    frame_timeout: Duration,
    write_timeout: Duration,
    heart_beats: HeartBeats,
    /// Until CONNECT is answered.
    connect_by: Option<Instant>,
    frame_begun: Option<Instant>,
    last_read: Instant,
    last_written: Instant,
    writing_since: Option<Instant>,
    /// Since when the socket is not read, so that the client can't be blamed for what it may have sent.
    paused_since: Option<Instant>,
    token_expires: Option<Instant>,
}

impl Timers {
    /// For a socket that was opened now.
    pub fn new(settings: &SessionSettings, now: Instant) -> Self {
        Self {
            frame_timeout: settings.frame_timeout.0,
            write_timeout: settings.write_timeout.0,
            heart_beats: HeartBeats::default(),
            connect_by: Some(now + settings.connect_timeout.0),
            frame_begun: None,
            last_read: now,
            last_written: now,
            writing_since: None,
            paused_since: None,
            token_expires: None,
        }
    }

    /// CONNECT was answered ([`super::Effect::Negotiated`]): its deadline is met, the heart-beats begin.
    pub fn negotiated(&mut self, heart_beats: HeartBeats, now: Instant) {
        self.connect_by = None;
        self.heart_beats = heart_beats;
        self.last_read = now;
        self.last_written = now;
    }

    /// Some bytes came, whatever they were.
    pub fn read(&mut self, now: Instant) {
        self.last_read = now;
    }

    /// The first byte of a frame came and its last did not. Once a frame is begun, saying so again changes nothing.
    pub fn frame_begun(&mut self, now: Instant) {
        self.frame_begun.get_or_insert(now);
    }

    pub fn frame_done(&mut self) {
        self.frame_begun = None;
    }

    /// Bytes went out; with or without [`Self::writing_since`] before.
    pub fn wrote(&mut self, now: Instant) {
        self.last_written = now;
    }

    /// A write waits for the client to read. Until it is done no beat is due, since bytes are on their way.
    pub fn writing_since(&mut self, now: Instant) {
        self.writing_since.get_or_insert(now);
    }

    /// The write went through, or made progress: a client that reads slowly is judged by its outbox.
    pub fn write_done(&mut self) {
        self.writing_since = None;
    }

    /// The socket is not read from now on: inbound deadlines stand still.
    pub fn pause_reading(&mut self, now: Instant) {
        self.paused_since.get_or_insert(now);
    }

    pub fn resume_reading(&mut self, now: Instant) {
        let Some(since) = self.paused_since.take() else { return };
        let paused = now.saturating_duration_since(since);
        self.last_read += paused;
        for deadline in [&mut self.connect_by, &mut self.frame_begun].into_iter().flatten() {
            *deadline += paused;
        }
    }

    /// When the session's token ends; again when it was refreshed.
    pub fn token_expires(&mut self, at: Option<Instant>) {
        self.token_expires = at;
    }

    /// When to ask [`Self::due`], if nothing happens before.
    pub fn next(&self) -> Option<Instant> {
        self.deadlines().map(|(at, _)| at).min()
    }

    /// What is due now, the earliest first. Ask until there is nothing.
    pub fn due(&self, now: Instant) -> Option<Due> {
        self.deadlines().filter(|(at, _)| *at <= now).min_by_key(|(at, _)| *at).map(|(_, due)| due)
    }

    fn deadlines(&self) -> impl Iterator<Item = (Instant, Due)> {
        let reading = self.paused_since.is_none();
        let inbound = [
            (self.connect_by, Due::ConnectTimeout),
            (self.frame_begun.map(|begun| begun + self.frame_timeout), Due::FrameTimeout),
            (self.heart_beats.expect.map(|interval| self.last_read + interval * TOLERANCE + MARGIN), Due::HeartBeatLost),
        ];
        let beat = self.heart_beats.send.filter(|_| self.writing_since.is_none());
        let others = [
            (self.writing_since.map(|since| since + self.write_timeout), Due::WriteStalled),
            (self.token_expires, Due::TokenExpired),
            (beat.map(|interval| self.last_written + interval * EARLY.0 / EARLY.1), Due::Beat),
        ];
        let inbound = inbound.into_iter().filter(move |_| reading);
        inbound.chain(others).filter_map(|(at, due)| at.map(|at| (at, due)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connected(send: u32, expect: u32) -> (Timers, Instant) {
        let now = Instant::now();
        let mut timers = Timers::new(&SessionSettings::default(), now);
        let interval = |seconds: u32| (seconds != 0).then(|| SECOND * seconds);
        timers.negotiated(HeartBeats { send: interval(send), expect: interval(expect) }, now);
        (timers, now)
    }

    #[test]
    fn connect_must_come_in_time() {
        let now = Instant::now();
        let mut timers = Timers::new(&SessionSettings::default(), now);
        assert_eq!(timers.next(), Some(now + SECOND * 10));
        assert_eq!(timers.due(now + SECOND * 9), None);
        assert_eq!(timers.due(now + SECOND * 10), Some(Due::ConnectTimeout));
        timers.negotiated(HeartBeats::default(), now + SECOND);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_beat_is_due_before_its_interval_is_over_since_the_last_byte() {
        let (mut timers, now) = connected(10, 0);
        assert_eq!(timers.next(), Some(now + SECOND * 8));
        timers.wrote(now + SECOND * 5);
        assert_eq!(timers.due(now + SECOND * 8), None);
        assert_eq!(timers.due(now + SECOND * 13), Some(Due::Beat));
        timers.wrote(now + SECOND * 13);
        assert_eq!(timers.due(now + SECOND * 13), None);
    }

    #[test]
    fn any_byte_is_a_sign_of_life() {
        let (mut timers, now) = connected(0, 10);
        assert_eq!(timers.next(), Some(now + SECOND * 21));
        timers.read(now + SECOND * 20);
        assert_eq!(timers.due(now + SECOND * 40), None);
        assert_eq!(timers.due(now + SECOND * 41), Some(Due::HeartBeatLost));
    }

    #[test]
    fn inbound_deadlines_stand_still_while_nothing_is_read() {
        let (mut timers, now) = connected(10, 10);
        timers.frame_begun(now);
        timers.pause_reading(now + SECOND);
        timers.pause_reading(now + SECOND * 50);
        // The beat does not: the client still wants to hear.
        assert_eq!(timers.due(now + SECOND * 100), Some(Due::Beat));
        timers.wrote(now + SECOND * 100);
        assert_eq!(timers.due(now + SECOND * 100), None);
        timers.resume_reading(now + SECOND * 101);
        timers.wrote(now + SECOND * 121);
        assert_eq!(timers.due(now + SECOND * 120), None);
        assert_eq!(timers.due(now + SECOND * 121), Some(Due::HeartBeatLost));
        timers.read(now + SECOND * 121);
        timers.wrote(now + SECOND * 130);
        assert_eq!(timers.due(now + SECOND * 129), None);
        assert_eq!(timers.due(now + SECOND * 130), Some(Due::FrameTimeout));
    }

    #[test]
    fn connect_has_its_time_even_if_it_is_asked_elsewhere_for_long() {
        let now = Instant::now();
        let mut timers = Timers::new(&SessionSettings::default(), now);
        timers.pause_reading(now + SECOND * 9);
        assert_eq!(timers.next(), None);
        timers.resume_reading(now + SECOND * 60);
        assert_eq!(timers.next(), Some(now + SECOND * 61));
    }

    #[test]
    fn a_frame_is_late_by_its_first_byte() {
        let (mut timers, now) = connected(0, 0);
        timers.frame_begun(now);
        timers.frame_begun(now + SECOND * 29);
        assert_eq!(timers.due(now + SECOND * 30), Some(Due::FrameTimeout));
        timers.frame_done();
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_stalled_write_is_no_time_for_beats() {
        let (mut timers, now) = connected(5, 0);
        timers.writing_since(now);
        assert_eq!(timers.due(now + SECOND * 9), None);
        assert_eq!(timers.due(now + SECOND * 10), Some(Due::WriteStalled));
        timers.write_done();
        timers.wrote(now + SECOND * 9);
        assert_eq!(timers.next(), Some(now + SECOND * 13));
    }

    #[test]
    fn the_earliest_is_told_first() {
        let (mut timers, now) = connected(10, 0);
        timers.token_expires(Some(now + SECOND * 7));
        assert_eq!(timers.next(), Some(now + SECOND * 7));
        assert_eq!(timers.due(now + SECOND * 20), Some(Due::TokenExpired));
        timers.token_expires(None);
        assert_eq!(timers.next(), Some(now + SECOND * 8));
    }
}
