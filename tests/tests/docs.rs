//! What README and docs show is so: every command is run, in order, on the bundled data, and what a page shows below it is
//! compared with what it prints (`…` stands for anything); every program that a page of docs shows is an example.
//!
//! A command with ` &` behind it runs until the end of its page, and is then interrupted as by Ctrl-C; a page that has one
//! starts a cluster with it and needs a Python with Dask. A command that names a file which such a command makes waits for it.

mod built;
#[path = "../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a program may take to end when interrupted.
const ENDING: Duration = Duration::from_secs(15);

#[test]
fn the_commands_of_readme_and_docs_run() {
    let Some(binary) = std::env::var_os("MICROTOME_BIN").map(PathBuf::from) else {
        println!("SKIPPED: MICROTOME_BIN is not set; `cargo xtask test` sets it");
        return;
    };
    let mut ran = 0;
    for page in pages() {
        let commands = commands(&read(&page));
        if commands.iter().any(|command| command.background) && !has_dask() {
            let page = page.strip_prefix(root()).unwrap().display();
            dask::skip(&format!("the commands of {page}"), "they need a Python with `distributed`");
        } else {
            run_page(&page, &commands, &binary);
            ran += commands.len();
        }
    }
    assert!(ran >= 6, "only {ran} commands were found: has the markup of the pages changed?");
}

#[test]
fn every_program_of_the_docs_is_an_example_or_part_of_one() {
    let folder = root().join("crates/microtome/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<String> =
        files.filter(|path| path.extension().is_some_and(|e| e == "rs")).map(|p| read(&p)).collect();
    let examples: Vec<Vec<&str>> = examples.iter().map(|text| text.lines().map(str::trim).collect()).collect();
    let mut found = 0;
    // The blocks of README are compiled and run as the façade's own.
    for page in pages().iter().filter(|page| !page.ends_with("README.md")) {
        for block in blocks(&read(page), "rust") {
            let lines: Vec<&str> = block.iter().map(|line| line.trim()).collect();
            let shown = examples.iter().any(|example| example.windows(lines.len()).any(|part| part == lines));
            assert!(shown, "{}: no example has these lines:\n{}", page.display(), block.join("\n"));
            found += 1;
        }
    }
    assert!(found > 0, "no program was found: has the markup of the pages changed?");
}

#[test]
fn the_error_for_a_closure_is_what_the_compiler_is_told_to_say() {
    let source = read(&root().join("crates/microtome-handler/src/function.rs"));
    let page = read(&root().join("docs/handlers.md"));
    let shown = blocks(&page, "text").concat().join("\n");
    for key in ["message = \"`{Self}`", "label = \"", "note = \""] {
        let said = source.split_once(key).and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        assert!(shown.contains(said), "docs/handlers.md does not show `{said}`");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages.sort();
    pages
}

/// The lines of the fenced blocks of a page that are of this kind.
fn blocks(text: &str, kind: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let block = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        if found == kind {
            blocks.push(block);
        }
    }
    blocks
}

/// A command as a page shows it.
struct Shown {
    line: String,
    /// The example it runs; the binary if none.
    example: Option<String>,
    words: Vec<String>,
    /// `# exits with 5` behind a command says that it is meant to fail.
    exit: i32,
    background: bool,
    /// The lines below it.
    output: Vec<String>,
}

/// The commands of the `console` blocks of a page that run microtome or an example.
fn commands(text: &str) -> Vec<Shown> {
    let mut out: Vec<Shown> = Vec::new();
    for block in blocks(text, "console") {
        // Lines below a command that is not ours are nobody's.
        let mut ours = false;
        for line in block {
            if let Some(command) = line.strip_prefix("$ ") {
                let shown = parse(command);
                ours = shown.is_some();
                out.extend(shown);
            } else if let Some(last) = out.last_mut().filter(|_| ours) {
                last.output.push(line);
            }
        }
    }
    out
}

fn parse(line: &str) -> Option<Shown> {
    let (command, exit) = line.split_once("# exits with ").map_or((line, 0), |(c, e)| (c, e.trim().parse().unwrap()));
    let (command, background) = command.strip_suffix(" &").map_or((command, false), |command| (command, true));
    let (example, words) = match command.strip_prefix("cargo run --release -p microtome --example ") {
        Some(rest) => {
            let (name, words) = rest.split_once(" -- ").unwrap_or((rest, ""));
            (Some(name.trim().to_owned()), words)
        }
        None => (None, ["cargo run --release -- ", "microtome "].into_iter().find_map(|p| command.strip_prefix(p))?),
    };
    let words = words.split_whitespace().map(str::to_owned).collect();
    Some(Shown { line: line.to_owned(), example, words, exit, background, output: Vec::new() })
}

#[test]
fn commands_are_told_from_their_output() {
    let page = "```console\n$ microtome inspect a.tif # exits with 4\n$ ls\nx\n```\n```sh\n$ microtome no\n```\n\
        ```console\n$ cargo run --release -p microtome --example sum -- 1 b.json\n3 …\n$ microtome wait --file f &\n```\n";
    let shown: Vec<_> = commands(page)
        .into_iter()
        .map(|c| (c.example.unwrap_or_default(), c.words.join(" "), c.exit, c.background, c.output.join("|")))
        .collect();
    let expected =
        [("", "inspect a.tif", 4, false, ""), ("sum", "1 b.json", 0, false, "3 …"), ("", "wait --file f", 0, true, "")];
    assert_eq!(shown, expected.map(|(a, b, c, d, e)| (a.to_owned(), b.to_owned(), c, d, e.to_owned())));
}

fn has_dask() -> bool {
    let works = |python: PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", "import distributed"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    dask::python().is_some_and(works)
}

/// Runs the commands of a page in a folder of its own, where `fixtures` are.
fn run_page(page: &Path, commands: &[Shown], binary: &Path) {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(root().join("fixtures"), folder.path().join("fixtures")).unwrap();
    let mut background: Vec<Background> = Vec::new();
    for shown in commands {
        let program = shown.example.as_ref().map_or_else(|| binary.to_owned(), |name| built::example(name));
        let mut command = Command::new(program);
        command.args(&shown.words).current_dir(folder.path()).stdin(Stdio::null());
        // What is remembered of the machine is the page's own.
        command.env("XDG_CACHE_HOME", cache.path());
        let title = format!("{}: {}", page.display(), shown.line);
        if shown.background {
            background.push(Background::start(command, shown, title, folder.path()));
            continue;
        }
        for running in &mut background {
            running.wait_for_file_in(&shown.words);
        }
        let output = command.output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(output.status.code(), Some(shown.exit), "{title}\n{out}{err}");
        check_output(&title, &shown.output, if shown.exit == 0 { &out } else { &err });
    }
    background.into_iter().for_each(Background::end);
}

/// A program that runs until the end of its page.
struct Background {
    title: String,
    child: Child,
    /// The file by which it is found.
    makes: Option<PathBuf>,
    shown: Vec<String>,
    /// Where its output is kept.
    logs: TempDir,
}

impl Background {
    fn start(mut command: Command, shown: &Shown, title: String, folder: &Path) -> Background {
        let logs = tempfile::tempdir().unwrap();
        let log = |name: &str| File::create(logs.path().join(name)).unwrap();
        let child = command.stdout(log("out")).stderr(log("err")).spawn().unwrap();
        let at = shown.words.iter().position(|word| word == "--scheduler-file");
        let makes = at.and_then(|at| shown.words.get(at + 1)).map(|file| folder.join(file));
        Background { title, child, makes, shown: shown.output.clone(), logs }
    }

    fn said(&self, name: &str) -> String {
        read(&self.logs.path().join(name))
    }

    /// Waits until the file that it makes is there, if one of the words names it.
    fn wait_for_file_in(&mut self, words: &[String]) {
        let names_it =
            |file: &PathBuf| words.iter().any(|word| file.file_name().is_some_and(|name| name == word.as_str()));
        let Some(file) = self.makes.clone().filter(names_it) else { return };
        dask::wait_for(&self.title.clone(), || {
            let ended = self.child.try_wait().unwrap();
            assert_eq!(ended, None, "{} ended\n{}{}", self.title, self.said("out"), self.said("err"));
            file.exists().then_some(())
        });
    }

    /// Interrupts it and waits until it has ended; it must not need to be killed.
    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success(), "{} has gone", self.title);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < ENDING, "{} does not end", self.title);
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(was_interrupted(status), "{}: {status}\n{}", self.title, self.said("err"));
        check_output(&self.title, &self.shown, &self.said("out"));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn was_interrupted(status: ExitStatus) -> bool {
    status.code() == Some(130) || status.signal() == Some(2)
}

/// Compares what a page shows below a command, if it shows anything, with what the command printed.
fn check_output(title: &str, shown: &[String], printed: &str) {
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        shown.is_empty() || all_match(&shown, &lines),
        "{title}\nshows:\n{}\nprinted:\n{printed}",
        shown.join("\n")
    );
}

/// A line `…` stands for any lines.
fn all_match(shown: &[&str], lines: &[&str]) -> bool {
    match shown {
        [] => lines.is_empty(),
        ["…", rest @ ..] => (0..=lines.len()).any(|n| all_match(rest, &lines[n..])),
        [first, rest @ ..] => lines.first().is_some_and(|line| matches(first, line)) && all_match(rest, &lines[1..]),
    }
}

/// A `…` within a line stands for any text.
fn matches(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut left) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut ends = left.is_empty();
    for part in parts {
        ends = part.is_empty() || left.ends_with(part);
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    ends
}

#[test]
fn dots_stand_for_anything() {
    for (shown, line, fits) in [
        ("", "", true),
        ("8 steps", "8 steps", true),
        ("8 steps", "8 steps more", false),
        ("seconds …", "seconds 1.25", true),
        ("… of …, then …!", "1 of 2, then 3!", true),
        ("… of …", "none", false),
        ("a … b", "a x b y b", true),
        ("a … b", "a x b y", false),
    ] {
        assert_eq!(matches(shown, line), fits, "{shown} / {line}");
    }
    assert!(all_match(&["a", "…", "d"], &["a", "b", "c", "d"]) && all_match(&["a", "…"], &["a"]));
    assert!(!all_match(&["a", "…", "d"], &["a", "b"]) && !all_match(&["a"], &["a", "b"]));
}
