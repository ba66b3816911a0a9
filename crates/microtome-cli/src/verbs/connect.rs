//! Connecting to the cluster that was named.

use std::time::Duration;

use microtome::handler::{Builder, Tls};
use microtome::{Handler, HandlerEvent};

use crate::args::ConnectArgs;
use crate::error::CliError;

/// The cluster that was named; `None` where none was.
pub(super) fn named(args: &ConnectArgs) -> Result<Option<Handler>, CliError> {
    if !args.names_one() {
        return Ok(None);
    }
    Ok(Some(to_cluster(args).on_event(told).build()?))
}

/// Says what should be known while a cluster works.
fn told(event: &HandlerEvent) {
    match event {
        HandlerEvent::Warning { message } => tracing::warn!("{message}"),
        HandlerEvent::Retried { items, why, .. } => tracing::info!("{items} windows are run again: {why}"),
        HandlerEvent::Log { worker, line, .. } => tracing::warn!("{worker}: {line}"),
        HandlerEvent::Workers { workers, threads } => tracing::info!("{workers} workers, {threads} threads"),
        _ => {}
    }
}

/// A handler that will connect to it.
pub(super) fn to_cluster(args: &ConnectArgs) -> Builder {
    let mut builder = Handler::builder().insecure(args.insecure_cluster);
    if let Some(address) = &args.address {
        builder = builder.address(address);
    }
    if let Some(seconds) = args.task_timeout {
        builder = builder.item_limit(Duration::from_secs(seconds));
    }
    if let Some(path) = &args.scheduler_file {
        builder = builder.scheduler_file(path);
    }
    if let (Some(ca), Some(cert), Some(key)) = (&args.tls_ca, &args.tls_cert, &args.tls_key) {
        builder = builder.tls(Tls { ca: ca.clone(), cert: cert.clone(), key: key.clone() });
    }
    builder
}
