//! What may be asked about clusters.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use microtome::LocalClusterOptions;

use super::connect::path_pair;
use super::{ConnectArgs, number};

/// Start a Dask cluster on this machine, or check one anywhere
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) verb: ClusterVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    Local(LocalArgs),
    Check(CheckArgs),
}

/// Start a Dask cluster of processes on this machine, print its address and stay until Ctrl-C ends it
#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// Workers, each a process [default: one for each core]
    #[arg(long, value_name = "N", env = "MICROTOME_WORKERS", hide_env = true, value_parser = number::threads)]
    pub(crate) workers: Option<usize>,
    /// Threads of each worker: what it runs at a time
    #[arg(long, value_name = "N", env = "MICROTOME_THREADS_EACH", hide_env = true, value_parser = number::threads)]
    #[arg(default_value = "1")]
    pub(crate) threads_each: usize,
    /// Memory of each worker, beyond which Dask restarts it [default: an equal share of this machine's]
    #[arg(long, value_name = "SIZE", env = "MICROTOME_MEMORY_EACH", hide_env = true, value_parser = worker_memory)]
    pub(crate) memory_each: Option<u64>,
    /// Write the address into FILE for others to find, and remove it at the end
    #[arg(long, value_name = "FILE", env = "MICROTOME_SCHEDULER_FILE", hide_env = true)]
    pub(crate) scheduler_file: Option<PathBuf>,
    /// Serve Dask's dashboard too; Python needs the package bokeh for it
    #[arg(long, env = "MICROTOME_DASHBOARD", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) dashboard: bool,
}

/// Check a Dask cluster: whether every worker answers, can run this program and has the right versions, and how fast
#[derive(Debug, Args)]
#[command(mut_group("cluster", |cluster| cluster.required(true)))]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    #[command(flatten)]
    pub(crate) deep: DeepArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What a deep check does")]
pub(crate) struct DeepArgs {
    /// Check folders, read an image many times, and measure; so does each of the next three flags
    #[arg(long, env = "MICROTOME_DEEP", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) deep: bool,
    /// A folder that all machines should read and write; may be given several times [default: the current one]
    #[arg(long, value_name = "DIR", env = "MICROTOME_SHARED", hide_env = true)]
    #[arg(value_delimiter = ':', action = clap::ArgAction::Append)]
    pub(crate) shared: Vec<PathBuf>,
    /// The image that is read [default: one that is made in the first folder, and removed]
    #[arg(long, value_name = "IMAGE", env = "MICROTOME_IMAGE", hide_env = true)]
    pub(crate) image: Option<PathBuf>,
    /// How often it is opened and a plane of it is read [default: 10000]
    #[arg(long, value_name = "N", env = "MICROTOME_ITERATIONS", hide_env = true, value_parser = number::count)]
    pub(crate) iterations: Option<u64>,
    /// Paths that begin with FROM here begin with TO on the workers; may be given several times
    #[arg(long, value_name = "FROM=TO", env = "MICROTOME_PATH_MAP", hide_env = true, value_parser = path_pair)]
    #[arg(value_delimiter = ',')]
    pub(crate) path_map: Vec<(PathBuf, PathBuf)>,
}

impl DeepArgs {
    /// Whether the check is deep.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.deep || !self.shared.is_empty() || self.image.is_some() || self.iterations.is_some()
    }
}

fn worker_memory(text: &str) -> Result<u64, String> {
    match number::size(text)? {
        bytes if bytes < LocalClusterOptions::LEAST_MEMORY => {
            Err(format!("a worker needs at least {} MiB", LocalClusterOptions::LEAST_MEMORY >> 20))
        }
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, ClusterVerb, Verb};
    use clap::Parser;

    fn parse(words: &str) -> Result<ClusterVerb, String> {
        let cli = Cli::try_parse_from(words.split(' ')).map_err(|error| error.to_string())?;
        let Verb::Cluster(args) = cli.verb else { return Err("another verb".to_owned()) };
        Ok(args.verb)
    }

    #[test]
    fn a_cluster_is_named_once() {
        assert!(parse("microtome cluster check --address tcp://a:1").is_ok());
        assert!(parse("microtome cluster check --scheduler-file s.json").is_ok());
        let none = parse("microtome cluster check").unwrap_err();
        assert!(none.contains("--address <ADDRESS>|--scheduler-file <FILE>"), "{none}");
        assert!(parse("microtome cluster check --address tcp://a:1 --scheduler-file s.json").is_err());
    }

    #[test]
    fn certificates_come_in_threes() {
        let check = "microtome cluster check --address tls://a:1";
        assert!(parse(&format!("{check} --tls-ca ca --tls-cert cert --tls-key key")).is_ok());
        let missing = parse(&format!("{check} --tls-ca ca --tls-cert cert")).unwrap_err();
        assert!(missing.contains("--tls-key"), "{missing}");
    }

    #[test]
    fn a_cluster_has_workers() {
        let Ok(ClusterVerb::Local(local)) = parse("microtome cluster local --workers 3 --memory-each 1GiB") else {
            panic!("no local cluster")
        };
        assert_eq!((local.workers, local.threads_each, local.memory_each), (Some(3), 1, Some(1 << 30)));
        assert!(parse("microtome cluster local --workers 0").is_err());
        assert!(parse("microtome cluster local --memory-each 1KiB").is_err());
    }
}
