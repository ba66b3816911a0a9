//! What becomes of maps whose file is cut, and of signals that are none of ours. The latter in processes of their own:
//! this program again, with one test and a word in its environment.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use super::*;

const LEN: usize = 1 << 20;

fn file() -> (tempfile::TempDir, PathBuf, File) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, (0..LEN).map(|n| (n % 251) as u8).collect::<Vec<u8>>()).unwrap();
    let file = File::open(&path).unwrap();
    (dir, path, file)
}

fn cut(path: &PathBuf, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn what_is_copied_is_what_the_file_holds() {
    let (_dir, _path, file) = file();
    for (offset, len) in [(0, LEN), (1, 1), (4095, 2), (4097, 300_000), (LEN as u64 - 1, 1)] {
        let mut out = vec![0; len];
        assert_eq!(with(&file, (offset, len), len > 2, |view| view.copy(0, &mut out)), Read::Whole);
        assert!(out.iter().enumerate().all(|(n, &byte)| byte == ((offset as usize + n) % 251) as u8), "{offset}");
    }
    assert_eq!(with(&file, (0, 0), false, |_| panic!("nothing is mapped")), Read::NotMapped);
}

#[test]
fn a_file_that_is_cut_while_it_is_mapped_spoils_the_map_and_ends_nothing() {
    let (_dir, path, file) = file();
    for all in [false, true] {
        cut(&path, LEN as u64);
        let mut out = vec![7; LEN - 10_000];
        let read = with(&file, (10_000, out.len()), all, |view| {
            view.copy(0, &mut out[..1000]);
            cut(&path, 500_000);
            view.copy(1000, &mut out[1000..]);
        });
        assert_eq!(read, Read::Spoiled);
        // Zeros from the end of the file on; before it as it was.
        let kept = 500_000 - 10_000;
        assert!(out[kept..].iter().all(|&byte| byte == 0));
        assert!(all || out[999] == ((10_999) % 251) as u8);
        // The next map is a new one.
        let read = with(&file, (0, 100), all, |view| view.copy(0, &mut out[..100]));
        assert_eq!(read, Read::Whole);
    }
}

#[test]
fn threads_whose_maps_are_spoiled_do_not_spoil_those_of_others() {
    let (_dir, path, file) = file();
    let (_other_dir, _other, whole) = self::file();
    cut(&path, 4096);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (file, expected) = if n % 2 == 0 { (&file, Read::Spoiled) } else { (&whole, Read::Whole) };
            scope.spawn(move || {
                let mut out = vec![0; LEN];
                for _ in 0..50 {
                    assert_eq!(with(file, (0, LEN), n > 3, |view| view.copy(0, &mut out)), expected);
                }
            });
        }
    });
}

#[test]
fn a_panic_while_it_is_mapped_leaves_nothing_watched() {
    let (_dir, _path, file) = file();
    for _ in 0..600 {
        let read = std::panic::AssertUnwindSafe(|| with(&file, (0, 10), false, |view| view.copy(5, &mut [0; 6])));
        std::panic::catch_unwind(read).unwrap_err();
    }
    assert_eq!(with(&file, (0, 10), false, |_| ()), Read::Whole);
}

/// Runs a test of this program alone, with a word that tells it what to do.
fn child(test: &str, word: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("mapped::tests::{test}"), "--test-threads=1"]).env("MICROTOME_TEST_CHILD", word);
    command.output().unwrap().status
}

/// Reads a page that is not there through a map that nobody watches.
fn fault() {
    let (_dir, path, file) = file();
    let map = MmapOptions::new().map_raw_read_only(&file).unwrap();
    cut(&path, 0);
    // SAFETY: the address is mapped; reading it ends the process, or runs a handler that does.
    unsafe { map.as_ptr().read_volatile() };
}

fn guarded_read() {
    let (_dir, path, file) = file();
    cut(&path, 0);
    let mut out = [0; 10];
    assert_eq!(with(&file, (0, 10), false, |view| view.copy(0, &mut out)), Read::Spoiled);
    // What nobody looks at need not be copied.
    std::hint::black_box(&mut out);
}

extern "C" fn exits(_: i32, info: *mut libc::siginfo_t, _: *mut std::ffi::c_void) {
    // SAFETY: the system gives a whole structure; leaving at once is allowed in a handler.
    unsafe { libc::_exit(if (*info).si_code > 0 { 42 } else { 43 }) }
}

extern "C" fn exits_shortly(_: i32) {
    // SAFETY: leaving at once is allowed in a handler.
    unsafe { libc::_exit(44) }
}

fn handle(address: usize, flags: i32) {
    // SAFETY: the structure is whole, and the handler has the signature that the flags say.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (action.sa_sigaction, action.sa_flags) = (address, flags);
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()), 0);
    }
}

fn send() {
    // SAFETY: sends a signal to this thread.
    unsafe { libc::raise(libc::SIGBUS) };
}

#[test]
fn signals_that_are_none_of_ours_do_what_they_did_before() {
    let this = "signals_that_are_none_of_ours_do_what_they_did_before";
    let long = exits as extern "C" fn(i32, *mut libc::siginfo_t, *mut std::ffi::c_void) as usize;
    let short = exits_shortly as extern "C" fn(i32) as usize;
    if let Ok(word) = std::env::var("MICROTOME_TEST_CHILD") {
        let (handler, event) = word.split_once(' ').unwrap();
        match handler {
            "runtime" => {} // that of Rust's own library, which looks for full stacks
            "default" => handle(libc::SIG_DFL, 0),
            "ignored" => handle(libc::SIG_IGN, 0),
            "short" => handle(short, 0),
            _ => handle(long, libc::SA_SIGINFO),
        }
        guarded_read();
        if event == "fault" {
            fault();
        } else {
            send();
        }
        guarded_read(); // is reached only where the signal was ignored
        return;
    }
    let ended = |status: ExitStatus| (status.code(), status.signal());
    let by_signal = (None, Some(libc::SIGBUS));
    for (word, expected) in [
        ("runtime fault", by_signal),
        ("default fault", by_signal),
        ("default sent", by_signal),
        ("ignored fault", by_signal),
        ("ignored sent", (Some(0), None)),
        ("long fault", (Some(42), None)),
        ("long sent", (Some(43), None)),
        ("short fault", (Some(44), None)),
    ] {
        assert_eq!(ended(child(this, word)), expected, "{word}");
    }
}

#[test]
fn where_another_handler_took_our_place_nothing_is_mapped() {
    if std::env::var("MICROTOME_TEST_CHILD").is_err() {
        let status = child("where_another_handler_took_our_place_nothing_is_mapped", "-");
        assert_eq!(status.code(), Some(0));
        return;
    }
    guarded_read();
    handle(libc::SIG_DFL, 0);
    let (_dir, _path, file) = file();
    assert_eq!(with(&file, (0, 10), false, |_| panic!("read without a guard")), Read::NotMapped);
}
