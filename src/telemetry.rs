//! What a node says of itself: log lines, as text for people or JSON for machines, one line an event whatever it holds.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata, Subscriber, error};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text an event, for people.
    #[default]
    Text,
    /// A line of JSON an event, for machines.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter is not of the form `info,footfall=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a log was set up before")]
    Twice(#[from] TryInitError),
}

/// Sends events that pass `filter` (`info`, or `info,footfall=debug`) to standard error, and panics with them.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    subscriber(format, filter, io::stderr)?.try_init()?;
    // The default hook writes the panic's text as it is, and that may hold a client's line breaks.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("not a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "panic: {text}");
    }));
    Ok(())
}

/// Whether [`init`] would take this filter.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    EnvFilter::builder().parse(filter)?;
    Ok(())
}

fn subscriber<W>(format: LogFormat, filter: &str, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(filter)?;
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(OneLine(writer));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(holds_no_content));
    Ok(match format {
        LogFormat::Text => Box::new(registry.with(layer)),
        LogFormat::Json => Box::new(registry.with(layer.json())),
    })
}

/// tungstenite logs whole messages at trace and clients' reasons for closing at debug: tokens, and what users write to
/// each other. No filter may ask for that.
fn holds_no_content(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !(metadata.target() == "tungstenite" || metadata.target().starts_with("tungstenite::"))
}

/// Escapes control characters in each event.
///
/// tracing-subscriber 0.3.23 escapes some in messages and in `?` fields, but writes `%` fields and the line breaks of
/// messages as they are. Here nothing passes, whatever formatter and whatever field. It hands over an event in one
/// `write_all`, its last byte the line break.
struct OneLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        OneLineWriter(self.0.make_writer_for(meta))
    }
}

struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        match std::str::from_utf8(line) {
            Ok(text) if !text.contains(char::is_control) => self.0.write_all(event)?,
            _ => self.0.write_all(escape(&String::from_utf8_lossy(line)).as_bytes())?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// In JSON's way, so that it is right in both formats.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other if other.is_control() => escaped.extend(format!("\\u{:04x}", u32::from(other)).chars()),
            other => escaped.push(other),
        }
    }
    escaped.push('\n');
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing::{error_span, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer\nline")]
    struct Nested(#[source] io::Error);

    fn logged(format: LogFormat, filter: &str, events: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        with_default(subscriber(format, filter, move || writer.clone()).unwrap(), events);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "bob\r\n2026-01-01 INFO admin logged in\x1b[2J\u{9b}31m\0\x07\u{85}\u{7f}\t\x0b\x0c end";

    fn hostile_events() {
        let span = error_span!("session", user = HOSTILE, name = %HOSTILE);
        let _entered = span.enter();
        info!(user = HOSTILE, "as a string");
        info!(user = %HOSTILE, "as display");
        info!(user = ?HOSTILE, "as debug");
        info!("as the message: {HOSTILE}");
        info!(message = HOSTILE);
        let error = Nested(io::Error::other(HOSTILE));
        warn!(error = &error as &dyn std::error::Error, "as an error");
        warn!(%error, "as an error's text");
    }

    fn assert_one_line_each(output: &str) {
        assert_eq!(output.matches('\n').count(), 7, "{output:?}");
        assert!(output.ends_with('\n'));
        assert!(!output.contains(|c: char| c.is_control() && c != '\n'), "{output:?}");
        assert_eq!(output.lines().filter(|line| line.contains("end")).count(), 7, "nothing was cut off: {output:?}");
    }

    #[test]
    fn text_is_one_line_an_event_and_holds_no_control_characters() {
        assert_one_line_each(&logged(LogFormat::Text, "trace", hostile_events));
    }

    #[test]
    fn json_is_one_line_an_event_and_still_says_what_was_logged() {
        let output = logged(LogFormat::Json, "trace", hostile_events);
        assert_one_line_each(&output);
        let first: serde_json::Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
        assert_eq!(first["fields"]["user"], HOSTILE);
        assert_eq!(first["fields"]["message"], "as a string");
        assert_eq!(first["span"]["user"], HOSTILE);
        for line in output.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn ordinary_lines_are_left_alone() {
        let output = logged(LogFormat::Text, "info", || info!(user = "Zoë", "grüße “quoted”"));
        assert!(output.contains(r#"grüße “quoted” user="Zoë""#), "{output}");
    }

    #[test]
    fn the_filter_decides() {
        let output = logged(LogFormat::Text, "warn,footfall::telemetry=error", || {
            warn!("not this");
            error!("this");
        });
        assert!(output.contains("this") && !output.contains("not this"), "{output}");
    }

    #[test]
    fn no_filter_shows_what_a_dependency_says_of_messages() {
        for filter in ["trace", "tungstenite=trace", "tungstenite::protocol=trace"] {
            let output = logged(LogFormat::Text, filter, || {
                tracing::trace!(target: "tungstenite::protocol", "Received message a secret");
                tracing::debug!(target: "tungstenite", "a secret");
                tracing::warn!(target: "tungstenite::protocol", "a warning");
            });
            assert!(!output.contains("secret") && output.contains("a warning"), "{output}");
        }
    }

    #[test]
    fn a_bad_filter_is_an_error() {
        assert!(matches!(subscriber(LogFormat::Text, "info,footfall=loud", io::sink), Err(TelemetryError::Filter(_))));
    }
}
