//! The program that workers run: shipped, missing, changed, another one, or none at all.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Ship, TaskErrorKind};

use crate::clients::{Client, WITHOUT_INIT};
use crate::functions::{add_one, only_in_build_a, program_path};
use crate::stage::{Stage, builder, close, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_program_is_shipped_when_asked_also_to_workers_that_come_later
        trial a_program_whose_file_is_gone_is_shipped
        trial a_program_whose_file_has_changed_is_shipped
        trial without_shipping_a_program_whose_file_is_gone_is_an_error_that_says_where_it_was_looked_for
        trial without_shipping_a_program_whose_file_has_changed_is_an_error_that_says_so
        trial a_program_that_cannot_be_shipped_is_an_error_and_no_hang
        trial a_function_that_another_build_lacks_is_named
        trial a_program_that_is_no_worker_is_an_error_that_tells_of_init
        trial a_program_without_init_cannot_connect
    )
}

/// A copy of this program, with a tail that makes it another content.
fn copy_to(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut content = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    change(&mut content);
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, content).unwrap();
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

/// What a client says whose file is treated so after it was started.
fn says(stage: &Stage, ship: &str, after_start: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = copy_to(folder.path(), "user", |content| content.extend(ship.as_bytes()));
    let mut client = Client::start(&program, &["once", &stage.cluster().address, ship]);
    after_start(&program);
    client.go();
    client.line()
}

fn a_program_is_shipped_when_asked_also_to_workers_that_come_later(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let handler = builder(&cluster).ship(Ship::Always).build().unwrap();
    let shipped = |path: String| assert!(path.contains("/worker-") && path.contains("/microtome-"), "{path}");
    shipped(handler.submit(program_path, 0).result().unwrap());
    cluster.add_worker();
    cluster.wait_for_workers(2);
    let mut paths: Vec<String> =
        handler.batched_map(program_path, vec![20; 40]).batch_size(1).map(Result::unwrap).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 2, "{paths:?}");
    paths.into_iter().for_each(shipped);
    close(handler);
    cluster.end();
}

fn a_program_whose_file_is_gone_is_shipped(stage: &Stage) {
    let said = says(stage, "auto1", |program| std::fs::remove_file(program).unwrap());
    assert!(said.contains("/microtome-") && said.ends_with("Ok(55)"), "{said}");
}

fn a_program_whose_file_has_changed_is_shipped(stage: &Stage) {
    let change = |program: &Path| drop(copy_to(program.parent().unwrap(), "user", |content| content.push(7)));
    let said = says(stage, "auto2", change);
    assert!(said.contains("/microtome-") && said.ends_with("Ok(55)"), "{said}");
}

fn without_shipping_a_program_whose_file_is_gone_is_an_error_that_says_where_it_was_looked_for(stage: &Stage) {
    let mut gone = PathBuf::new();
    let said = says(stage, "never", |program| {
        std::fs::remove_file(program).unwrap();
        gone = program.to_path_buf();
    });
    let gone = format!("{} (No such file", gone.display());
    assert!(said.contains("Executable") && said.contains(&gone), "{said}");
}

fn without_shipping_a_program_whose_file_has_changed_is_an_error_that_says_so(stage: &Stage) {
    let change = |program: &Path| drop(copy_to(program.parent().unwrap(), "user", |content| content.push(7)));
    let said = says(stage, "never", change);
    assert!(said.contains("Executable") && said.contains("another content"), "{said}");
}

fn a_program_that_cannot_be_shipped_is_an_error_and_no_hang(stage: &Stage) {
    let mut cluster = stage.own_cluster(0);
    let folder = tempfile::tempdir().unwrap();
    let program = copy_to(folder.path(), "user", |content| content.extend(b"unshippable"));
    let handler = builder(&cluster).executable(&program).build().unwrap();
    std::fs::remove_file(&program).unwrap();
    cluster.add_worker();
    let future = handler.submit(add_one, 1);
    let error = future.result_timeout(Duration::from_secs(20)).expect("no hang").unwrap_err();
    assert!(matches!(error.kind(), TaskErrorKind::Executable { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains(program.to_str().unwrap()) && error.contains("could not be sent"), "{error}");
    // Where it is there again, it is sent again.
    copy_to(folder.path(), "user", |content| content.extend(b"unshippable"));
    assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
    close(handler);
    cluster.end();
}

fn a_function_that_another_build_lacks_is_named(stage: &Stage) {
    let folder = tempfile::tempdir().unwrap();
    let rename = |content: &mut Vec<u8>| {
        // Put together here, or the name to be looked for would be one more of its places.
        let name = ["only_in_", "build_a"].concat().into_bytes();
        for at in 0..content.len() - name.len() {
            if content[at..].starts_with(&name) {
                content[at + name.len() - 1] = b'b';
            }
        }
    };
    let other = copy_to(folder.path(), "build-b", rename);
    let handler = builder(stage.cluster()).executable(&other).build().unwrap();
    assert_eq!(handler.submit(add_one, 1).result(), Ok(2), "what it has, it runs");
    let start = Instant::now();
    let error = handler.submit(only_in_build_a, ()).result().unwrap_err();
    assert!(matches!(error.kind(), TaskErrorKind::NoSuchFunction { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("`faults::functions::only_in_build_a`") && error.contains("only_in_build_b"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    close(handler);
    assert_eq!(stage.handler().submit(only_in_build_a, ()).result(), Ok(1));
}

fn a_program_that_is_no_worker_is_an_error_that_tells_of_init(stage: &Stage) {
    let start = Instant::now();
    let program = if Path::new("/bin/true").exists() { "/bin/true" } else { "/usr/bin/true" };
    let error = match builder(stage.cluster()).executable(program).build() {
        Err(error) => error.to_string(),
        Ok(handler) => {
            let error = handler.submit(add_one, 1).result().unwrap_err();
            assert!(matches!(error.kind(), TaskErrorKind::Executable { .. }), "{error:?}");
            close(handler);
            error.to_string()
        }
    };
    assert!(error.contains("/true") && error.contains("init()"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

fn a_program_without_init_cannot_connect(stage: &Stage) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([WITHOUT_INIT, &stage.cluster().address]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("true ") && said.contains("first line of main"), "{said}");
}
