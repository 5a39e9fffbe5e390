//! URL handling: checks of the base URL, and targets of redirects.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memchr;
use percent_encoding::percent_decode_str;
use ureq::Proxy;
use ureq::http::Uri;

/// Checks the base URL: it must use http or https, name a host, and end with its path.
pub(crate) fn check_base_url(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "is not a valid URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must begin with http:// or https://");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("has no host name");
    }
    if !has_usable_port(&uri) {
        return Err("has a port that is not a number (in a password, write `/` as %2F)");
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("must not have a query or a fragment");
    }
    Ok(())
}

/// Returns the host of a URL.
pub(crate) fn host_of(url: &str) -> String {
    url.parse().ok().and_then(|uri: Uri| uri.host().map(String::from)).unwrap_or_default()
}

/// Says whether the port of a URL, if it has one, is a number up to 65535. The library reads any other port as none and
/// connects to the default port of the scheme instead.
fn has_usable_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let port = server.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Parses the URL of a proxy. `None` if it is malformed, or has no host or no usable port.
pub(crate) fn parse_proxy(url: &str) -> Option<Proxy> {
    Proxy::new(url).ok().filter(|proxy| !proxy.host().is_empty() && has_usable_port(proxy.uri()))
}

/// Returns a URL without its user name and password, for use in errors.
pub(crate) fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..start], &url[start + at..]),
        None => url.into(),
    }
}

/// Returns the user name and password of a URL as the value of an `Authorization` header. They are percent-decoded
/// first, because a `/` or an `@` in a password must be encoded in a URL; the HTTP library would send them still
/// encoded.
pub(crate) fn basic_auth(uri: &Uri) -> Option<String> {
    let authority = uri.authority()?.as_str();
    // Almost no URL has a user name, and this search is faster than the one from the end.
    memchr(b'@', authority.as_bytes())?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    Some(format!("Basic {}", BASE64_STANDARD.encode(credentials)))
}

/// Says whether a reference starts with a scheme (RFC 3986, section 3.1), so that it needs no base.
fn is_absolute(reference: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    reference
        .split_once(':')
        .is_some_and(|(scheme, _)| scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part))
}

/// Returns the target of a redirect, if it has the same scheme, host and port. The reference is resolved according to
/// RFC 3986, section 5.2, except that `..` is left to the server.
pub(crate) fn same_origin(from: &str, location: &str) -> Option<String> {
    let base: Uri = from.parse().ok()?;
    let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
    let location = location.split('#').next()?;
    let target = if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if is_absolute(location) {
        location.to_string()
    } else if location.is_empty() {
        format!("{origin}{}", base.path_and_query().map_or("/", |path| path.as_str()))
    } else if location.starts_with('?') {
        format!("{origin}{}{location}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{origin}{folder}/{location}")
    };
    let uri: Uri = target.parse().ok()?;
    let port = |uri: &Uri| uri.port_u16().or_else(|| Some(if uri.scheme_str()? == "https" { 443 } else { 80 }));
    let same = uri.scheme_str() == base.scheme_str()
        && uri.host().zip(base.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&uri) == port(&base);
    // A server does not see the user name and password of the URL that led to it, and need not repeat them.
    let (ours, theirs) = (base.authority()?.as_str(), uri.authority()?.as_str());
    match (ours.rsplit_once('@'), theirs.rsplit_once('@')) {
        (None, None) => {}
        (Some((ours, _)), Some((theirs, _))) if ours == theirs => {}
        (Some((ours, _)), None) if same => {
            return Some(target.replacen("://", &format!("://{ours}@"), 1));
        }
        _ => return None,
    }
    same.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_same_origin() {
        let from = "https://api.example.com/v1.3/assets?page=1";
        for (location, target) in [
            ("/v2/assets", Some("https://api.example.com/v2/assets")),
            ("other?x=1", Some("https://api.example.com/v1.3/other?x=1")),
            ("https://API.example.com:443/a#top", Some("https://API.example.com:443/a")),
            ("//api.example.com/a", Some("https://api.example.com/a")),
            ("http://api.example.com/a", None),
            ("https://api.example.com:8443/a", None),
            ("https://evil.example/a", None),
            ("//evil.example/a", None),
            ("https://api.example.com@evil.example/a", None),
            ("https://u:p@api.example.com/a", None),
            ("https://api.example.com.evil.example/", None),
            ("", Some("https://api.example.com/v1.3/assets?page=1")),
            ("?x=1", Some("https://api.example.com/v1.3/assets?x=1")),
            ("other?to=https://evil.example/", Some("https://api.example.com/v1.3/other?to=https://evil.example/")),
            ("a/b:c", Some("https://api.example.com/v1.3/a/b:c")),
            ("1a:b", Some("https://api.example.com/v1.3/1a:b")),
            ("mailto:somebody", None),
            ("https:evil", None),
            ("ftp://x", None),
        ] {
            assert_eq!(same_origin(from, location).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn redirects_keep_the_password() {
        let from = "https://u:p@api.example.com/v1.3/assets";
        for (location, target) in [
            ("https://api.example.com/a", Some("https://u:p@api.example.com/a")),
            ("https://u:p@api.example.com/a", Some("https://u:p@api.example.com/a")),
            ("/a", Some("https://u:p@api.example.com/a")),
            ("https://x:y@api.example.com/a", None),
            ("https://evil.example/a", None),
        ] {
            assert_eq!(same_origin(from, location).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn user_and_password_are_sent_decoded() {
        for (url, credentials) in [
            ("https://user:pass@host/a@b", Some("user:pass")),
            ("https://us%65r:p%2Fa%40s%3As@host/", Some("user:p/a@s:s")),
            ("https://user@host/", Some("user:")),
            ("https://user:100%@host/", Some("user:100%")),
            ("https://host/", None),
        ] {
            let expected = credentials.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
            assert_eq!(basic_auth(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("https://user:p%40ss@host/v1?a=b@c", "https://***@host/v1?a=b@c"),
            ("https://key@host:8443", "https://***@host:8443"),
            ("https://host/@a", "https://host/@a"),
            ("/path/a@b", "/path/a@b"),
            ("user:pass@host", "***@host"),
            ("https://a@b@host/", "https://***@host/"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }

    #[test]
    fn base_urls() {
        for good in [
            "https://api.twelvelabs.io/v1.3",
            "http://127.0.0.1:9",
            "http://[::1]:9/x",
            "http://[::1]/",
            "https://u:p@x:1/",
        ] {
            assert_eq!(check_base_url(good), Ok(()), "{good}");
        }
        let bad = ["", "api.twelvelabs.io", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", "https://x y/"];
        for bad in bad.into_iter().chain(["https://user:pass/word@x", "https://x:", "https://x:99999", "https://x:a/b"])
        {
            assert!(check_base_url(bad).is_err(), "{bad}");
        }
    }
}
