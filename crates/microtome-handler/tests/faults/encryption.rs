//! A scheduler that wants TLS: what works with certificates, and what is said without.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use microtome_handler::{Builder, ConnectError, Handler, Tls};
use tempfile::TempDir;

use crate::clients::Client;
use crate::connecting::{assert_names, error_of};
use crate::dask::{Cluster, Setup};
use crate::functions::add_one;
use crate::stage::{Stage, close, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial an_encrypted_cluster_is_used_with_the_builder_s_or_dask_s_own_certificates
        trial an_encrypted_connection_without_what_it_needs_is_told
    )
}

/// An authority and a certificate that it signed.
fn certificates(python: &Path) -> (TempDir, Tls) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(python).args(["-m", "trustme", "-q", "-d"]).arg(folder.path()).status().unwrap();
    assert!(made.success(), "the package trustme makes certificates");
    let file = |name: &str| folder.path().join(name);
    let tls = Tls { ca: file("client.pem"), cert: file("server.pem"), key: file("server.key") };
    (folder, tls)
}

/// The names by which Dask's own configuration is told.
fn variables(tls: &Tls) -> Vec<(String, String)> {
    let [ca, cert, key] = [&tls.ca, &tls.cert, &tls.key].map(|path| path.to_str().unwrap());
    let names = [("CA_FILE", ca), ("CLIENT__CERT", cert), ("CLIENT__KEY", key)];
    names.map(|(name, value)| (format!("DASK_DISTRIBUTED__COMM__TLS__{name}"), value.to_owned())).into()
}

fn encrypted_cluster(stage: &Stage, tls: &Tls, workers: usize) -> Cluster {
    let [ca, cert, key] = [&tls.ca, &tls.cert, &tls.key].map(|path| path.to_str().unwrap().to_owned());
    let words = ["--tls-ca-file".to_owned(), ca, "--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key];
    let mut both = words.to_vec();
    both.extend(["--protocol".to_owned(), "tls".to_owned()]);
    let cluster =
        Cluster::set_up(&stage.python, Setup { workers, both, environment: variables(tls), ..Setup::default() });
    assert!(cluster.address.starts_with("tls://"), "{}", cluster.address);
    cluster
}

fn at(address: &str) -> Builder {
    Handler::builder().address(address)
}

fn an_encrypted_cluster_is_used_with_the_builder_s_or_dask_s_own_certificates(stage: &Stage) {
    let (_folder, tls) = certificates(&stage.python);
    let cluster = encrypted_cluster(stage, &tls, 1);
    let handler = at(&cluster.address).tls(tls.clone()).build().unwrap();
    let futures = handler.map(add_one, 0..100);
    assert_eq!(handler.try_gather(futures).unwrap(), (1..=100).collect::<Vec<u64>>());
    let sum: u64 = handler.batched_map(add_one, 0..10_000).map(Result::unwrap).sum();
    assert_eq!(sum, 50_005_000);
    assert!(handler.info().cluster.unwrap().workers.keys().all(|address| address.starts_with("tls://")));
    close(handler);
    // The variables are Dask's own, so a process of its own must have them.
    let mut client =
        Client::start_with(&std::env::current_exe().unwrap(), &["once", &cluster.address, "auto"], &variables(&tls));
    client.go();
    let said = client.line();
    assert!(said.ends_with("Ok(55)"), "{said}");
    drop(client);
    cluster.end();
}

fn an_encrypted_connection_without_what_it_needs_is_told(stage: &Stage) {
    let (_folder, tls) = certificates(&stage.python);
    let cluster = encrypted_cluster(stage, &tls, 0);
    let plain = cluster.address.replace("tls://", "tcp://");
    let encrypted = stage.cluster().address.replace("tcp://", "tls://");
    let (_other, strangers) = certificates(&stage.python);
    let missing = Tls { ca: "/nowhere/ca.pem".into(), ..tls.clone() };
    let wrong = [
        (at(&plain), &plain, "tls://"),
        (at(&cluster.address), &cluster.address, "--tls-ca"),
        (at(&encrypted).tls(tls.clone()), &encrypted, "tcp://"),
        (at(&cluster.address).tls(strangers), &cluster.address, "--tls-ca"),
        (at(&cluster.address).tls(missing), &cluster.address, "/nowhere/ca.pem: No such file"),
    ];
    for (builder, address, advice) in wrong {
        let error = error_of(builder.python(&stage.python));
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert_names(&error, &[address, advice]);
    }
    cluster.end();
}
