//! `cluster local`: a Dask cluster on this machine that lives as long as this command.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use microtome::{ConnectError, LocalCluster, LocalClusterOptions};

use crate::args::{Everywhere, LocalArgs};
use crate::error::CliError;
use crate::human;
use crate::json::ClusterLocalJson;
use crate::output::Output;
use crate::signals;

/// How often it is looked whether the cluster is still there.
const LOOK: Duration = Duration::from_millis(500);

/// What this command waits for.
enum News {
    Started(Result<LocalCluster, ConnectError>),
    Signal(i32),
}

pub(super) fn run(args: &LocalArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let options = options(args);
    let (sender, news) = channel();
    start(options.clone(), sender)?;
    let cluster = match news.recv() {
        Ok(News::Started(cluster)) => cluster?,
        // What has been started so far ends with this program.
        Ok(News::Signal(signal)) => return Err(CliError::Signal { signal }),
        Err(_) => return Err(lost("", "its thread has ended")),
    };
    if everywhere.json {
        output.json(&ClusterLocalJson::new(&cluster, &options))?;
    } else {
        output.text(&human::cluster_local(&cluster, &options, everywhere.quiet))?;
    }
    // Whoever started this in the background waits for the address.
    output.flush()?;
    stay(&cluster, &news)
}

fn options(args: &LocalArgs) -> LocalClusterOptions {
    let usual = LocalClusterOptions::default();
    LocalClusterOptions {
        workers: args.workers.unwrap_or(usual.workers),
        threads_each: args.threads_each,
        memory_each: args.memory_each,
        scheduler_file: args.scheduler_file.clone(),
        dashboard: args.dashboard,
        ..usual
    }
}

/// Starts the cluster on a thread of its own, so that a signal need not wait for it.
fn start(options: LocalClusterOptions, sender: Sender<News>) -> Result<(), CliError> {
    let signals = sender.clone();
    let failed = |error: std::io::Error| ConnectError::LocalCluster { why: error.to_string() };
    // After the last news nobody listens.
    signals::on_first(move |signal| drop(signals.send(News::Signal(signal)))).map_err(failed)?;
    let thread = std::thread::Builder::new().name("cluster".to_owned());
    let work = move || drop(sender.send(News::Started(LocalCluster::start(&options))));
    thread.spawn(work).map_err(failed)?;
    Ok(())
}

/// Stays until a signal comes, or the cluster ends by itself.
fn stay(cluster: &LocalCluster, news: &Receiver<News>) -> Result<(), CliError> {
    loop {
        if let Ok(News::Signal(signal)) = news.recv_timeout(LOOK) {
            return Err(CliError::Signal { signal });
        }
        if let Some(why) = cluster.ended() {
            return Err(lost(cluster.address(), &why));
        }
    }
}

fn lost(address: &str, why: &str) -> CliError {
    CliError::ClusterLost { address: address.to_owned(), why: why.to_owned() }
}
