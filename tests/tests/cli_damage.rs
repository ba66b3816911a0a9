//! Journals and stored units that were damaged before a run goes on: the result is right or refused, never wrong.
//!
//! Some bytes here, every byte where `MICROTOME_DEEP` is set.

mod cli;

use std::path::{Path, PathBuf};

use cli::Ran;
use cli::resumed::{Subject, is_deep};

const FEW: &str = "--chunk-shape 1,1,1,80,96 --shard-shape 1,1,2,160,192 --threads 1";

/// An unfinished output that can be put back as often as needed.
struct Left {
    subject: Subject,
    copy: PathBuf,
    kept: u64,
}

impl Left {
    /// A run that was killed after some units.
    fn new() -> Option<Left> {
        let subject = Subject::new(FEW)?;
        let mut child = subject.command(&["--quiet", "--durability", "unit"]).spawn().unwrap();
        while subject.journaled() < 5 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (copy, kept) = (subject.bench.path("left"), subject.journaled());
        assert!(kept < subject.units);
        let left = Left { subject, copy, kept };
        copy_tree(&left.subject.folder(), &left.copy);
        Some(left)
    }

    fn put_back(&self) {
        self.subject.clear();
        copy_tree(&self.copy, &self.subject.folder());
    }

    fn resume(&self, more: &[&str]) -> Ran {
        Ran::of(&mut self.subject.piped(&[&["--quiet"], more].concat()))
    }

    /// Goes on with `--resume` and, where that is refused for damage, with `--resume=verify`.
    fn is_right(&self, what: &str) {
        let before = cli::tree(&self.subject.folder());
        let ran = self.resume(&["--resume"]);
        if ran.code == 5 {
            assert!(ran.stderr.contains("is damaged; --resume=verify"), "{what}: {}", ran.stderr);
            let mut after = cli::tree(&self.subject.folder());
            after.retain(|(path, _)| path != Path::new("out.ome.zarr.lock"));
            let mut before = before;
            before.retain(|(path, _)| path != Path::new("out.ome.zarr.lock"));
            assert!(after == before, "{what}: what is refused is not touched");
            let ran = self.resume(&["--resume=verify"]);
            assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        } else {
            assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        }
        assert!(self.subject.is_published(what));
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (path, content) in cli::tree(from).into_iter().rev().collect::<std::collections::BTreeMap<_, _>>() {
        match content {
            None => std::fs::create_dir_all(to.join(path)).unwrap(),
            Some(bytes) => std::fs::write(to.join(path), bytes).unwrap(),
        }
    }
}

#[test]
fn a_journal_with_any_byte_flipped_gives_the_right_result_or_is_refused() {
    let Some(left) = Left::new() else { return };
    let journal = std::fs::read(left.subject.journal()).unwrap();
    let step = if is_deep() { 1 } else { journal.len() / 12 + 1 };
    for at in (0..journal.len()).step_by(step) {
        left.put_back();
        let mut bytes = journal.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(left.subject.journal(), bytes).unwrap();
        left.is_right(&format!("byte {at} flipped"));
    }
}

#[test]
fn a_journal_cut_anywhere_gives_the_right_result_or_is_refused() {
    let Some(left) = Left::new() else { return };
    let journal = std::fs::read(left.subject.journal()).unwrap();
    let step = if is_deep() { 1 } else { journal.len() / 12 + 1 };
    for len in (0..journal.len()).step_by(step) {
        left.put_back();
        std::fs::write(left.subject.journal(), &journal[..len]).unwrap();
        left.is_right(&format!("cut to {len} bytes"));
    }
    left.put_back();
    std::fs::remove_file(left.subject.journal()).unwrap();
    left.is_right("no journal");
}

#[test]
fn a_unit_that_is_gone_or_has_another_length_is_made_again() {
    let Some(left) = Left::new() else { return };
    for (n, damage) in ["gone", "shorter", "longer", "a folder"].into_iter().enumerate() {
        left.put_back();
        let unit = stored_units(&left)[n].clone();
        let bytes = std::fs::read(&unit).unwrap();
        std::fs::remove_file(&unit).unwrap();
        match damage {
            "gone" => {}
            "shorter" => std::fs::write(&unit, &bytes[1..]).unwrap(),
            "longer" => std::fs::write(&unit, [&bytes[..], b"more"].concat()).unwrap(),
            _ => std::fs::create_dir(&unit).unwrap(),
        }
        let ran = left.resume(&["--resume", "--json"]);
        if damage == "a folder" {
            assert_eq!(ran.code, 5, "{}", ran.stderr);
            continue;
        }
        assert_eq!(ran.code, 0, "{damage}: {}", ran.stderr);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["units"]["resumed"], left.kept - 1, "{damage}: {report}");
        assert!(left.subject.is_published(damage));
    }
}

#[test]
fn verify_finds_a_unit_whose_bytes_are_others() {
    let Some(left) = Left::new() else { return };
    left.put_back();
    let unit = stored_units(&left)[2].clone();
    let mut bytes = std::fs::read(&unit).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&unit, bytes).unwrap();
    let ran = left.resume(&["--resume=verify", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["units"]["resumed"], left.kept - 1, "{report}");
    assert!(left.subject.is_published("a flipped unit"));
}

/// The files of units that have their place.
fn stored_units(left: &Left) -> Vec<PathBuf> {
    let folder = left.subject.partial().join("0/c");
    let files = cli::tree(&folder).into_iter().filter(|(_, content)| content.is_some());
    let files = files.map(|(path, _)| folder.join(path));
    files
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'))
        .take(left.kept as usize)
        .collect()
}
