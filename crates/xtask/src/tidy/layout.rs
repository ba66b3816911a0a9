//! Rules for paths: what lies at the top, what a file may be called, and a line for every fixture.

use std::collections::BTreeSet;

use super::Finding;

/// Everything at the top of the repository, besides dot-files and dot-folders.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "fixtures",
    "benches",
    "tests",
    "docs",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
];

/// Names that say nothing of what is inside.
const VAGUE: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// What lies in `fixtures/` and is no sample.
const NO_SAMPLE: &[&str] = &["README.md", "make_fixtures.py", "expected.json"];

/// All rules of this file; `fixtures_readme` is the text of `fixtures/README.md`.
pub(super) fn check(paths: &[String], fixtures_readme: &str) -> Vec<Finding> {
    let named = paths.iter().filter_map(|path| vague_name(path));
    top_level(paths).into_iter().chain(named).chain(fixtures(paths, fixtures_readme)).collect()
}

fn top_level(paths: &[String]) -> Vec<Finding> {
    let entries: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    let strange = entries.into_iter().filter(|entry| !entry.starts_with('.') && !TOP.contains(entry));
    let message = "does not belong at the top of the repository: put it below crates, tests, benches or docs";
    strange.map(|entry| Finding::of_file(entry, message)).collect()
}

fn vague_name(path: &str) -> Option<Finding> {
    let mut parts = path.rsplit('/');
    let file = parts.next()?;
    let stem = file.strip_suffix(".rs").or_else(|| file.strip_suffix(".py"))?;
    let name = if stem == "mod" { parts.next()? } else { stem };
    let message = "a name that says nothing: put each function beside the type it is about";
    VAGUE.contains(&name).then(|| Finding::of_file(path, message))
}

fn fixtures(paths: &[String], readme: &str) -> Vec<Finding> {
    let inside = paths.iter().filter_map(|path| path.strip_prefix("fixtures/")?.split('/').next());
    let samples: BTreeSet<&str> = inside.filter(|name| !NO_SAMPLE.contains(name)).collect();
    let unnamed = samples.into_iter().filter(|name| !readme.contains(&format!("`{name}`")));
    let message = "has no line in fixtures/README.md: say what it is and what it proves";
    unnamed.map(|name| Finding::of_file(&format!("fixtures/{name}"), message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn the_top_is_as_designed() {
        assert_eq!(top_level(&owned(&["Cargo.toml", "crates/a/src/lib.rs", ".ci/run"])), []);
        let found = top_level(&owned(&["scripts/a.sh", "scripts/b.sh", "notes.md"]));
        assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["notes.md", "scripts"]);
    }

    #[test]
    fn a_name_says_what_is_inside() {
        assert_eq!(vague_name("crates/a/src/region.rs"), None);
        assert_eq!(vague_name("docs/utils.md"), None);
        assert!(vague_name("crates/a/src/utils.rs").is_some());
        assert!(vague_name("crates/a/src/common/mod.rs").is_some());
        assert!(vague_name("tests/python/helpers.py").is_some());
    }

    #[test]
    fn every_fixture_has_its_line() {
        let paths = owned(&["fixtures/README.md", "fixtures/a.tif", "fixtures/b.zarr/zarr.json", "src/c.tif"]);
        assert_eq!(fixtures(&paths, "| `a.tif` | strips |\n| `b.zarr` | shards |"), []);
        assert_eq!(fixtures(&paths, "| `a.tif` | strips |")[0].path, "fixtures/b.zarr");
    }
}
