//! The session cookie in HTTP: how it is read from a handshake, and the header that sets it.
//!
//! RFC 6265. What the value stands for is the login session's business.

mod settings;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

pub use settings::{SameSite, Secure, SessionCookieSettings};

use super::origin::Origin;
use crate::login::CookieValue;

/// Browsers keep the cookie at least so long: nothing can be set while a WebSocket is open, and one that is open for longer
/// than the login session outlives it must not cost its browser the cookie. Whether it still counts the registry knows.
const KEPT_AT_LEAST: Duration = Duration::from_hours(30 * 24);

/// Whether cookies count in this handshake: only a page that the settings name may use its visitor's, and if all pages may
/// connect, none is named. What is no browser sends what it means to.
pub(super) fn counts(settings: &SessionCookieSettings, origin: Origin) -> bool {
    settings.enabled && matches!(origin, Origin::Allowed | Origin::None)
}

/// The value that the client brought; none where it brought nothing that could be one. Never an error, whatever else the page
/// and its neighbours keep in cookies. Read as bytes, since others may have put anything there.
///
/// Of two that differ none counts: RFC 6265 §4.2.2 gives their order no meaning, and one may be from a neighbouring host that
/// wants to be taken for this browser.
pub(super) fn read(headers: &HeaderMap, name: &str) -> Option<CookieValue> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let named = pairs.filter_map(|pair| pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let mut well_formed = named.map(<[u8]>::trim_ascii_end).filter(|value| CookieValue::parse(value).is_some());
    let first = well_formed.next()?;
    if well_formed.any(|other| other != first) { None } else { CookieValue::parse(first) }
}

/// The header that sets the cookie. Without `Domain` it goes to this very host only.
pub(super) fn write(settings: &SessionCookieSettings, headers: &HeaderMap, value: &str) -> Option<HeaderValue> {
    let SessionCookieSettings { name, ttl, same_site, .. } = settings;
    let secure = if is_secure(settings.secure, headers) { "; Secure" } else { "" };
    let max_age = ttl.0.max(KEPT_AT_LEAST).as_secs();
    let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite={}{secure}", same_site.as_str());
    let mut line = HeaderValue::try_from(line).ok()?;
    // Whoever logs headers hides it.
    line.set_sensitive(true);
    Some(line)
}

/// A client can say here what it likes, and gets a cookie that it won't send, or not only over TLS: its own loss. A page can't
/// set this header.
fn is_secure(secure: Secure, headers: &HeaderMap) -> bool {
    match secure {
        Secure::Always => true,
        Secure::Never => false,
        Secure::Auto => {
            let came_by = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
            // Of several proxies the first is the one that the client spoke to. Some say wss of a WebSocket.
            let first = came_by.split(',').next().unwrap_or_default().trim();
            ["https", "wss"].iter().any(|tls| first.eq_ignore_ascii_case(tls))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HumanDuration;

    const VALUE: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let name = header::HeaderName::from_static(name);
        values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    fn found(lines: &[&[u8]]) -> bool {
        let value = read(&headers("cookie", lines), "sid").map(|value| value.is(VALUE));
        assert_ne!(value, Some(false), "another value was made up of {lines:?}");
        value.is_some()
    }

    fn written(settings: &SessionCookieSettings, came_by: &[&[u8]]) -> String {
        let line = write(settings, &headers("x-forwarded-proto", came_by), VALUE).unwrap();
        assert!(line.is_sensitive());
        line.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_value_is_found_whatever_stands_beside_it() {
        for line in [
            "sid=V",
            "a=1; sid=V; b=2",
            "a=1;sid=V",
            ";;; ; sid=V;",
            "=; =x; a; sid=V ",
            "  sid=V",
            "\tsid=V\t",
            "sid2=x; sid=V; xsid=y",
            "sid=V; sid=V",
            "sid=; sid=V; sid=short",
            "SID=x; sid=V",
            "\u{e9}=\u{fc}; sid=V",
            "a=\"sid=x; sid=V\"; sid=V",
        ] {
            assert!(found(&[line.replace('V', VALUE).as_bytes()]), "{line}");
        }
        assert!(found(&[b"a=\xff\xfe", format!("b=1; sid={VALUE}").as_bytes(), b"c"]));
        assert!(found(&[format!("sid={VALUE}").as_bytes(), format!("sid={VALUE}").as_bytes()]));
    }

    #[test]
    fn what_is_no_value_is_no_cookie() {
        for line in [
            "",
            ";",
            "=",
            "sid",
            "sid=",
            "sid =V",
            "sid= V",
            "sid==V",
            "sid=\"V\"",
            "sid=V0",
            "sid=V V",
            "sid=V,sid=V",
            "sid=%V",
            "Sid=V",
            "x-sid=V",
            "sid2=V",
            "$sid=V",
            "sid=V; sid=W",
            "sid=W; a=1; sid=V",
            "a=sid=V",
        ] {
            assert!(!found(&[line.replace('V', VALUE).replace('W', OTHER).as_bytes()]), "{line}");
        }
        assert!(!found(&[]));
        assert!(!found(&[&[b'x'; 8192]]));
        assert!(!found(&[format!("sid={VALUE}").as_bytes(), format!("sid={OTHER}").as_bytes()]));
    }

    #[test]
    fn all_flags_are_there() {
        let settings = SessionCookieSettings { name: "sid".into(), ttl: HumanDuration::from_secs(90), ..SessionCookieSettings::default() };
        assert_eq!(written(&settings, &[]), format!("sid={VALUE}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"));
        let settings = SessionCookieSettings { same_site: SameSite::None, secure: Secure::Always, ..settings };
        assert_eq!(written(&settings, &[]), format!("sid={VALUE}; Path=/; Max-Age=2592000; HttpOnly; SameSite=None; Secure"));
        let settings = SessionCookieSettings { same_site: SameSite::Strict, secure: Secure::Never, ..settings };
        assert_eq!(written(&settings, &[b"https"]), format!("sid={VALUE}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn browsers_keep_it_for_thirty_days_or_longer() {
        for (ttl, kept) in [(60, 2_592_000), (2_592_000, 2_592_000), (2_592_001, 2_592_001)] {
            let settings = SessionCookieSettings { ttl: HumanDuration::from_secs(ttl), ..SessionCookieSettings::default() };
            assert!(written(&settings, &[]).contains(&format!("; Max-Age={kept};")), "{ttl}");
        }
    }

    #[test]
    fn it_is_secure_where_the_client_came_over_tls() {
        for (came_by, expected) in [
            (&[][..], false),
            (&[&b"https"[..]][..], true),
            (&[b"HTTPS"], true),
            (&[b"wss"], true),
            (&[b"https, http"], true),
            (&[b"https", b"http"], true),
            (&[b"http"], false),
            (&[b"http, https"], false),
            (&[b"http", b"https"], false),
            (&[b"ws"], false),
            (&[b""], false),
            (&[b"httpsx"], false),
            (&[b"\xff"], false),
        ] {
            assert_eq!(written(&SessionCookieSettings::default(), came_by).ends_with("; Secure"), expected, "{came_by:?}");
        }
    }

    #[test]
    fn cookies_count_where_somebody_knows_the_page() {
        let on = SessionCookieSettings::default();
        let counting = [Origin::None, Origin::Allowed, Origin::Any, Origin::Denied].map(|origin| counts(&on, origin));
        assert_eq!(counting, [true, true, false, false]);
        assert!(!counts(&SessionCookieSettings { enabled: false, ..on }, Origin::Allowed));
    }
}
