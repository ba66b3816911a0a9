//! Flags that say which Dask cluster, and how far it is trusted.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

#[derive(Debug, Args)]
#[command(next_help_heading = "Which cluster")]
#[command(group(ArgGroup::new("cluster").required(true).args(["address", "scheduler_file"])))]
pub(crate) struct ConnectArgs {
    /// The Dask scheduler, as tcp://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "ADDRESS", env = "MICROTOME_ADDRESS", hide_env = true)]
    pub(crate) address: Option<String>,
    /// The file that `dask scheduler --scheduler-file` or `microtome cluster local` writes
    #[arg(long, value_name = "FILE", env = "MICROTOME_SCHEDULER_FILE", hide_env = true)]
    pub(crate) scheduler_file: Option<PathBuf>,
    /// Allow tcp:// to another machine: neither encrypted nor authenticated, whoever can reach it can run code as you
    #[arg(long, env = "MICROTOME_INSECURE_CLUSTER", hide_env = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) insecure_cluster: bool,
    /// For encryption: the certificate of the authority that both sides trust, PEM [default: Dask's configuration]
    #[arg(long, value_name = "FILE", env = "MICROTOME_TLS_CA", hide_env = true, requires_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_ca: Option<PathBuf>,
    /// For encryption: your certificate, PEM
    #[arg(long, value_name = "FILE", env = "MICROTOME_TLS_CERT", hide_env = true, requires_all = ["tls_ca", "tls_key"])]
    pub(crate) tls_cert: Option<PathBuf>,
    /// For encryption: the key of your certificate, PEM
    #[arg(long, value_name = "FILE", env = "MICROTOME_TLS_KEY", hide_env = true, requires_all = ["tls_ca", "tls_cert"])]
    pub(crate) tls_key: Option<PathBuf>,
}
