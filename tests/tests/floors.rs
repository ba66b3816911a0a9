//! The direction of the crates: a crate knows only crates on lower floors. Computed from `cargo metadata`, so that a
//! dependency added in a hurry cannot turn the house upside down.

use cargo_metadata::{MetadataCommand, Package};

/// The floors, lowest first. A crate on floor n depends on crates below n, in its tests too.
const FLOORS: &[&[&str]] = &[
    &["microtome-array", "microtome-macros"],
    &["microtome-io", "microtome-ops", "microtome-handler"],
    &["microtome-tiff", "microtome-zarr", "microtome-picture", "microtome-graph"],
    &["microtome-exec"],
    &["microtome"],
    &["microtome-cli", "microtome-py"],
];

/// Crates that nobody depends on and that may depend on any other.
const OUTSIDE: &[&str] = &["xtask", "microtome-tests", "microtome-benches", "microtome-fuzz"];

fn floor(krate: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&krate))
}

/// What is wrong with `krate` depending on `dependencies`, a sentence each.
fn faults<'a>(krate: &str, dependencies: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    if OUTSIDE.contains(&krate) {
        return Vec::new();
    }
    let Some(own) = floor(krate) else {
        return vec![format!("`{krate}` has no floor: add it to FLOORS, above all it uses and below all that use it")];
    };
    let check = |name: &str| match floor(name) {
        Some(other) if other < own => None,
        Some(other) => {
            Some(format!("`{krate}` (floor {own}) depends on `{name}` (floor {other}), which is not below it"))
        }
        None if OUTSIDE.contains(&name) => Some(format!("`{krate}` depends on `{name}`, which is no library")),
        None => None,
    };
    dependencies.into_iter().filter_map(check).collect()
}

fn members() -> Vec<Package> {
    MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace").packages
}

#[test]
fn a_crate_depends_only_on_lower_floors() {
    let faults: Vec<String> = members()
        .iter()
        .flat_map(|package| faults(&package.name, package.dependencies.iter().map(|d| d.name.as_str())))
        .collect();
    assert_eq!(faults, [""; 0], "the crates do not stand on their floors");
}

#[test]
fn a_dependency_upwards_or_sideways_is_a_fault() {
    assert_eq!(
        faults("microtome-io", ["serde", "microtome-array", "microtome-ops", "microtome-exec"]),
        [
            "`microtome-io` (floor 1) depends on `microtome-ops` (floor 1), which is not below it",
            "`microtome-io` (floor 1) depends on `microtome-exec` (floor 3), which is not below it",
        ]
    );
    assert_eq!(faults("microtome-exec", ["xtask"]), ["`microtome-exec` depends on `xtask`, which is no library"]);
}

#[test]
fn a_new_crate_is_asked_for_its_floor() {
    let advice = "`microtome-cloud` has no floor: add it to FLOORS, above all it uses and below all that use it";
    assert_eq!(faults("microtome-cloud", []), [advice]);
}

/// What the fuzzed crate is built with again, under a sanitizer: no Zarr, nothing of networks.
#[test]
fn what_is_fuzzed_is_built_without_zarrs_and_object_stores() {
    let metadata =
        MetadataCommand::new().other_options(["--offline".to_owned()]).exec().expect("cargo knows all packages");
    let nodes = metadata.resolve.expect("packages are resolved").nodes;
    let name =
        |id: &cargo_metadata::PackageId| metadata.packages.iter().find(|p| p.id == *id).map(|p| p.name.to_string());
    let mut left: Vec<_> = nodes.iter().filter(|n| name(&n.id).as_deref() == Some("microtome-fuzz")).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(node) = left.pop() {
        if !seen.insert(name(&node.id).expect("a package has a name")) {
            continue;
        }
        let normal = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal)
        };
        let needed = node.deps.iter().filter(|dep| normal(&dep.dep_kinds)).map(|dep| &dep.pkg);
        left.extend(needed.filter_map(|id| nodes.iter().find(|n| n.id == *id)));
    }
    assert!(seen.contains("microtome-tiff") && seen.len() > 20, "{seen:?}");
    for heavy in ["zarrs", "object_store", "tokio", "reqwest", "microtome-zarr"] {
        assert!(!seen.contains(heavy), "{heavy} is among {seen:?}");
    }
}
