//! Objects of a store of the `object_store` crate.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use microtome_io::ReadError;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;

use super::address::{Address, Scheme};
use super::client::{self, FIRST_PAUSE, MOST_RETRIES, SEEN, Seen};
use super::{Answer, Distant, Facts, Got, Part, Want, trouble};

/// Requests of one call that are under way together.
const AT_ONCE: usize = 16;
/// Requests of the process that are under way together.
const MOST_AT_ONCE: usize = 64;
/// Bytes a second below which an object is given up.
const SLOWEST: u64 = 64 << 10;

static UNDER_WAY: Semaphore = Semaphore::const_new(MOST_AT_ONCE);

/// The objects below a URL.
#[derive(Debug)]
pub(super) struct Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scheme: Scheme,
    url: PathBuf,
    store: Arc<dyn ObjectStore>,
    /// What stands before each key: nothing over http, where it is in the URL of the store.
    prefix: String,
}

/// Why an object could not be had.
enum Failure {
    /// For good; what was said.
    Store(object_store::Error, Seen),
    /// Its bytes broke off.
    Body(object_store::Error, Seen),
    Known(ReadError),
}

impl Objects {
    pub(super) fn new(address: &Address) -> Result<Objects, ReadError> {
        let prefix = match address.scheme {
            Scheme::Http | Scheme::Https => String::new(),
            Scheme::S3 | Scheme::Gs => address.path.clone(),
        };
        let store = client::store(address)?;
        Ok(Objects(Arc::new(Inner { scheme: address.scheme, url: address.url.clone(), store, prefix })))
    }

    /// Answers all questions on the runtime, some at a time, and waits for the answers here.
    fn ask_all<Q, A, F>(&self, questions: Vec<Q>, ask: impl Fn(Arc<Inner>, Q) -> F) -> Vec<Answer<A>>
    where
        A: Send + 'static,
        F: Future<Output = Answer<A>> + Send + 'static,
    {
        let count = questions.len();
        let asked: Vec<F> = questions.into_iter().map(|question| ask(Arc::clone(&self.0), question)).collect();
        let all = async move {
            let in_turn = |asked: F| async move {
                let _turn = UNDER_WAY.acquire().await;
                asked.await
            };
            stream::iter(asked).map(in_turn).buffered(AT_ONCE).collect::<Vec<Answer<A>>>().await
        };
        self.wait(all).unwrap_or_else(|error| {
            let again = |error: &ReadError| match error {
                ReadError::Remote { path, why, hint } => {
                    ReadError::Remote { path: path.clone(), why: why.clone(), hint: hint.clone() }
                }
                _ => ReadError::NotFound { path: self.0.url.clone() },
            };
            (0..count).map(|_| Err(again(&error))).collect()
        })
    }

    /// Runs something on the runtime and waits for it here.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let failed = |why: &str| ReadError::Remote {
            path: self.0.url.clone(),
            why: format!("the runtime of the network does not work: {why}"),
            hint: "this is a bug, or the system has no more threads".to_owned(),
        };
        let runtime = client::runtime().map_err(|why| failed(&why))?;
        let (sender, receiver) = mpsc::sync_channel(1);
        // Whoever asked may have gone.
        runtime.spawn(async move { drop(sender.send(act.await)) });
        receiver.recv().map_err(|_| failed("it panicked"))
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.0.store)
    }

    pub(super) fn at(&self, key: &str) -> PathBuf {
        self.0.at(key)
    }

    pub(super) fn key(&self, key: &str) -> Result<Key, ReadError> {
        self.0.key(key)
    }
}

impl Distant for Objects {
    fn url(&self) -> &Path {
        &self.0.url
    }

    fn fetch(&self, wants: Vec<Want>) -> Vec<Answer<Got>> {
        self.ask_all(wants, |inner, want| async move { inner.get(&want).await })
    }

    fn look(&self, keys: Vec<String>) -> Vec<Answer<Facts>> {
        self.ask_all(keys, |inner, key| async move { inner.head(&key).await })
    }

    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError> {
        if matches!(self.0.scheme, Scheme::Http | Scheme::Https) {
            let what = "a group of which only a list of its folders tells what is in it".to_owned();
            let hint =
                "over http nothing is listed: consolidate its metadata (zarr.consolidate_metadata of zarr-python), \
                        or give the URL of an image or array in it"
                    .to_owned();
            return Err(ReadError::Unsupported { path: self.0.at(key), what, location: String::new(), hint });
        }
        let mut listed =
            self.ask_all(vec![key.to_owned()], |inner, key| async move { inner.list(&key).await.map(Some) });
        Ok(listed.pop().transpose()?.flatten().unwrap_or_default())
    }
}

impl Inner {
    /// A URL below the image, for messages.
    fn at(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.url.clone() } else { self.url.join(key) }
    }

    /// The name of an object in its store. Only plain names are: nothing leads out of the image.
    fn key(&self, key: &str) -> Result<Key, ReadError> {
        let whole = crate::join(&self.prefix, key);
        Key::parse(whole).map_err(|error| ReadError::NotAnImage { path: self.at(key), why: error.to_string() })
    }

    fn error(&self, key: &str, seen: &Seen, error: &object_store::Error) -> ReadError {
        trouble::read(self.scheme, &self.at(key), seen, error)
    }

    async fn get(&self, want: &Want) -> Answer<Got> {
        let key = self.key(&want.key)?;
        let mut pause = FIRST_PAUSE;
        for _ in 0..MOST_RETRIES {
            match self.patiently(&key, want).await {
                Err(Failure::Body(error, _)) => {
                    tracing::debug!("{}: {error}; trying again", self.at(&want.key).display());
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return self.answer(want, done),
            }
        }
        self.answer(want, self.patiently(&key, want).await)
    }

    fn answer(&self, want: &Want, done: Result<Got, Failure>) -> Answer<Got> {
        match done {
            Ok(got) => Ok(Some(got)),
            Err(Failure::Store(object_store::Error::NotFound { .. }, _)) => Ok(None),
            Err(Failure::Store(error, seen) | Failure::Body(error, seen)) => Err(self.error(&want.key, &seen, &error)),
            Err(Failure::Known(error)) => Err(error),
        }
    }

    /// Asks once, for no longer than an object of this size may take.
    async fn patiently(&self, key: &Key, want: &Want) -> Result<Got, Failure> {
        let slowest = Duration::from_secs(want.most / SLOWEST);
        let most = 6 * client::timeout() + slowest;
        let once = SEEN.scope(RefCell::default(), self.once(key, want));
        tokio::time::timeout(most, once).await.unwrap_or_else(|_| {
            let why = format!("it took more than {} seconds", most.as_secs());
            let hint = "the server is too slow; MICROTOME_REMOTE_TIMEOUT is how many seconds are waited".to_owned();
            Err(Failure::Known(ReadError::Remote { path: self.at(&want.key), why, hint }))
        })
    }

    async fn once(&self, key: &Key, want: &Want) -> Result<Got, Failure> {
        let range = match &want.part {
            Part::Whole => None,
            Part::Bytes(range) => Some(GetRange::Bounded(range.clone())),
            Part::Last(bytes) => Some(GetRange::Suffix(*bytes)),
        };
        // A weak tag is never equal to itself where it is asked for.
        let if_match = want.tag.as_deref().filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let got = self.store.get_opts(key, options).await.map_err(|error| Failure::Store(error, seen()))?;
        let facts = facts(&got.meta);
        let bytes = got.range.end.saturating_sub(got.range.start);
        if bytes > want.most {
            let (path, location) = (self.at(&want.key), String::new());
            let what = "the size of the object in bytes".to_owned();
            let over = ReadError::OverLimit { path, what, location, found: bytes, limit: want.most };
            return Err(Failure::Known(over));
        }
        let bytes = self.body(got, bytes as usize, &want.key).await?;
        Ok(Got { bytes, facts })
    }

    /// All bytes of an answer: as many as were announced, and no more.
    async fn body(&self, got: GetResult, announced: usize, key: &str) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::with_capacity(announced);
        let mut pieces = got.into_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Failure::Body(error, Seen::default()))?;
            if piece.len() > announced - bytes.len() {
                return Err(self.other_length(key, announced, bytes.len() + piece.len()));
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() < announced {
            return Err(self.other_length(key, announced, bytes.len()));
        }
        Ok(bytes)
    }

    fn other_length(&self, key: &str, announced: usize, found: usize) -> Failure {
        let why = format!("the server announced {announced} bytes and sent {found}");
        let hint = "the answer is not as it should be; try again, or copy the image here".to_owned();
        Failure::Known(ReadError::Remote { path: self.at(key), why, hint })
    }

    async fn head(&self, name: &str) -> Answer<Facts> {
        let key = self.key(name)?;
        let asked = async { (self.store.head(&key).await, seen()) };
        match SEEN.scope(RefCell::default(), asked).await {
            (Ok(meta), _) => Ok(Some(facts(&meta))),
            (Err(object_store::Error::NotFound { .. }), _) => Ok(None),
            (Err(error), seen) => Err(self.error(name, &seen, &error)),
        }
    }

    async fn list(&self, name: &str) -> Result<Vec<String>, ReadError> {
        let key = self.key(name)?;
        let asked = async { (self.store.list_with_delimiter(Some(&key)).await, seen()) };
        let (listed, seen) = SEEN.scope(RefCell::default(), asked).await;
        let listed = listed.map_err(|error| self.error(name, &seen, &error))?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|key| key.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }
}

pub(super) fn seen() -> Seen {
    SEEN.try_with(|cell| cell.borrow().clone()).unwrap_or_default()
}

fn facts(meta: &ObjectMeta) -> Facts {
    let modified = (meta.last_modified.timestamp(), i64::from(meta.last_modified.timestamp_subsec_nanos()));
    Facts { bytes: meta.size, modified, tag: meta.e_tag.as_deref().map(Arc::from) }
}
