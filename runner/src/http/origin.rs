//! Where requests go: origins with their addresses, and the list of hosts that any request may go to.

use super::error::{Code, Failure};
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;

/// Scheme, host and port of a URL, with what connecting there needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `https` rather than `http`.
    pub(crate) secure: bool,
    /// Host name or literal address, without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// `Host` header: with the port when it is not the scheme's own.
    pub(crate) authority: String,
    /// Addresses; empty until resolved.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// The hosts that any request may go to.
#[derive(Debug, Clone)]
pub(crate) struct AllowList(Vec<String>);

impl Origin {
    /// Splits an absolute URL into its origin and what follows (path and query, at least `/`).
    pub(crate) fn split(url: &str) -> Result<(Origin, String), String> {
        let uri: http::Uri = url.parse().map_err(|e| format!("`{url}` is not a URL: {e}"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("`{url}` is not an http or https URL")),
        };
        let host = uri.host().ok_or_else(|| format!("`{url}` names no host"))?;
        let standard = if secure { 443 } else { 80 };
        let port = match (uri.port_u16(), uri.authority().map(|all| all.as_str())) {
            (Some(port), _) => port,
            (None, Some(all)) if !all.ends_with(host) && !all.ends_with(':') => {
                return Err(format!("`{url}` has no port between 0 and 65535"));
            }
            (None, _) => standard,
        };
        let authority = if port == standard { host.to_owned() } else { format!("{host}:{port}") };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let origin = Origin {
            secure,
            host: host.trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            authority,
            addresses: Vec::new(),
        };
        Ok((origin, path.to_owned()))
    }

    /// Looks the addresses up with the system's resolver; blocks.
    pub(crate) fn resolve(&mut self) -> Result<(), Failure> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        match found.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => {
                self.addresses = addresses;
                Ok(())
            }
            Ok(_) => Err(Failure::new(Code::Dns, format!("`{}` has no address", self.host))),
            Err(error) => Err(Failure::new(Code::Dns, format!("`{}` does not resolve: {error}", self.host))),
        }
    }

    /// Looks the addresses up without blocking the runtime.
    pub(crate) async fn resolved(mut self) -> Result<Rc<Origin>, Failure> {
        let (origin, result) = tokio::task::spawn_blocking(move || {
            let result = self.resolve();
            (self, result)
        })
        .await
        .map_err(|e| Failure::new(Code::Dns, e.to_string()))?;
        result.map(|()| Rc::new(origin))
    }

    /// The absolute URL of a path and query.
    pub(crate) fn url(&self, at: &http::Uri) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{at}", self.authority)
    }

    /// Same scheme, host and port.
    pub(crate) fn same(&self, other: &Origin) -> bool {
        self.port == other.port && self.secure == other.secure && self.host == other.host
    }
}

impl AllowList {
    /// The plan's patterns; where it has none, only the target's own host.
    pub(crate) fn new(patterns: &[String], target: &Origin) -> Self {
        let mut patterns: Vec<String> = patterns.iter().map(|p| p.to_ascii_lowercase()).collect();
        if patterns.is_empty() {
            patterns.push(target.host.clone());
        }
        AllowList(patterns)
    }

    /// Whether a request may go there.
    pub(crate) fn allows(&self, origin: &Origin) -> bool {
        // As a URL has it: an IPv6 address stands in brackets.
        let host = match origin.host.contains(':') {
            true => format!("[{}]", origin.host),
            false => origin.host.clone(),
        };
        let with_port = format!("{host}:{}", origin.port);
        self.0
            .iter()
            .any(|pattern| glob(pattern, &origin.host) || glob(pattern, &host) || glob(pattern, &with_port))
    }
}

/// `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| glob(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let split = |url| Origin::split(url).map(|(o, path)| (o.secure, o.host, o.port, o.authority, path));
        let own = |s: &str| s.to_owned();
        assert_eq!(split("http://A.b:80/x?y=1"), Ok((false, own("a.b"), 80, own("A.b"), own("/x?y=1"))));
        assert_eq!(split("https://[::1]:8443"), Ok((true, own("::1"), 8443, own("[::1]:8443"), own("/"))));
        assert!(split("/x").is_err());
        assert!(split("http://a:65536/").is_err());
        assert_eq!(split("http://a:/").unwrap().2, 80);
        assert!(split("ftp://a/").is_err());
    }

    #[test]
    fn the_allow_list() {
        let (target, _) = Origin::split("http://127.0.0.1:1/").unwrap();
        let allows = |patterns: &[&str], url: &str| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            AllowList::new(&patterns, &target).allows(&Origin::split(url).unwrap().0)
        };
        assert!(allows(&[], "http://127.0.0.1:9/"));
        assert!(!allows(&[], "http://localhost/"));
        assert!(allows(&["*.staging.example.com"], "https://API.staging.example.com/"));
        assert!(!allows(&["*.staging.example.com"], "https://staging.example.com.evil.org/"));
        assert!(!allows(&["*.staging.example.com"], "https://staging.example.com/"));
        assert!(allows(&["localhost:81"], "http://localhost:81/"));
        assert!(!allows(&["localhost:81"], "http://localhost:82/"));
        assert!(allows(&["[::1]"], "http://[::1]:5/"));
        assert!(allows(&["::1"], "http://[::1]:5/"));
        assert!(allows(&["[::1]:8443"], "https://[::1]:8443/"));
        assert!(!allows(&["[::1]:8443"], "https://[::1]:8444/"));
    }
}
