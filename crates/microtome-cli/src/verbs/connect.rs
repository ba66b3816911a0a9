//! Connecting to the cluster that was named.

use microtome::Handler;
use microtome::handler::{Builder, Tls};

use crate::args::ConnectArgs;

/// A handler that will connect to it.
pub(super) fn to_cluster(args: &ConnectArgs) -> Builder {
    let mut builder = Handler::builder().insecure(args.insecure_cluster);
    if let Some(address) = &args.address {
        builder = builder.address(address);
    }
    if let Some(path) = &args.scheduler_file {
        builder = builder.scheduler_file(path);
    }
    if let (Some(ca), Some(cert), Some(key)) = (&args.tls_ca, &args.tls_cert, &args.tls_key) {
        builder = builder.tls(Tls { ca: ca.clone(), cert: cert.clone(), key: key.clone() });
    }
    builder
}
