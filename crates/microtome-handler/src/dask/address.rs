//! Where a Dask scheduler is: `tcp://HOST:PORT`, `tls://HOST:PORT`, or a scheduler file that says so.
//!
//! *Invariant:* no connection in plain text leaves this machine unless it was asked for.

use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::Deserialize;

use crate::error::ConnectError;

/// A checked address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) text: String,
    pub(super) encrypted: bool,
    host: String,
    port: u16,
}

impl Address {
    /// Reads an address; `HOST:PORT` alone is taken as tcp, and what is a file as a scheduler file.
    pub(super) fn parse(text: &str) -> Result<Address, ConnectError> {
        let path = Path::new(text);
        if !text.contains("://")
            && (path.is_file() || path.extension().is_some() && !text.contains(':') || text.contains('/'))
        {
            return Address::from_file(path);
        }
        let wrong = |why: &str| ConnectError::Address { address: text.to_owned(), why: why.to_owned() };
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        if scheme != "tcp" && scheme != "tls" {
            return Err(wrong(&format!("`{scheme}` is neither tcp nor tls")));
        }
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let port: u16 = port.parse().map_err(|_| wrong("its port is no number from 1 to 65535"))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || port == 0 {
            return Err(wrong("it has no host or no port"));
        }
        let text = format!("{scheme}://{rest}");
        Ok(Address { text, encrypted: scheme == "tls", host: host.to_owned(), port })
    }

    /// Reads the file that `dask scheduler --scheduler-file` writes.
    pub(super) fn from_file(path: &Path) -> Result<Address, ConnectError> {
        #[derive(Deserialize)]
        struct File {
            address: String,
        }
        let wrong = |why: String| ConnectError::SchedulerFile { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let file: File = serde_json::from_str(&text).map_err(|error| wrong(format!("it is none ({error})")))?;
        Address::parse(&file.address)
    }

    /// Whether it is this machine for certain. A name other than `localhost` may be anything.
    pub(super) fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Sees whether something listens there, without saying anything to it: tells a wrong address in no time.
    pub(super) fn knock(&self, at_most: Duration) -> Result<(), ConnectError> {
        let (host, port) = (self.host.clone(), self.port);
        let (sender, receiver) = channel();
        // Asking for a name cannot be told how long it may take.
        std::thread::spawn(move || drop(sender.send(reach(&host, port, at_most))));
        let answer = receiver.recv_timeout(at_most + Duration::from_secs(1));
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        answer.map_err(|why| ConnectError::Unreachable { address: self.text.clone(), why })
    }
}

fn reach(host: &str, port: u16, timeout: Duration) -> Result<(), String> {
    let mut why = "the name has no address".to_owned();
    for socket in (host, port).to_socket_addrs().map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_dask_prints() {
        let address = Address::parse("tcp://127.0.0.1:8786").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.encrypted), ("127.0.0.1", 8786, false));
        assert_eq!(Address::parse("lab-7:8786").unwrap().text, "tcp://lab-7:8786");
        assert!(Address::parse("tls://[::1]:8786/").unwrap().encrypted);
        for wrong in ["", "tcp://", "tcp://host", "tcp://:1", "http://host:1", "tcp://host:70000", "tcp://host:0"] {
            assert!(matches!(Address::parse(wrong), Err(ConnectError::Address { .. })), "{wrong}");
        }
    }

    #[test]
    fn only_what_is_surely_here_is_here() {
        let here = |text: &str| Address::parse(text).unwrap().is_here();
        assert!(here("tcp://127.0.0.1:1") && here("tcp://127.9.9.9:1") && here("tcp://[::1]:1") && here("localhost:1"));
        assert!(!here("tcp://10.0.0.1:1") && !here("tcp://0.0.0.0:1") && !here("tcp://localhost.example.org:1"));
    }

    #[test]
    fn a_scheduler_file_gives_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scheduler.json");
        std::fs::write(&path, r#"{"type": "Scheduler", "address": "tcp://10.1.2.3:8786", "workers": {}}"#).unwrap();
        assert_eq!(Address::parse(path.to_str().unwrap()).unwrap().text, "tcp://10.1.2.3:8786");
        let error = Address::parse("no-such-folder/scheduler.json").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        let error = Address::from_file(&path).unwrap_err();
        assert!(error.to_string().contains("missing field `address`"), "{error}");
        let error = Address::from_file(&folder.path().join("none.json")).unwrap_err();
        assert!(matches!(error, ConnectError::SchedulerFile { .. }), "{error}");
    }

    #[test]
    fn nobody_listening_is_told_at_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = Address::parse(&free.to_string()).unwrap();
        let error = address.knock(Duration::from_secs(5)).unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    }
}
