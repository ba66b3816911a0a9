//! An output in a bucket: built here file by file, each of which is put under its key and removed.
//!
//! A bucket has no rename, so units go straight to their keys, and what makes them an image comes last: the record of completion,
//! then the document of the group. Until then `.microtome/begun.json` says whose the objects are. Lock and journal lie on this
//! machine, in the folder of its user's state. Other processes may put units too (workers of a cluster): each has a folder of its
//! own for files on their way, and looks before it puts whether the output is still being made.
//!
//! *Invariant:* nothing in the bucket is replaced or removed but what was begun by this plan, or what the user said may be; the
//! document of an old group goes before anything else of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_io::beside;
use microtome_io::disk::remove;
use microtome_io::{Check, Receipt, Standing, WriteError, standing};
use serde_json::{Value, json};

use super::building::WholeFile;
use super::complete;
use super::desk::{self, OwnFolder};
use super::publish::sweep;
use crate::remote::{Address, Bucket};

/// The object that says that an output was begun, and by which plan.
const BEGUN: &str = ".microtome/begun.json";
const COMPLETE: &str = ".microtome/complete.json";
/// More objects than the largest output has.
const MOST_OBJECTS: usize = 1 << 24;
/// Most bytes of the record of completion: a line a unit.
const MOST_RECORD: u64 = 1 << 30;

/// Where an output in a bucket is to stand.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    bucket: Arc<dyn Bucket>,
    /// The name on this machine beside which lock, journal and files on their way lie.
    desk: PathBuf,
    overwrite: bool,
    /// Why there is no such name, if so: who only puts units needs none.
    homeless: Option<String>,
    /// The folder of files on their way, once there is one.
    dir: PathBuf,
    /// Where another process has begun it: its plan, and the folder that goes when this process has done with it.
    joined: Option<(String, Arc<OwnFolder>)>,
}

impl Spool {
    /// The place of an output behind a URL. Nothing is asked yet.
    pub(super) fn new(url: &Path, overwrite: bool) -> Result<Spool, WriteError> {
        let refused = |error: microtome_io::ReadError| WriteError::Unsupported {
            path: error.path().to_owned(),
            why: error.to_string(),
        };
        let address = Address::parse(url).map_err(refused)?;
        let bucket = crate::remote::connect_to_write(&address)?;
        let (desk, homeless) = match desk::of_user(&address.url) {
            Ok(desk) => (desk, None),
            Err(why) => (std::env::temp_dir().join("microtome-nowhere.zarr"), Some(why)),
        };
        Ok(Spool { bucket, dir: desk.clone(), desk, homeless, overwrite, joined: None })
    }

    /// The same where another process has begun an output of a plan.
    ///
    /// # Errors
    /// [`WriteError::Missing`] if it is not being made, or not by that plan.
    pub(super) fn join(&self, plan: &str) -> Result<Spool, WriteError> {
        let own = OwnFolder::make()?;
        let dir = own.path().to_owned();
        let spool = Spool { dir, joined: Some((plan.to_owned(), Arc::new(own))), ..self.clone() };
        spool.still_made()?;
        Ok(spool)
    }

    /// Refuses what comes after the end: a process that was thought lost may go on for a while.
    pub(super) fn still_made(&self) -> Result<(), WriteError> {
        let Some((plan, _)) = &self.joined else { return Ok(()) };
        if self.begun()?.as_deref() == Some(plan) {
            return Ok(());
        }
        let why = format!("no output of the plan {plan} is being made there");
        Err(WriteError::Missing { path: self.at(BEGUN), why })
    }

    /// The name on this machine beside which what is of this machine alone lies.
    pub(super) fn desk(&self) -> &Path {
        &self.desk
    }

    /// The folder of files on their way.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn journal(&self, plan: &str) -> Result<PathBuf, WriteError> {
        beside::journal(&self.desk, plan)
    }

    fn at(&self, key: &str) -> PathBuf {
        self.bucket.url().join(key)
    }

    /// What an output of a plan begins with here. Nothing is changed.
    pub(super) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        let url = || self.bucket.url().to_owned();
        if let Some(why) = &self.homeless {
            return Err(WriteError::Unsupported { path: url(), why: why.clone() });
        }
        if let Some(begun) = self.begun()? {
            let same_plan = begun == plan;
            return match (same_plan && resume, self.overwrite) {
                (true, _) => Ok(Standing::Unfinished),
                (false, true) => Ok(Standing::Fresh),
                (false, false) => Err(WriteError::Unfinished { path: url(), same_plan }),
            };
        }
        if resume && let Some(record) = self.complete()? {
            let there = complete::plan_of(&record);
            if standing::is_finished(&url(), there.as_deref(), plan, self.overwrite)? {
                return Ok(Standing::Finished);
            }
        }
        match self.bucket.list(1)?.is_empty() {
            true => Ok(Standing::Fresh),
            false if !self.overwrite => Err(WriteError::Exists { path: url() }),
            false if self.is_zarr()? => Ok(Standing::Fresh),
            false => {
                let why = "there are objects that are no Zarr, and all of them would be removed".to_owned();
                Err(WriteError::NotReplaced { path: url(), why })
            }
        }
    }

    /// The plan of an output that was begun.
    fn begun(&self) -> Result<Option<String>, WriteError> {
        let Some(bytes) = self.bucket.get(BEGUN, 1 << 16)? else { return Ok(None) };
        let record: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Some(record.get("plan").and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    /// The record of a finished output.
    fn complete(&self) -> Result<Option<Vec<u8>>, WriteError> {
        self.bucket.get(COMPLETE, MOST_RECORD)
    }

    /// The list of what is missing in a finished output.
    pub(super) fn quarantine(&self) -> Result<Option<String>, WriteError> {
        let Some(record) = self.complete()? else { return Ok(None) };
        let list = self.bucket.get(complete::QUARANTINE_KEY, MOST_RECORD)?;
        complete::quarantine_of(&record, list, &self.at(complete::QUARANTINE_KEY))
    }

    fn is_zarr(&self) -> Result<bool, WriteError> {
        for mark in crate::MARKS {
            if self.bucket.bytes(mark)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins an output, or takes up the one that is there.
    pub(super) fn begin(&self, plan: &str, standing: Standing) -> Result<Spool, WriteError> {
        let spool = Spool { dir: beside::partial(&self.desk, plan)?, ..self.clone() };
        if standing == Standing::Unfinished {
            std::fs::create_dir_all(&spool.dir).map_err(|e| WriteError::os(&spool.dir, "create", e))?;
            sweep(&spool.dir)?;
            return Ok(spool);
        }
        for (left, _) in beside::entries(&self.desk)? {
            if !left.to_string_lossy().ends_with(".lock") {
                remove(&left)?;
            }
        }
        std::fs::create_dir(&spool.dir).map_err(|e| WriteError::os(&spool.dir, "create", e))?;
        spool.clear_bucket()?;
        let text = serde_json::to_vec(&json!({"format": 1, "plan": plan})).unwrap_or_default();
        if !self.bucket.create(BEGUN, text)? {
            // Somebody else was faster, between our look and this.
            return Err(WriteError::Unfinished { path: self.bucket.url().to_owned(), same_plan: false });
        }
        Ok(spool)
    }

    /// Removes every object of the output: what makes it an image first.
    fn clear_bucket(&self) -> Result<(), WriteError> {
        let mut keys = self.bucket.list(MOST_OBJECTS)?;
        let rank = |key: &str| match key {
            _ if crate::MARKS.contains(&key) => 0,
            COMPLETE => 1,
            BEGUN => 3,
            _ => 2,
        };
        keys.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        self.bucket.delete(&keys)
    }

    /// Removes what a finished run left on this machine.
    pub(super) fn clear(&self, plan: &str) -> Result<(), WriteError> {
        remove(&beside::partial(&self.desk, plan)?)?;
        remove(&self.journal(plan)?)
    }

    /// The key of a file of the folder.
    fn key(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.dir).unwrap_or(path);
        below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// Puts the file of a unit under its key, and removes it here.
    pub(super) fn put(&self, file: &WholeFile) -> Result<(), WriteError> {
        self.bucket.put(&self.key(&file.path), &file.temporary)?;
        remove(&file.temporary)
    }

    /// Puts all documents that lie in the folder, but for those of the top.
    pub(super) fn put_documents(&self) -> Result<(), WriteError> {
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|e| WriteError::os(&folder, "list", e))? {
                let entry = entry.map_err(|e| WriteError::os(&folder, "list", e))?;
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if folder != self.dir && !super::file::is_temporary(&entry.file_name()) {
                    self.bucket.put(&self.key(&path), &path)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the output an image, by the documents of its top in their order; then all that was of its making goes.
    pub(super) fn publish(&self, top: &[&str], plan: &str) -> Result<(), WriteError> {
        self.put_documents()?;
        for name in top {
            self.bucket.put(name, &self.dir.join(name))?;
        }
        self.bucket.delete(&[BEGUN.to_owned()])?;
        self.clear(plan)
    }

    /// Whether the object of a unit is as its receipt says.
    pub(super) fn check(&self, path: &Path, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        let key = self.key(path);
        let Some(bytes) = self.bucket.bytes(&key)? else { return Ok(receipt.stored_bytes == 0) };
        if receipt.stored_bytes == 0 || bytes != receipt.stored_bytes {
            return Ok(false);
        }
        match how {
            Check::Length => Ok(true),
            Check::Bytes => Ok(self.bucket.crc32c(&key, bytes)? == receipt.crc32c),
        }
    }

    /// Removes the object of a unit that has none.
    pub(super) fn remove(&self, path: &Path) -> Result<(), WriteError> {
        self.bucket.delete(&[self.key(path)])
    }

    /// The URL of a folder of the output.
    pub(super) fn url_of(&self, folder: &Path) -> PathBuf {
        self.at(&self.key(folder))
    }

    /// Removes all of an unfinished output as far as possible.
    pub(super) fn abandon(&self) {
        let mut journal = self.dir.clone().into_os_string();
        journal.push(beside::JOURNAL);
        for done in [self.clear_bucket(), remove(&self.dir), remove(Path::new(&journal))] {
            if let Err(error) = done {
                tracing::warn!(%error, "an unfinished output could not be removed");
            }
        }
    }
}
