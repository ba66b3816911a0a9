//! The binary with an S3 server on loopback that has the bundled images, and outputs in it beside outputs here.
#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cli::{self, Bench, Ran, repository};
use crate::served::python::Served;

pub const V2: &str = "ome-zarr-0.4.zarr";
pub const V3: &str = "ome-zarr-0.5-sharded.zarr";
pub const BUCKET: &str = "images";

/// A bench with a server that has the bundled images.
pub struct Bucket {
    pub bench: Bench,
    pub server: Served,
}

impl Bucket {
    pub fn new() -> Option<Bucket> {
        let bench = Bench::new()?;
        let fixtures = repository().join("fixtures");
        let server = Served::start("s3_server.py", &[fixtures.to_str().unwrap(), BUCKET])?;
        Some(Bucket { bench, server })
    }

    /// What a process needs to be let in.
    pub fn keys_to_it(&self) -> Vec<(String, String)> {
        let endpoint = self.server.says["endpoint"].as_str().unwrap();
        let all = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The command with what it needs to be let in.
    pub fn command(&self, line: &str) -> std::process::Command {
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.envs(self.keys_to_it()).env("XDG_STATE_HOME", self.bench.path("state"));
        command
    }

    pub fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    pub fn json(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} --json"));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

impl Bucket {
    /// The keys of an output, with lengths.
    pub fn keys(&mut self, name: &str) -> BTreeMap<String, u64> {
        let listed = self.server.ask(&format!("list {name}/"));
        let listed = listed.as_object().unwrap().iter();
        listed.map(|(key, size)| (key[name.len() + 1..].to_owned(), size.as_u64().unwrap())).collect()
    }

    /// Demands that an output in the bucket has the bytes of one here.
    pub fn same_as_here(&mut self, name: &str, here: &str) {
        let files = cli::tree(&self.bench.path(here)).into_iter();
        let files: BTreeMap<String, Vec<u8>> =
            files.filter_map(|(path, bytes)| Some((path.to_string_lossy().into_owned(), bytes?))).collect();
        let keys = self.keys(name);
        let lengths: BTreeMap<String, u64> = files.iter().map(|(k, bytes)| (k.clone(), bytes.len() as u64)).collect();
        assert_eq!(keys, lengths);
        for (key, bytes) in files {
            let sum = self.server.ask(&format!("get {name}/{key}"));
            assert_eq!(sum, format!("{:x}", Sha256::digest(&bytes)), "{key}");
        }
    }

    /// Nothing of a run is left on this machine.
    pub fn left(&self) -> Vec<PathBuf> {
        let state = self.bench.path("state/microtome");
        let found = if state.exists() { cli::tree(&state) } else { Vec::new() };
        found.into_iter().map(|(path, _)| path).filter(|path| path.extension().is_none_or(|e| e != "lock")).collect()
    }
}

/// An output in the bucket.
pub fn url(name: &str) -> String {
    format!("s3://{BUCKET}/{name}")
}
