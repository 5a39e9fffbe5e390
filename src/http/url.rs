//! URLs: what can be a base, and where a redirect may lead.

use ureq::http::Uri;

/// Checks the base of all URLs: http or https with a host, and nothing behind the path.
pub(crate) fn check_base_url(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "this is not a valid URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("the URL must begin with http:// or https://");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the URL names no host");
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("the URL must not have a query or a fragment");
    }
    Ok(())
}

/// Where a redirect leads, if it stays within the same scheme, host and port.
pub(crate) fn same_origin(from: &str, location: &str) -> Option<String> {
    let base: Uri = from.parse().ok()?;
    let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
    let location = location.split('#').next()?;
    let target = if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if location.contains("://") {
        location.to_string()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{origin}{folder}/{location}")
    };
    let uri: Uri = target.parse().ok()?;
    let port = |uri: &Uri| uri.port_u16().or_else(|| Some(if uri.scheme_str()? == "https" { 443 } else { 80 }));
    let same = uri.scheme_str() == base.scheme_str()
        && uri.host().zip(base.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&uri) == port(&base)
        && uri.authority()?.as_str().contains('@') == base.authority()?.as_str().contains('@');
    same.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_at_home() {
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
            ("", Some("https://api.example.com/v1.3/")),
            ("ftp://x", None),
        ] {
            assert_eq!(same_origin(from, location).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn base_urls() {
        for good in ["https://api.twelvelabs.io/v1.3", "http://127.0.0.1:9", "http://[::1]:9/x"] {
            assert_eq!(check_base_url(good), Ok(()), "{good}");
        }
        for bad in ["", "api.twelvelabs.io", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", "https://x y/"] {
            assert!(check_base_url(bad).is_err(), "{bad}");
        }
    }
}
