//! What goes wrong on the way to an object, in words: the URL, the status, and what to do.

use std::error::Error;
use std::path::Path;

use microtome_io::ReadError;
use object_store::client::{HttpError, HttpErrorKind};

use super::address::{Address, Scheme};
use super::client::Seen;

/// A store that cannot even be set up.
pub(super) fn unusable(address: &Address, error: &object_store::Error) -> ReadError {
    let hint = match address.scheme {
        Scheme::Http | Scheme::Https => "is the URL right?",
        Scheme::S3 => "are the variables AWS_… right?",
        Scheme::Gs => "are the variables GOOGLE_… right?",
    };
    ReadError::Remote { path: address.url.clone(), why: deepest(error), hint: hint.to_owned() }
}

/// An object that could not be had.
pub(super) fn read(scheme: Scheme, url: &Path, seen: &Seen, error: &object_store::Error) -> ReadError {
    if matches!(error, object_store::Error::Precondition { .. }) || seen.status == Some(412) {
        let why = "another object has its name, by its ETag".to_owned();
        return ReadError::Changed { path: url.to_owned(), why };
    }
    let (why, hint) = words(scheme, seen, error);
    ReadError::Remote { path: url.to_owned(), why, hint }
}

/// Why a request failed, and what to do.
pub(super) fn words(scheme: Scheme, seen: &Seen, error: &object_store::Error) -> (String, String) {
    match seen.status {
        Some(status) if status >= 300 => answered(scheme, status, seen, error),
        Some(200) if is_about_ranges(error) => (
            "the server gives the whole object where a part of it was asked for".to_owned(),
            "it must know range requests (HTTP status 206); copy the image here".to_owned(),
        ),
        _ => unanswered(scheme, error),
    }
}

fn is_about_ranges(error: &object_store::Error) -> bool {
    let text = error.to_string();
    matches!(error, object_store::Error::NotSupported { .. }) || text.contains("non-partial")
}

/// The words of a status and what to do about it.
fn answered(scheme: Scheme, status: u16, seen: &Seen, error: &object_store::Error) -> (String, String) {
    let known = http::StatusCode::from_u16(status).ok();
    let mut why = match known.and_then(|s| s.canonical_reason()) {
        Some(reason) => format!("HTTP status {status} {reason}"),
        None => format!("HTTP status {status}"),
    };
    if let Some(code) = code(&error.to_string()) {
        why = format!("{why}, {code}");
    }
    let hint = match (status, scheme) {
        (300..=399, Scheme::S3) => "is the region right? AWS_REGION names it".to_owned(),
        (300..=399, _) => {
            let to = seen.location.as_deref().map_or_else(String::new, |to| format!(", as {to} may be"));
            format!("redirects are not followed; give the URL that they lead to{to}")
        }
        (401 | 403, Scheme::S3) => "give credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and \
             AWS_SESSION_TOKEN), or AWS_SKIP_SIGNATURE=true for a public bucket; to one who may not list a bucket, S3 \
             says this also of objects that are not there, so that a missing chunk cannot be told from a forbidden one: \
             ask for s3:ListBucket"
            .to_owned(),
        (401 | 403, Scheme::Gs) => {
            "give credentials in GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket"
                .to_owned()
        }
        (401 | 403, _) => "the server does not give it to everybody, and no password is sent over http; some servers \
             say this of objects that are not there, which cannot be told apart"
            .to_owned(),
        (429 | 500.., _) => "the server is at fault or overloaded; try again later".to_owned(),
        (416, _) => "the object is shorter than it was, or empty".to_owned(),
        _ => "is the URL right?".to_owned(),
    };
    (why, hint)
}

/// The words of a request that was not answered as it should be.
fn unanswered(scheme: Scheme, error: &object_store::Error) -> (String, String) {
    let why = deepest(error);
    let all = format!("{error} {error:?} {why}");
    let kind = chain(error).into_iter().find_map(|e| e.downcast_ref::<HttpError>()).map(HttpError::kind);
    let hint = if all.contains("169.254.169.254") || all.contains("metadata.google.internal") {
        "no credentials were found; give them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in \
         GOOGLE_APPLICATION_CREDENTIALS, or say AWS_SKIP_SIGNATURE=true or GOOGLE_SKIP_SIGNATURE=true"
    } else if all.contains("InvalidCertificate") || all.contains("certificate") {
        "its certificate is not trusted here; SSL_CERT_FILE names a file of certificates that are"
    } else if all.contains("URL scheme is not allowed") {
        match scheme {
            Scheme::S3 => "AWS_ALLOW_HTTP=true allows an endpoint without encryption",
            _ => "GOOGLE_ALLOW_HTTP=true allows an endpoint without encryption",
        }
    } else {
        match kind {
            Some(HttpErrorKind::Connect) => "is the address right, and does a server listen there?",
            Some(HttpErrorKind::Timeout) => {
                "the server is too slow; MICROTOME_REMOTE_TIMEOUT is how many seconds are waited"
            }
            _ => "the answer is not as it should be; try again, or copy the image here",
        }
    };
    (why, hint.to_owned())
}

/// S3's own word for what is wrong.
fn code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    (code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(code)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut all = vec![error];
    while let Some(source) = all[all.len() - 1].source() {
        all.push(source);
    }
    all
}

/// The innermost reason, which says most.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    if let Some((at, _)) = text.char_indices().nth(300) {
        text.truncate(at);
    }
    text
}
