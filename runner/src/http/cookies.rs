//! A virtual user's cookie jar: the part of RFC 6265 that services under test use.

use http::HeaderMap;
use http::header::SET_COOKIE;

/// Cookies of one virtual user.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    /// Seconds since 1970; none for a session cookie.
    expires: Option<i64>,
}

impl Jar {
    /// Keeps the cookies that a response sets.
    pub(crate) fn store(&mut self, headers: &HeaderMap, host: &str, path: &str, now: i64) {
        for header in headers.get_all(SET_COOKIE) {
            let Some(cookie) =
                std::str::from_utf8(header.as_bytes()).ok().and_then(|text| parse(text, host, path, now))
            else {
                continue;
            };
            self.cookies.retain(|old| {
                old.name != cookie.name || old.domain != cookie.domain || old.path != cookie.path
            });
            if cookie.expires.is_none_or(|at| at > now) {
                self.cookies.push(cookie);
            }
        }
    }

    /// Whether it holds none.
    pub(crate) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The `Cookie` header for a request, longest paths first; none when no cookie goes there.
    pub(crate) fn header(&self, host: &str, path: &str, secure: bool, now: i64) -> Option<String> {
        if self.cookies.is_empty() {
            return None;
        }
        let mut sent: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.goes_to(host, path, secure, now)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut header = String::new();
        for cookie in sent {
            if !header.is_empty() {
                header.push_str("; ");
            }
            header.push_str(&cookie.name);
            header.push('=');
            header.push_str(&cookie.value);
        }
        (!header.is_empty()).then_some(header)
    }
}

impl Cookie {
    fn goes_to(&self, host: &str, path: &str, secure: bool, now: i64) -> bool {
        let domain = if self.host_only {
            host.eq_ignore_ascii_case(&self.domain)
        } else {
            domain_matches(host, &self.domain)
        };
        let below = path
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        domain && below && (secure || !self.secure) && self.expires.is_none_or(|at| at > now)
    }
}

fn domain_matches(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn parse(text: &str, host: &str, path: &str, now: i64) -> Option<Cookie> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: host.to_ascii_lowercase(),
        host_only: true,
        path: default_path(path),
        secure: false,
        expires: None,
    };
    let mut max_age = None;
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if !domain_matches(host, &domain) {
                    return None;
                }
                (cookie.host_only, cookie.domain) = (false, domain);
            }
            "secure" => cookie.secure = true,
            "max-age" => max_age = value.parse::<i64>().ok(),
            "expires" => {
                cookie.expires = jiff::fmt::rfc2822::parse(value).ok().map(|at| at.timestamp().as_second());
            }
            _ => {}
        }
    }
    if let Some(seconds) = max_age {
        cookie.expires = Some(if seconds <= 0 { i64::MIN } else { now.saturating_add(seconds) });
    }
    Some(cookie)
}

fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => "/".into(),
        Some(end) => path[..end].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(cookies: &[&str]) -> Jar {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        let mut jar = Jar::default();
        jar.store(&headers, "app.example.com", "/auth/login", 1_000);
        jar
    }

    #[test]
    fn where_cookies_go() {
        let table = [
            ("a=1", "app.example.com", "/auth/x", false, Some("a=1")),
            ("a=1", "app.example.com", "/other", false, None),
            ("a=1; Path=/", "app.example.com", "/other", false, Some("a=1")),
            ("a=1; Path=/ab", "app.example.com", "/abc", false, None),
            ("a=1; Path=/", "www.example.com", "/", false, None),
            ("a=1; Path=/; Domain=.example.com", "www.example.com", "/", false, Some("a=1")),
            ("a=1; Path=/; Domain=evil.com", "evil.com", "/", false, None),
            ("a=1; Path=/; Secure", "app.example.com", "/", false, None),
            ("a=1; Path=/; Secure", "app.example.com", "/", true, Some("a=1")),
            ("a=1; Path=/; Max-Age=0", "app.example.com", "/", false, None),
            ("a=1; Path=/; Max-Age=5", "app.example.com", "/", false, Some("a=1")),
            (
                "a=1; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
                "app.example.com",
                "/",
                false,
                Some("a=1"),
            ),
            ("a=b=c; Path=/", "app.example.com", "/", false, Some("a=b=c")),
        ];
        for (cookie, host, path, secure, sent) in table {
            assert_eq!(jar(&[cookie]).header(host, path, secure, 1_001).as_deref(), sent, "{cookie}");
        }
        let expired = jar(&["a=1; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT"]);
        assert_eq!(expired.header("app.example.com", "/", false, 2_000_000_000), None);
    }

    #[test]
    fn a_cookie_replaces_its_namesake_and_expiry_removes_it() {
        assert_eq!(
            jar(&["a=1; Path=/", "a=2; Path=/"]).header("app.example.com", "/", false, 0).unwrap(),
            "a=2"
        );
        let gone = jar(&["a=1; Path=/", "a=; Path=/; Max-Age=0"]);
        assert_eq!(gone.header("app.example.com", "/", false, 0), None);
        let both = jar(&["a=1; Path=/", "b=2; Path=/auth"]);
        assert_eq!(both.header("app.example.com", "/auth/me", false, 0).unwrap(), "b=2; a=1");
    }
}
