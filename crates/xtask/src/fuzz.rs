//! `cargo xtask fuzz`: libFuzzer on the targets of `microtome-fuzz`, with the stable toolchain.
//!
//! What was found to be new is kept in the target folder for the next time; what ends a target lies beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::report::Report;

/// Executions of a target: 17 of them are 1.7e7 in all.
const RUNS: &str = "1000000";

/// Coverage that libFuzzer is led by, and the address sanitizer: the stable compiler has both behind a variable.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=4 -Cdebug-assertions";

/// What an input may cost: megabytes in all and at once, seconds; and how large it may be.
const LIMITS: [&str; 4] = ["-rss_limit_mb=1024", "-malloc_limit_mb=512", "-timeout=10", "-max_len=4096"];

/// Runs the verb: `args` are names of targets, none for all, and `--runs N`.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    let (names, runs) = parse(args)?;
    let mut report = Report::default();
    steps(project, &names, &runs, &mut report)?;
    println!("\n== summary\n{}", report.table());
    report.outcome()
}

/// Adds a step for each target, all of them if none is named, of as many executions.
pub(crate) fn steps(project: &Project, names: &[String], runs: &str, report: &mut Report) -> Outcome {
    let mut program = None;
    report.step("fuzzer", || {
        program = Some(build(project)?);
        Ok(())
    });
    let Some(program) = program else { return Ok(()) };
    let all = targets(project)?;
    let chosen: Vec<&String> = if names.is_empty() { all.iter().collect() } else { names.iter().collect() };
    for name in chosen {
        if !all.contains(name) {
            return Err(format!("{name:?} is no target; they are {}", all.join(", ")));
        }
        report.step(&format!("fuzz {name}"), || fuzz(project, &program, name, runs));
    }
    Ok(())
}

/// As many executions of each target as a long run makes.
pub(crate) fn all(project: &Project, report: &mut Report) -> Outcome {
    steps(project, &[], RUNS, report)
}

fn parse(args: &[String]) -> Result<(Vec<String>, String), String> {
    let (mut names, mut runs) = (Vec::new(), RUNS.to_owned());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runs" => {
                let count = args.next().filter(|count| count.parse::<u64>().is_ok());
                count.ok_or("`--runs` needs a number of executions")?.clone_into(&mut runs);
            }
            name => names.push(name.to_owned()),
        }
    }
    Ok((names, runs))
}

/// The targets: the folders of inputs, which a test compares with the code.
fn targets(project: &Project) -> Result<Vec<String>, String> {
    let folder = project.path("fixtures/fuzz");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("failed to list {}: {e}", folder.display()))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Builds the program in a target folder of its own, for its flags are those of everything in it.
fn build(project: &Project) -> Result<PathBuf, String> {
    let host = output(Command::new("rustc").arg("-vV"))?;
    let triple = host.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    let folder = folder(project);
    let mut command = project.cargo(&["build", "--release", "--package", "microtome-fuzz", "--bin", "fuzz"]);
    command.args(["--features", "libfuzzer", "--target", triple, "--target-dir"]).arg(&folder);
    // The flags reach the libraries in C too, which is well, and libFuzzer, which only gets slower by them.
    command.env("CXXFLAGS", "-O3 -fno-sanitize=address");
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS).env("CARGO_PROFILE_RELEASE_LTO", "off");
    run_command(&mut command)?;
    Ok(folder.join(triple).join("release/fuzz"))
}

fn folder(project: &Project) -> PathBuf {
    project.target.join("fuzz")
}

fn fuzz(project: &Project, program: &Path, name: &str, runs: &str) -> Outcome {
    let kept = folder(project).join("corpus").join(name);
    let found = folder(project).join("found");
    for folder in [&kept, &found] {
        std::fs::create_dir_all(folder).map_err(|e| format!("failed to make {}: {e}", folder.display()))?;
    }
    let mut command = Command::new(program);
    command.arg(&kept).arg(project.path("fixtures/fuzz").join(name));
    command.arg(format!("-runs={runs}")).args(LIMITS).arg("-print_final_stats=1").arg("-verbosity=0");
    command.arg(format!("-artifact_prefix={}/{name}-", found.display()));
    if let Some(words) = dictionary(project, name) {
        command.arg(format!("-dict={}", words.display()));
    }
    command.env("MICROTOME_FUZZ_TARGET", name).env("ASAN_OPTIONS", "quarantine_size_mb=16:detect_leaks=0");
    run_command(&mut command).map_err(|error| {
        format!("{error}; the input lies in {}: mend it, and keep it under fixtures/fuzz", found.display())
    })
}

/// Words that inputs of a target are made of.
fn dictionary(project: &Project, name: &str) -> Option<PathBuf> {
    let words = match name {
        "ome-xml" | "file-set" => "ome.dict",
        "pages" | "open-and-read" => "tiff.dict",
        _ => return None,
    };
    Some(project.path("fixtures/fuzz").join(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_executions_are_told_apart() {
        let args = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse(&args("pages --runs 7 lzw")), Ok((args("pages lzw"), "7".to_owned())));
        assert_eq!(parse(&[]), Ok((Vec::new(), RUNS.to_owned())));
        assert!(parse(&args("--runs many")).is_err());
        assert!(parse(&args("--runs")).is_err());
    }
}
