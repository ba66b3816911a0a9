//! URLs of images.
//!
//! *Invariant:* a URL that carries a secret (a user, a signed query) is refused, so that none gets into logs and records.

use std::path::{Path, PathBuf};

use microtome_io::ReadError;

/// What can be asked how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    S3,
    Gs,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Http, Scheme::Https, Scheme::S3, Scheme::Gs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::S3 => "s3",
            Scheme::Gs => "gs",
        }
    }
}

/// The URL of an image, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// As given, without slashes at its end.
    pub(crate) url: PathBuf,
    /// Host and port, or the bucket.
    pub(crate) host: String,
    /// What follows, without slashes at both ends.
    pub(crate) path: String,
}

/// Whether a path is a URL: `scheme://…`.
///
/// # Examples
/// ```
/// use std::path::Path;
/// assert!(microtome_zarr::is_url(Path::new("s3://bucket/image.zarr")));
/// assert!(!microtome_zarr::is_url(Path::new("/data/image.zarr")));
/// assert!(!microtome_zarr::is_url(Path::new("c:/image.zarr")));
/// ```
pub fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| split(text).is_some())
}

/// The URL without slashes at its end, if it is one that an image may have.
///
/// # Errors
/// [`ReadError::Unsupported`] for a URL of an unknown kind, with a user, a query or a fragment, or with names that lead
/// elsewhere; what may be secret in it is not told.
///
/// # Examples
/// ```
/// use std::path::Path;
/// let url = microtome_zarr::checked_url(Path::new("https://host/image.zarr/"))?;
/// assert_eq!(url, Path::new("https://host/image.zarr"));
/// assert!(microtome_zarr::checked_url(Path::new("https://me:secret@host/image.zarr")).is_err());
/// # Ok::<(), microtome_io::ReadError>(())
/// ```
pub fn checked_url(path: &Path) -> Result<PathBuf, ReadError> {
    Address::parse(path).map(|address| address.url)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = known && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    known.then_some((scheme, rest))
}

impl Address {
    /// Takes a URL apart.
    pub(crate) fn parse(path: &Path) -> Result<Address, ReadError> {
        let text = path.to_str().unwrap_or_default().trim_end_matches('/');
        let unsupported = |what: String, hint: &str| {
            let (path, hint) = (PathBuf::from(without_secrets(text)), hint.to_owned());
            ReadError::Unsupported { path, what, location: String::new(), hint }
        };
        let known = "give http://, https://, s3:// or gs://, or copy the image here";
        let (scheme, rest) = split(text).ok_or_else(|| unsupported("what is no URL".to_owned(), known))?;
        let scheme = Scheme::ALL.into_iter().find(|s| s.name().eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or_else(|| unsupported("a URL of this kind".to_owned(), known))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        if host.contains('@') {
            let hint = "what is secret does not belong into a URL, which is logged and shown";
            return Err(unsupported("a user in a URL".to_owned(), hint));
        }
        if rest.contains(['?', '#']) {
            let hint = "the objects of an image have names of their own; a signed URL is of one object alone";
            return Err(unsupported("a URL with a query or a fragment".to_owned(), hint));
        }
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if host.is_empty() || (!path.is_empty() && !path.split('/').all(plain)) {
            return Err(unsupported("this URL".to_owned(), "it needs a host or bucket, and plain names behind it"));
        }
        Ok(Address { scheme, url: PathBuf::from(text), host: host.to_owned(), path: path.to_owned() })
    }
}

/// The text without user, query and fragment.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(Path::new(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_is_a_host_and_a_path() {
        let address = parse("S3://bucket/a/b.zarr//").unwrap();
        assert_eq!((address.scheme, address.host.as_str(), address.path.as_str()), (Scheme::S3, "bucket", "a/b.zarr"));
        assert_eq!(address.url, Path::new("S3://bucket/a/b.zarr"));
        let address = parse("http://127.0.0.1:8000").unwrap();
        assert_eq!((address.host.as_str(), address.path.as_str()), ("127.0.0.1:8000", ""));
    }

    #[test]
    fn secrets_are_refused_and_not_told() {
        for text in ["https://me:secret@host/a.zarr", "https://host/a.zarr?X-Amz-Signature=secret", "s3://k:secret@b/a"]
        {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("not supported") && !error.contains("secret@") && !error.contains("=secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in ["ftp://host/a", "http:///a", "s3://bucket/a/../b", "s3://bucket/a//b", "gs://"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
