//! Flags that say which Dask cluster, and how far it is trusted.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use microtome::OnCluster;

use super::{Everywhere, number};

#[derive(Debug, Args)]
#[command(next_help_heading = "Which cluster")]
#[command(group(ArgGroup::new("cluster").args(["address", "scheduler_file"])))]
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
    /// End what takes a worker longer than so many seconds: a part of a run, of up to 32 MiB of pixels [default: no limit]
    #[arg(long, value_name = "SECONDS", env = "MICROTOME_TASK_TIMEOUT", hide_env = true, value_parser = number::count)]
    pub(crate) task_timeout: Option<u64>,
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

impl ConnectArgs {
    /// Whether a cluster was named.
    pub(crate) fn names_one(&self) -> bool {
        self.address.is_some() || self.scheduler_file.is_some()
    }
}

/// Flags of a run that may be on a cluster.
#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// On a cluster: make a part of all write units again here, as 1%, and see whether workers have stored the same bytes
    #[arg(long, value_name = "P%", env = "MICROTOME_CHECK", hide_env = true, value_parser = part)]
    check: Option<f64>,
    /// On a cluster: paths that begin with FROM here begin with TO on the workers; may be given several times
    #[arg(long, value_name = "FROM=TO", env = "MICROTOME_PATH_MAP", hide_env = true, value_parser = path_pair)]
    #[arg(value_delimiter = ',')]
    path_map: Vec<(PathBuf, PathBuf)>,
}

impl WhereArgs {
    /// What is of runs on a cluster alone.
    pub(crate) fn on_cluster(&self, everywhere: &Everywhere) -> OnCluster {
        OnCluster {
            check: self.check.unwrap_or_default(),
            path_map: self.path_map.clone(),
            allowed_roots: everywhere.allow_root.clone(),
            io: everywhere.io.into(),
        }
    }
}

fn part(text: &str) -> Result<f64, String> {
    let wrong = || "write a part of all as 1%".to_owned();
    let percent: f64 = text.strip_suffix('%').ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    if (0.0..=100.0).contains(&percent) { Ok(percent / 100.0) } else { Err(wrong()) }
}

pub(super) fn path_pair(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && Path::new(to).is_absolute() => Ok((from.into(), to.into())),
        _ => Err("write FROM=TO, where TO is a whole path on the workers, as /data=/mnt/data".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_in_percent() {
        assert_eq!((part("1%"), part("100%"), part("0.5%")), (Ok(0.01), Ok(1.0), Ok(0.005)));
        assert!(["1", "-1%", "101%", "NaN%", "%", ""].iter().all(|text| part(text).is_err()));
    }

    #[test]
    fn a_path_map_has_two_sides() {
        assert_eq!(path_pair("/data=/mnt/data"), Ok(("/data".into(), "/mnt/data".into())));
        assert_eq!(path_pair("data=/mnt/data"), Ok(("data".into(), "/mnt/data".into())));
        assert!(["/data", "=/mnt", "/data=", "/data=mnt"].iter().all(|text| path_pair(text).is_err()));
    }
}
