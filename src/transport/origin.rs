//! Which pages may connect (RFC 6454): a browser sends the origin of the page, and nothing but it tells a good page
//! from one that uses its visitor's cookies.

use axum::http::{HeaderMap, header};

/// What an `Origin` header means for a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// No page: not a browser, or not cross-origin.
    None,
    /// A page of this node, or of an origin that the settings name.
    Allowed,
    /// Some page, and the settings let every page in.
    Any,
    Denied,
}

pub(super) fn judge(headers: &HeaderMap, allowed: &[String]) -> Origin {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return if headers.contains_key(header::ORIGIN) { Origin::Denied } else { Origin::None };
    };
    let Ok(origin) = origin.to_str() else { return Origin::Denied };
    if allowed.iter().any(|one| one == origin) || is_same(origin, headers) {
        return Origin::Allowed;
    }
    // `null` is what sandboxed frames and files send, whoever wrote them.
    if origin != "null" && allowed.iter().any(|one| one == "*") { Origin::Any } else { Origin::Denied }
}

/// Whether the page came from where the handshake goes: the `Host` that the browser asked.
fn is_same(origin: &str, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn judged(origins: &[&str], host: &str, allowed: &[&str]) -> Origin {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        let allowed: Vec<_> = allowed.iter().map(|&one| one.to_owned()).collect();
        judge(&headers, &allowed)
    }

    #[test]
    fn only_named_origins_and_our_own() {
        let allowed = ["https://chat.example.com"];
        assert_eq!(judged(&[], "broker.example.com", &allowed), Origin::None);
        assert_eq!(judged(&["https://chat.example.com"], "broker.example.com", &allowed), Origin::Allowed);
        assert_eq!(judged(&["https://broker.example.com"], "broker.example.com", &allowed), Origin::Allowed);
        assert_eq!(judged(&["http://localhost:8080"], "localhost:8080", &allowed), Origin::Allowed);
    }

    #[test]
    fn no_spelling_of_another_origin_passes() {
        let allowed = ["https://chat.example.com"];
        for origin in [
            "https://evil.example", "null", "", "NULL", "https://chat.example.com.evil.example", "https://evilchat.example.com", "http://chat.example.com",
            "https://chat.example.com:8443", "https://chat.example.com:443", "https://CHAT.example.com", "https://chat.example.com/", "https://chat.example.com.",
            " https://chat.example.com", "https://chat.example.com@evil.example", "https://evil.example/https://chat.example.com", "chat.example.com", "//chat.example.com",
            "https://chat.example.com https://evil.example", "https://xn--chat-example.com", "file://", "https://", "http://", "https://sub.chat.example.com",
            "https://broker.example.com:444", "https://broker.example.com.evil", "ftp://broker.example.com", "broker.example.com", "https://localhost", "https://127.0.0.1",
            "https://chat\u{e9}.example.com", "*", "https://*.example.com",
        ] {
            assert_eq!(judged(&[origin], "broker.example.com", &allowed), Origin::Denied, "{origin:?}");
        }
        assert_eq!(judged(&["https://chat.example.com", "https://evil.example"], "broker.example.com", &allowed), Origin::Denied);
    }

    #[test]
    fn everyone_is_not_nobody() {
        assert_eq!(judged(&["https://evil.example"], "a", &["*"]), Origin::Any);
        assert_eq!(judged(&["null"], "a", &["*"]), Origin::Denied);
    }
}
