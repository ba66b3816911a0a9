//! The client that asks: its runtime, its time limits, how often it tries again, and what it does not follow.
//!
//! *Invariant:* no redirect is followed, so that a server decides nothing about who is asked; `http://` is spoken only where
//! it was said.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use microtome_io::ReadError;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::address::{Address, Scheme};
use super::trouble;

/// How long is waited for an answer, and for each further piece of one.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Its variable in the environment, in seconds.
const TIMEOUT_NAME: &str = "MICROTOME_REMOTE_TIMEOUT";
/// How often a request is made again that failed for the moment.
pub(super) const MOST_RETRIES: u32 = 4;
/// Pause before the first of them; each further one is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Where Google's emulators are named.
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// How long is waited for an answer.
pub(super) fn timeout() -> Duration {
    static CHOSEN: OnceLock<Duration> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let chosen = std::env::var(TIMEOUT_NAME).ok().and_then(|text| text.trim().parse::<f64>().ok());
        chosen.filter(|s| (0.01..=86_400.0).contains(s)).map_or(TIMEOUT, Duration::from_secs_f64)
    })
}

/// The runtime of all that waits for a network: one thread, made when it is first needed.
pub(super) fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        // Names are looked up on threads of their own.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(4).thread_name("microtome-remote").enable_all();
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(Clone::clone)
}

/// The store that an address is in, and what stands before each name in it.
pub(super) fn store(address: &Address) -> Result<Arc<dyn ObjectStore>, ReadError> {
    let built = match address.scheme {
        Scheme::Http | Scheme::Https => {
            let options = ClientOptions::new().with_allow_http(address.scheme == Scheme::Http);
            let builder = HttpBuilder::new().with_url(address.url.to_string_lossy()).with_client_options(options);
            builder.with_retry(retry()).with_http_connector(Connector).build().map(|s| Arc::new(s) as Arc<_>)
        }
        Scheme::S3 => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(&address.host);
            builder.with_retry(retry()).with_http_connector(Connector).build().map(|s| Arc::new(s) as Arc<_>)
        }
        Scheme::Gs => {
            let builder = emulated(GoogleCloudStorageBuilder::from_env().with_bucket_name(&address.host));
            builder.with_retry(retry()).with_http_connector(Connector).build().map(|s| Arc::new(s) as Arc<_>)
        }
    };
    built.map_err(|error| trouble::unusable(address, &error))
}

/// The store of an emulator, where one is named.
fn emulated(builder: GoogleCloudStorageBuilder) -> GoogleCloudStorageBuilder {
    let Ok(host) = std::env::var(EMULATOR) else { return builder };
    let url = if host.contains("://") { host } else { format!("http://{host}") };
    let options = ClientOptions::new().with_allow_http(true);
    builder.with_base_url(url.trim_end_matches('/')).with_skip_signature(true).with_client_options(options)
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: MOST_RETRIES as usize, retry_timeout: 2 * timeout() }
}

/// Makes clients that keep to this module's rules.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Another part of the program may have chosen its own already: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|text| text == "true");
        let client = reqwest::Client::builder()
            .user_agent(concat!("microtome/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeout().min(Duration::from_secs(10)))
            .read_timeout(timeout())
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!plain)
            .http1_only();
        let client = client.build().map_err(|e| object_store::Error::Generic { store: "HTTP", source: Box::new(e) })?;
        Ok(HttpClient::new(Witness(client)))
    }
}

/// What the last answer to a request was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: Option<u16>,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
}

tokio::task_local! {
    /// The last answer within the request that is being made.
    pub(super) static SEEN: std::cell::RefCell<Seen>;
}

/// A client that notes what was answered, which errors of the store do not all tell.
#[derive(Debug)]
struct Witness(reqwest::Client);

/// An answer that is none to the question.
#[derive(Debug)]
struct NoAnswer(http::StatusCode);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.0)
    }
}

impl Error for NoAnswer {}

#[async_trait::async_trait]
impl HttpService for Witness {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let note = |seen: Seen| drop(SEEN.try_with(|cell| cell.replace(seen)));
        note(Seen::default());
        let response = self.0.call(request).await?;
        let status = response.status();
        let location = response.headers().get(http::header::LOCATION).and_then(|l| l.to_str().ok());
        note(Seen { status: Some(status.as_u16()), location: location.map(str::to_owned) });
        // The store would take the latter for "not there", which must be no fill value.
        if status.is_redirection() && status != http::StatusCode::NOT_MODIFIED
            || status == http::StatusCode::METHOD_NOT_ALLOWED
        {
            return Err(HttpError::new(HttpErrorKind::Unknown, NoAnswer(status)));
        }
        Ok(response)
    }
}
