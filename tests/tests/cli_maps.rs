//! `--io pread` and `--io mmap`: the same bytes, the same memory, and a file that is cut or replaced at any moment ends a run
//! with code 7 or an error in words, never by a signal, and never with an output.
//!
//! How pixels were read is seen in the process: a map of the input is among those that the system lists.

mod cli;
mod watched;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use cli::Bench;
use cli::resumed::is_deep;

const WIDTH: u32 = 1500;
const HEIGHT: u32 = 1024;
/// So that strips lie neither on pages of memory nor on each other's multiples.
const STRIP: u32 = 100;

/// Writes a `TIFF` of raw pages of 16 bits, which fill 3 MiB each.
fn write_raw(path: &Path, pages: u32) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let strips = HEIGHT.div_ceil(STRIP);
    let page_bytes = WIDTH * HEIGHT * 2;
    let head = 2 + 9 * 12 + 4 + 8 * strips;
    out.write_all(b"II*\0\x08\0\0\0").unwrap();
    for page in 0..pages {
        let at = 8 + page * (head + page_bytes);
        let lists = at + head - 8 * strips;
        let next = if page + 1 == pages { 0 } else { at + head + page_bytes };
        out.write_all(&9u16.to_le_bytes()).unwrap();
        let tags = [
            (256u16, 1, WIDTH),
            (257, 1, HEIGHT),
            (258, 1, 16),
            (259, 1, 1),
            (262, 1, 1),
            (273, strips, lists),
            (277, 1, 1),
            (278, 1, STRIP),
            (279, strips, lists + 4 * strips),
        ];
        for (tag, count, value) in tags {
            out.write_all(&tag.to_le_bytes()).unwrap();
            out.write_all(&4u16.to_le_bytes()).unwrap();
            out.write_all(&[count.to_le_bytes(), value.to_le_bytes()].concat()).unwrap();
        }
        out.write_all(&next.to_le_bytes()).unwrap();
        (0..strips).for_each(|n| out.write_all(&(at + head + n * STRIP * WIDTH * 2).to_le_bytes()).unwrap());
        let rows = |n: u32| STRIP.min(HEIGHT - n * STRIP);
        (0..strips).for_each(|n| out.write_all(&(rows(n) * WIDTH * 2).to_le_bytes()).unwrap());
        let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
            .flat_map(|n| ((n.wrapping_mul(2_654_435_761) >> 13) as u16 ^ (page * 77) as u16).to_le_bytes())
            .collect();
        out.write_all(&pixels).unwrap();
    }
    out.flush().unwrap();
}

fn ends(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_mins(1), "it hangs");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn maps_give_the_bytes_and_take_the_memory_that_reads_do() {
    let Some(bench) = Bench::new() else { return };
    write_raw(&bench.path("raw.tif"), 40);
    let project = ["project", "raw.tif", "out.ome.zarr", "--axis", "z", "--overwrite", "--memory", "64MiB"];
    let convert =
        ["convert", "raw.tif", "out.ome.zarr", "--region", "x=3:700,y=90:999", "--overwrite", "--memory", "64MiB"];
    for line in [&project[..], &convert[..]] {
        let mut sums = Vec::new();
        for io in ["pread", "mmap", "auto"] {
            let (output, anonymous) =
                watched::watched(bench.command(&[line, &["--io", io, "--threads", "2"]].concat()));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            // The promise: the budget and a twentieth, 64 MiB, and 8 MiB a thread.
            assert!(anonymous < (67 + 64 + 16) << 20, "{io}: {} MiB", anonymous >> 20);
            sums.push(bench.sum("out.ome.zarr"));
        }
        assert!(sums[0] == sums[1] && sums[0] == sums[2], "{line:?}: {sums:?}");
    }
}

/// Whether a process has the file mapped at some moment until it ends.
#[test]
fn pixels_are_mapped_where_that_was_asked_for_and_only_there() {
    let Some(bench) = Bench::new() else { return };
    write_raw(&bench.path("raw.tif"), 40);
    for (io, expected) in [("mmap", true), ("pread", false)] {
        let mut command = bench.command(&["checksum", "raw.tif", "--threads", "1"]);
        let mut child = command.env("MICROTOME_IO", io).stdout(std::process::Stdio::null()).spawn().unwrap();
        let maps = format!("/proc/{}/maps", child.id());
        let mut seen = false;
        while child.try_wait().unwrap().is_none() {
            seen |= std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("raw.tif"));
        }
        assert_eq!(seen, expected, "{io}");
    }
}

/// Does something to the input at moments of a run.
fn changed(io: &str, name: &str, change: impl Fn(&Path)) {
    let Some(bench) = Bench::new() else { return };
    let (whole, input) = (bench.path("whole.tif"), bench.path("input.tif"));
    write_raw(&whole, 20);
    write_raw(&bench.path("other.tif"), 1);
    let other = bench.sum("other.tif");
    let line =
        |input| ["convert", input, "out.ome.zarr", "--compression", "none", "--io", io, "--threads", "2", "--quiet"];
    let start = Instant::now();
    let ran = bench.run(&line("whole.tif"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (takes, gold) = (start.elapsed(), bench.sum("out.ome.zarr"));
    std::fs::remove_dir_all(bench.path("out.ome.zarr")).unwrap();
    let moments = if is_deep() { 100 } else { 10 };
    let mut noticed = 0;
    for n in 0..moments {
        std::fs::copy(&whole, &input).unwrap();
        let mut command = bench.command(&line("input.tif"));
        let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(takes * n / moments);
        change(&input);
        let output = ends(child);
        let what = format!("{name} after {n}/{moments} of a run by {io}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), None, "{what}: {complaint}");
        match output.status.code() {
            // Of the one file or, where it came before the run, of the other; never of both.
            Some(0) => assert!([&gold, &other].contains(&&bench.sum("out.ome.zarr")), "{what}"),
            // Before its headers were read, it is a file like any other, and a damaged one.
            Some(code @ (4 | 7)) => {
                assert!(complaint.starts_with("error: ") && complaint.contains("input.tif"), "{what}: {complaint}");
                assert!(!bench.path("out.ome.zarr").exists(), "{what}");
                noticed += u32::from(code == 7);
            }
            code => panic!("{what}: {code:?} {complaint}"),
        }
        let left = std::fs::read_dir(bench.path(".")).unwrap().map(|entry| entry.unwrap().path());
        for path in left.filter(|path| path.to_string_lossy().contains("out.ome.zarr")) {
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
    }
    assert!(noticed > 0, "{name} by {io}: it was never noticed");
}

fn cut(input: &Path) {
    std::fs::OpenOptions::new().write(true).open(input).unwrap().set_len(4096).unwrap();
}

fn replace(input: &Path) {
    let other = input.with_extension("new");
    std::fs::copy(input.with_file_name("other.tif"), &other).unwrap();
    std::fs::rename(&other, input).unwrap();
}

#[test]
fn a_mapped_file_that_is_cut_ends_no_process() {
    changed("mmap", "cut", cut);
}

#[test]
fn a_mapped_file_that_is_replaced_ends_no_process() {
    changed("mmap", "replaced", replace);
}

#[test]
fn a_file_that_is_cut_or_replaced_is_noticed_without_maps_too() {
    changed("pread", "cut", cut);
    changed("pread", "replaced", replace);
}
