//! A web server on loopback that serves a folder, notes every request, and misbehaves where it is told to.
#![allow(dead_code, reason = "each test file uses a part of this module")]

pub mod python;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub if_match: Option<String>,
    /// How often the same was asked before.
    pub before: usize,
}

/// What is done instead of a right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trick {
    /// A status without what was asked for.
    Status(u16),
    /// All headers, and so many bytes of the body before the connection is closed.
    BreakOff(usize),
    /// The right answer after a while.
    Late(Duration),
    /// The whole file where a part was asked for.
    NoRanges,
    /// Another `Content-Length` than there are bytes, which are those of the file and zeros.
    Announce(u64),
    /// Elsewhere.
    Redirect(String),
    /// Other bytes than the file's.
    Instead(Vec<u8>),
}

type Tricks = Arc<dyn Fn(&Request) -> Option<Trick> + Send + Sync>;

/// A running server; its threads end with the process.
pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves a folder.
    pub fn of(folder: &Path) -> Server {
        Server::playing(folder, |_| None)
    }

    /// Serves a folder with tricks.
    pub fn playing(folder: &Path, tricks: impl Fn(&Request) -> Option<Trick> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (log, tricks) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tricks) as Tricks);
        let place = Arc::new((folder.to_owned(), Arc::clone(&log), tricks));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let place = Arc::clone(&place);
                std::thread::spawn(move || drop(serve(&stream, &place)));
            }
        });
        Server { url, log }
    }

    /// All requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// The URL of a file.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

type Place = (PathBuf, Arc<Mutex<Vec<Request>>>, Tricks);

/// Answers requests on a connection until it is closed.
fn serve(stream: &TcpStream, (folder, log, tricks): &Place) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let Some(mut request) = next(&mut reader)? else { return Ok(()) };
        {
            let mut log = log.lock().unwrap();
            let same =
                |r: &&Request| (&r.method, &r.path, &r.range) == (&request.method, &request.path, &request.range);
            request.before = log.iter().filter(same).count();
            log.push(request.clone());
        }
        if !answer(stream, folder, &request, tricks(&request).as_ref())? {
            return Ok(());
        }
    }
}

fn next(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request =
        Request { method: method.to_owned(), path: path.to_owned(), range: None, if_match: None, before: 0 };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value),
            "if-match" => request.if_match = Some(value),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    Ok(Some(request))
}

/// Answers; false where the connection is to be closed.
fn answer(mut out: &TcpStream, folder: &Path, request: &Request, trick: Option<&Trick>) -> std::io::Result<bool> {
    let mut simple = |status: &str, header: &str| -> std::io::Result<bool> {
        out.write_all(format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n").as_bytes())?;
        Ok(true)
    };
    match trick {
        Some(Trick::Status(status)) => return simple(&format!("{status} As asked"), ""),
        Some(Trick::Redirect(to)) => return simple("302 Found", &format!("Location: {to}\r\n")),
        Some(Trick::Late(time)) => std::thread::sleep(*time),
        _ => {}
    }
    let path = folder.join(decoded(request.path.trim_start_matches('/')));
    let bytes = match trick {
        Some(Trick::Instead(bytes)) => bytes.clone(),
        _ => match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => return simple("404 Not Found", ""),
        },
    };
    let time = std::fs::metadata(&path).and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
    let tag = format!("\"{}-{}\"", bytes.len(), time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos());
    if request.if_match.as_ref().is_some_and(|wanted| *wanted != tag) {
        return simple("412 Precondition Failed", "");
    }
    let range = request.range.as_deref().filter(|_| trick != Some(&Trick::NoRanges));
    let (status, part) = match range.map(|range| part(range, bytes.len())) {
        None => ("200 OK".to_owned(), 0..bytes.len()),
        Some(Some(part)) => ("206 Partial Content".to_owned(), part),
        Some(None) => return simple("416 Range Not Satisfiable", ""),
    };
    let mut body = bytes[part.clone()].to_vec();
    let mut length = body.len() as u64;
    if let Some(Trick::Announce(announced)) = trick {
        length = *announced;
        body.resize(body.len() + (1 << 20), 0);
    }
    let mut head = format!("HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n");
    // Google's client wants one; the tag tells what changed.
    head += "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    if status.starts_with("206") {
        let (first, last) = (part.start, part.end - 1);
        write!(head, "Content-Range: bytes {first}-{last}/{}\r\n", bytes.len()).unwrap();
    }
    out.write_all((head + "\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    if let Some(Trick::BreakOff(at)) = trick {
        out.write_all(&body[..body.len().min(*at)])?;
        return Ok(false);
    }
    out.write_all(&body)?;
    Ok(!matches!(trick, Some(Trick::Announce(_))))
}

/// A path without its percent signs.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// The bytes of `bytes=A-B`, `bytes=A-` or `bytes=-N`.
fn part(range: &str, len: usize) -> Option<std::ops::Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => from..(to + 1).min(len),
        (Ok(from), Err(_)) => from..len,
        (Err(_), Ok(last)) => len.saturating_sub(last)..len,
        _ => return None,
    };
    (part.start < part.end).then_some(part)
}
