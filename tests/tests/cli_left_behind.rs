//! What a run leaves that failed or was killed: a message that names the place, and nothing that looks finished.

mod cli;

use cli::Bench;

fn fails(bench: &Bench, args: &[&str], code: i32, parts: &[&str]) {
    let before = bench.tree();
    let ran = bench.run(args);
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{args:?}: {}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{args:?}: `{part}` is not in {}", ran.stderr);
    }
    assert!(bench.tree() == before, "{args:?} left something behind");
}

#[test]
fn a_truncated_file_names_page_strip_and_sizes() {
    let Some(bench) = Bench::new() else { return };
    // The strips of this sample lie behind its page; the last of seven is cut.
    let bytes = std::fs::read(bench.path("fixtures/plain.tif")).unwrap();
    let (whole, cut) = (bytes.len(), bytes.len() - 100);
    std::fs::write(bench.path("cut.tif"), &bytes[..cut]).unwrap();
    let parts = ["page 0", "strip 6", "truncated", &cut.to_string(), &whole.to_string()];
    for args in [&["checksum", "cut.tif"][..], &["convert", "cut.tif", "out.zarr"]] {
        fails(&bench, args, 4, &parts);
    }
    assert_eq!(bench.run(&["inspect", "cut.tif"]).code, 0, "its header is whole");
}

#[test]
fn an_unsupported_codec_names_its_tag_and_code() {
    let Some(bench) = Bench::new() else { return };
    let mut bytes = std::fs::read(bench.path("fixtures/plain.tif")).unwrap();
    // The entry of tag 259 (Compression), type 3 (SHORT), one value: 5 (LZW) becomes an unknown code.
    let entry = [3, 1, 3, 0, 1, 0, 0, 0, 5, 0];
    let at = bytes.windows(entry.len()).position(|window| window == entry).unwrap();
    bytes[at + 8..at + 10].copy_from_slice(&60_000_u16.to_le_bytes());
    std::fs::write(bench.path("odd.tif"), bytes).unwrap();
    fails(&bench, &["convert", "odd.tif", "out.zarr"], 4, &["tag 259", "60000", "not supported"]);
}

#[test]
fn a_killed_run_leaves_a_partial_and_no_output() {
    let Some(bench) = Bench::new() else { return };
    // Whichever comes first, the end of the run or the signal: what stands under the name of the output is whole.
    for wait in [0, 2, 5, 10] {
        let args =
            ["convert", "fixtures/cells.ome.tif", "out.ome.zarr", "--threads", "1", "--chunk-shape", "1,1,1,8,8"];
        let mut child = bench.command(&[&args[..], &["--shard-shape", "none"]].concat());
        let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if bench.path("out.ome.zarr").exists() {
            assert_eq!(bench.sum("out.ome.zarr"), bench.sum("fixtures/cells.ome.tif"));
        }
        bench.text("convert fixtures/cells.ome.tif out.ome.zarr --overwrite");
        let names: Vec<String> =
            bench.tree().iter().map(|(path, _)| path.display().to_string()).filter(|p| !p.contains('/')).collect();
        assert_eq!(names, ["out.ome.zarr"], "--overwrite clears what was left");
        std::fs::remove_dir_all(bench.path("out.ome.zarr")).unwrap();
    }
}
