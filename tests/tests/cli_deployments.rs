//! The deployments of docs/deployments.md that can be tried on one machine, with the bytes of a run here: several hosts, each a
//! network namespace with folders of its own; encryption from the command to the workers; older releases of Dask. Where
//! `MICROTOME_DEEP` is set, a host is cut off before a run: Dask notices that after half a minute.

mod cli;
#[path = "../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use cli::{Bench, Ran, repository, skip, tree};
use dask::{Cluster, Setup};

const CONVERT: &str =
    "convert fixtures/cells.ome.tif OUT --levels 2 --chunk-shape 1,1,1,64,64 --shard-shape 1,1,2,64,64";
const PROJECT: &str = "project fixtures/cells.ome.tif OUT --axis z --method mean";

/// Runs both lines here and on a cluster, and compares the files.
fn same_as_here(bench: &Bench, python: &Path, connect: &str) {
    for (line, there, here) in [(CONVERT, "a.ome.zarr", "here-a.ome.zarr"), (PROJECT, "b.ome.tif", "here-b.ome.tif")] {
        let line_there = format!("{} {connect}", line.replace("OUT", there));
        let mut command = bench.command(&line_there.split_whitespace().collect::<Vec<_>>());
        let ran = Ran::of(command.env("MICROTOME_PYTHON", python));
        assert_eq!(ran.code, 0, "{line_there}: {}", ran.stderr);
        bench.text(&line.replace("OUT", here));
        assert!(files(&bench.path(there)) == files(&bench.path(here)), "{line}: other files");
    }
}

fn files(path: &Path) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
    if path.is_file() { vec![(std::path::PathBuf::new(), Some(std::fs::read(path).unwrap()))] } else { tree(path) }
}

#[test]
fn all_is_encrypted_from_the_command_to_the_workers() {
    let (Some(bench), Some(python)) = (Bench::new(), dask::python()) else { return };
    let folder = bench.path("certificates");
    std::fs::create_dir(&folder).unwrap();
    let made = Command::new(&python).args(["-m", "trustme", "-q", "-d"]).arg(&folder).status().unwrap();
    assert!(made.success(), "the package trustme makes certificates");
    let [ca, cert, key] =
        ["client.pem", "server.pem", "server.key"].map(|name| folder.join(name).display().to_string());
    let words = ["--protocol", "tls", "--tls-ca-file", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let both = words.map(str::to_owned).to_vec();
    let names = [("CA_FILE", &ca), ("CLIENT__CERT", &cert), ("CLIENT__KEY", &key)];
    let environment =
        names.map(|(name, value)| (format!("DASK_DISTRIBUTED__COMM__TLS__{name}"), value.clone())).to_vec();
    let cluster = Cluster::set_up(&python, Setup { workers: 2, both, environment, ..Setup::default() });
    assert!(cluster.address.starts_with("tls://"), "{}", cluster.address);
    let connect = format!("--address {} --tls-ca {ca} --tls-cert {cert} --tls-key {key}", cluster.address);
    same_as_here(&bench, &python, &connect);

    // Without certificates it is refused, and says which flags are missing.
    let line = format!("{} --address {}", CONVERT.replace("OUT", "c.ome.zarr"), cluster.address);
    let mut command = bench.command(&line.split_whitespace().collect::<Vec<_>>());
    let ran = Ran::of(command.env("MICROTOME_PYTHON", &python));
    assert!(ran.code == 8 && ran.stderr.contains("--tls-ca"), "{}: {}", ran.code, ran.stderr);
    cluster.end();
}

#[test]
fn older_releases_of_dask_write_the_same_bytes() {
    let Some(bench) = Bench::new() else { return };
    for variable in ["MICROTOME_PYTHON_OLD_DASK", "MICROTOME_PYTHON_DASK_2025"] {
        let Some(python) = std::env::var_os(variable).map(std::path::PathBuf::from) else {
            skip("plans on an older Dask", &format!("{variable} is not set; `cargo xtask test` sets it"));
            continue;
        };
        let cluster = Cluster::start(&python, 2);
        same_as_here(&bench, &python, &format!("--address {}", cluster.address));
        cluster.end();
        for out in ["a.ome.zarr", "here-a.ome.zarr"] {
            std::fs::remove_dir_all(bench.path(out)).unwrap();
        }
        for out in ["b.ome.tif", "here-b.ome.tif"] {
            std::fs::remove_file(bench.path(out)).unwrap();
        }
    }
}

/// Two hosts behind a bridge, each with a folder of its own at the same path, and storage that all see: at another path here. The
/// scheduler and a worker on the first, a worker on the second, and the commands here. All of it ends with the script.
const HOSTS: &str = r#"
set -e
mkdir -p "$WORK/tmp" "$WORK/lab" "$WORK/shared"
mount -t tmpfs none /run; mkdir -p /run/netns
ip link set lo up
ip link add bridge0 type bridge
ip link set bridge0 up
ip addr add 10.213.77.1/24 dev bridge0
for n in 2 3; do
    ip netns add "host$n"
    ip link add "port$n" type veth peer name eth0 netns "host$n"
    ip link set "port$n" master bridge0 up
    ip -n "host$n" addr add "10.213.77.$n/24" dev eth0
    ip -n "host$n" link set eth0 up
    ip -n "host$n" link set lo up
done
on() {
    host=$1; shift
    ip netns exec "$host" unshare -m sh -c 'mount -t tmpfs none "$WORK/tmp" && cd "$WORK/tmp" && exec "$@"' sh "$@"
}
dask() { module=$1; shift; echo "$PYTHON -m distributed.cli.dask_$module $* --no-dashboard"; }
# What is shared lies at $WORK/shared on the hosts, and at $WORK/lab here.
on host2 $(dask scheduler --host 10.213.77.2 --scheduler-file "$WORK/shared/cluster.json") >"$WORK/scheduler.txt" 2>&1 &
for n in 2 3; do
    on "host$n" $(dask worker --scheduler-file "$WORK/shared/cluster.json" --nthreads 1 --local-directory "$WORK/tmp") \
        >"$WORK/worker$n.txt" 2>&1 &
done
n=0
while [ "$(grep -l 'Registered to' "$WORK"/worker*.txt 2>/dev/null | wc -l)" -lt 2 ]; do
    n=$((n + 1)); [ "$n" -lt 300 ] || { cat "$WORK"/*.txt; exit 97; }
    sleep 0.2
done
cp -r "$REPOSITORY/fixtures" "$WORK/shared/fixtures"
mount --bind "$WORK/shared" "$WORK/lab"
mount -t tmpfs none "$WORK/shared"
cd "$WORK/lab"
say() { echo "== $1"; shift; "$@" 2>&1 || echo "code $?"; }
say refused "$MICROTOME" convert fixtures/cells.ome.tif a.ome.zarr --scheduler-file cluster.json
export MICROTOME_INSECURE_CLUSTER=1 MICROTOME_SCHEDULER_FILE=cluster.json
say check "$MICROTOME" cluster check --shared . --iterations 50 --path-map "$WORK/lab=$WORK/shared"
say private "$MICROTOME" cluster check --shared "$WORK/tmp" --iterations 50
say unmapped "$MICROTOME" convert fixtures/cells.ome.tif a.ome.zarr
export MICROTOME_PATH_MAP="$WORK/lab=$WORK/shared"
say mapped "$MICROTOME" convert fixtures/cells.ome.tif a.ome.zarr --levels 2 --quiet
[ -z "$MICROTOME_DEEP" ] || say "one host is cut off" ip -n host3 link set eth0 down
say cut "$MICROTOME" project fixtures/cells.ome.tif b.ome.zarr --axis z --quiet
unset MICROTOME_SCHEDULER_FILE MICROTOME_PATH_MAP
"$MICROTOME" convert fixtures/cells.ome.tif here-a.ome.zarr --levels 2 --quiet
"$MICROTOME" project fixtures/cells.ome.tif here-b.ome.zarr --axis z --quiet
diff -r a.ome.zarr here-a.ome.zarr && diff -r b.ome.zarr here-b.ome.zarr && echo "== same"
"#;

#[test]
fn hosts_with_networks_and_folders_of_their_own_share_one_storage() {
    let (Some(bench), Some(python)) = (Bench::new(), dask::python()) else { return };
    let title = "hosts as network namespaces";
    let required = std::env::var("MICROTOME_REQUIRE").as_deref() == Ok("all");
    if Command::new("ip").arg("-V").output().is_err() {
        assert!(!required, "{title}: `ip` (iproute2) is not installed, and MICROTOME_REQUIRE=all");
        return skip(title, "`ip` is not installed (Debian, Ubuntu: apt-get install iproute2)");
    }
    let alone = ["-n", "-m", "-p", "--fork", "--mount-proc", "--kill-child"];
    let may = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add a && ip link add b type bridge && \
               ip link add c type veth peer name eth0 netns a";
    if !Command::new("unshare").args(alone).args(["sh", "-c", may]).output().is_ok_and(|ran| ran.status.success()) {
        return skip(title, "namespaces of networks, bridges or mounts are not allowed here");
    }
    let mut command = Command::new("unshare");
    command.args(alone).args(["sh", "-c", HOSTS]).env_remove("MICROTOME_ADDRESS").env("MICROTOME_PYTHON", &python);
    command.env("WORK", bench.path("")).env("PYTHON", &python).env("REPOSITORY", repository());
    let binary: OsString = std::env::var_os("MICROTOME_BIN").unwrap();
    let ran = Ran::of(command.env("MICROTOME", binary));
    let said = |title: &str| {
        let part =
            ran.stdout.split_once(&format!("== {title}\n")).unwrap_or_else(|| panic!("{}{}", ran.stdout, ran.stderr));
        part.1.split("\n== ").next().unwrap().to_owned()
    };
    let (refused, check, private) = (said("refused"), said("check"), said("private"));
    assert!(refused.contains("--insecure-cluster") && refused.contains("code 2"), "{refused}");
    assert!(check.contains("all is well") && check.contains("tcp://10.213.77.3:"), "{check}");
    assert!(private.contains("--path-map") && private.contains("code 8"), "{private}");
    let unmapped = said("unmapped");
    assert!(unmapped.contains("--path-map FROM=TO") && unmapped.contains("code 4"), "{unmapped}");
    assert!(!said("mapped").contains("code"), "{}", said("mapped"));
    assert!(!said("cut").contains("code"), "{}", said("cut"));
    assert!(ran.stdout.contains("== same"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
