//! Every command that README and docs show is run, in the order they show it, on the bundled data.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_commands_of_readme_and_docs_run() {
    let Some(binary) = std::env::var_os("MICROTOME_BIN") else {
        println!("SKIPPED: MICROTOME_BIN is not set; `cargo xtask test` sets it");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut ran = 0;
    for page in pages(&root) {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.join("fixtures").canonicalize().unwrap(), folder.path().join("fixtures"))
            .unwrap();
        for command in commands(&std::fs::read_to_string(&page).unwrap()) {
            let output = Command::new(&binary).args(&command.words).current_dir(folder.path()).output().unwrap();
            let shown = command.words.join(" ");
            assert_eq!(
                output.status.code(),
                Some(command.exit),
                "{}: microtome {shown}\n{}",
                page.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            ran += 1;
        }
    }
    assert!(ran >= 6, "only {ran} commands were found: has the markup of the pages changed?");
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md")];
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages.sort();
    pages
}

struct Shown {
    words: Vec<String>,
    /// `# exits with 5` behind a command says that it is meant to fail.
    exit: i32,
}

/// The microtome commands of the `console` blocks of a page.
fn commands(text: &str) -> Vec<Shown> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| inside) else { continue };
        let (command, exit) =
            command.split_once("# exits with ").map_or((command, 0), |(c, e)| (c, e.trim().parse().unwrap()));
        let program = ["cargo run --release -- ", "microtome "].into_iter().find_map(|p| command.strip_prefix(p));
        let Some(words) = program else { continue };
        out.push(Shown { words: words.split_whitespace().map(str::to_owned).collect(), exit });
    }
    out
}
