//! Connections that cannot be: each is an error within 15 s that names what was tried and what to do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Builder, ConnectError, Handler};

use crate::dask;
use crate::functions::add_one;
use crate::stage::{Stage, builder, trials, watched};

/// However it fails, it fails within this.
const LIMIT: Duration = Duration::from_secs(15);

/// Tests that need no Python.
pub fn without_python() -> Vec<Trial> {
    let trial = |name: &'static str, test: fn()| {
        Trial::test(name, move || {
            watched(name, test);
            Ok(())
        })
    };
    vec![
        trial("a_port_that_nobody_listens_on_is_told_at_once", a_port_that_nobody_listens_on_is_told_at_once),
        trial("a_host_that_has_no_address_is_told", a_host_that_has_no_address_is_told),
        trial("a_scheduler_file_that_cannot_be_used_is_told", a_scheduler_file_that_cannot_be_used_is_told),
        trial("plain_text_to_another_machine_must_be_asked_for", plain_text_to_another_machine_must_be_asked_for),
        trial("a_python_that_is_not_there_is_told", a_python_that_is_not_there_is_told),
    ]
}

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_port_that_accepts_and_says_nothing_is_no_scheduler
        trial a_port_that_speaks_http_is_no_scheduler
        trial a_python_without_distributed_is_told
        trial a_dask_that_cannot_work_with_the_scheduler_s_is_told
        trial a_scheduler_file_will_do_as_an_address
    )
}

/// The error, come in time.
pub fn error_of(builder: Builder) -> ConnectError {
    let start = Instant::now();
    let error = builder.build().expect_err("there is nothing to connect to");
    assert!(start.elapsed() < LIMIT, "{:?}: {error}", start.elapsed());
    error
}

/// The message names these.
pub fn assert_names(error: &ConnectError, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn a_port_that_nobody_listens_on_is_told_at_once() {
    let address = format!("tcp://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let start = Instant::now();
    let error = error_of(Handler::builder().address(&address));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert_names(&error, &[&address, "refused", "is a Dask scheduler running there?"]);
}

fn a_host_that_has_no_address_is_told() {
    let error = error_of(Handler::builder().address("tcp://no-such-host.invalid:8786").insecure(true));
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert_names(&error, &["tcp://no-such-host.invalid:8786"]);
}

fn a_scheduler_file_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: Option<&str>| {
        let path = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        path
    };
    let broken = [
        (file("missing.json", None), "No such file"),
        (file("empty.json", Some("")), "it is none"),
        (file("cut.json", Some(r#"{"type": "Scheduler", "address": "tcp://127"#)), "it is none"),
        (file("other.json", Some(r#"{"id": 7}"#)), "missing field `address`"),
    ];
    for (path, why) in broken {
        let error = error_of(Handler::builder().scheduler_file(&path));
        assert!(matches!(error, ConnectError::SchedulerFile { .. }), "{error:?}");
        assert_names(&error, &[path.to_str().unwrap(), why, "`dask scheduler --scheduler-file` writes it"]);
    }
    let error = error_of(Handler::builder().scheduler_file(file("odd.json", Some(r#"{"address": "inproc://1/2"}"#))));
    assert!(matches!(error, ConnectError::Address { .. }), "{error:?}");
    assert_names(&error, &["inproc://1/2"]);
}

fn plain_text_to_another_machine_must_be_asked_for() {
    for address in ["tcp://10.255.0.1:8786", "scheduler.example:8786"] {
        let start = Instant::now();
        let error = error_of(Handler::builder().address(address));
        assert!(start.elapsed() < Duration::from_millis(100), "nothing is asked of the network");
        assert!(matches!(error, ConnectError::Insecure { .. }), "{error:?}");
        assert_names(&error, &[address, "tls://", "--insecure-cluster"]);
    }
}

fn a_python_that_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = error_of(Handler::builder().address(&address).python("/nowhere/python"));
    assert!(matches!(error, ConnectError::NoPython { .. }), "{error:?}");
    assert_names(&error, &["/nowhere/python", "MICROTOME_PYTHON"]);
}

/// A port whose visitors are served so, and its address. It is open as long as the program.
fn port(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn a_port_that_accepts_and_says_nothing_is_no_scheduler(stage: &Stage) {
    let address = port(|stream| {
        std::thread::sleep(Duration::from_mins(1));
        drop(stream);
    });
    let builder = || Handler::builder().address(&address).python(&stage.python);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            let error = error_of(builder().timeout(Duration::from_secs(1)));
            assert!(start.elapsed() < Duration::from_secs(6), "{:?}: {error}", start.elapsed());
        });
        let error = error_of(builder());
        assert!(matches!(error, ConnectError::NotAScheduler { .. }), "{error:?}");
        assert_names(&error, &[&address, "10 s"]);
    });
}

fn a_port_that_speaks_http_is_no_scheduler(stage: &Stage) {
    let address = port(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let error = error_of(Handler::builder().address(&address).python(&stage.python));
    assert!(matches!(error, ConnectError::NotAScheduler { .. }), "{error:?}");
    assert_names(&error, &[&address]);
}

fn a_python_without_distributed_is_told(stage: &Stage) {
    let folder = tempfile::tempdir().unwrap();
    let venv = folder.path().join("venv");
    let made = Command::new(&stage.python).args(["-m", "venv", "--without-pip"]).arg(&venv).status().unwrap();
    assert!(made.success());
    let python = venv.join("bin/python");
    let error = error_of(builder(stage.cluster()).python(&python));
    assert!(matches!(error, ConnectError::NoDistributed { .. }), "{error:?}");
    assert_names(&error, &[python.to_str().unwrap(), "python -m pip install distributed", "MICROTOME_PYTHON"]);
}

fn a_dask_that_cannot_work_with_the_scheduler_s_is_told(stage: &Stage) {
    let Some(old) = std::env::var_os("MICROTOME_PYTHON_OLD_DASK").map(PathBuf::from) else {
        dask::skip("an old Dask and a new scheduler", "MICROTOME_PYTHON_OLD_DASK names no Python with Dask 2024");
        return;
    };
    let error = error_of(builder(stage.cluster()).python(&old));
    let ConnectError::VersionMismatch { client, scheduler, .. } = &error else { panic!("{error:?}") };
    assert!(client < scheduler, "{client} {scheduler}");
    assert_names(&error, &[client, scheduler, &stage.cluster().address, old.to_str().unwrap(), "install"]);
}

fn a_scheduler_file_will_do_as_an_address(stage: &Stage) {
    let file = stage.cluster().scheduler_file();
    let handler = Handler::new(Some(file.to_str().unwrap())).unwrap();
    assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
    let handler = Handler::builder().scheduler_file(file).build().unwrap();
    assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
}
