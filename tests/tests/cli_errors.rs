//! What goes wrong is said in one or two lines, has the right exit code, and leaves nothing behind.

mod cli;

use cli::{Bench, Ran};

/// Runs a line that must fail with a code, saying each of the parts, and change nothing in the folder.
fn refused(bench: &Bench, line: &str, code: i32, parts: &[&str]) {
    let before = bench.tree();
    let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
    assert_eq!(ran.stdout, "", "{line}: standard output is for answers");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines.len() <= 2 && lines[0].starts_with("error: "), "{line}: {}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{line}: `{part}` is not in {}", ran.stderr);
    }
    assert!(bench.tree() == before, "{line} left something behind");
}

/// The verbs that read pixels or headers, on an input.
fn verbs(input: &str) -> [String; 5] {
    [
        format!("inspect {input}"),
        format!("checksum {input}"),
        format!("plan convert {input} out.zarr"),
        format!("convert {input} out.zarr"),
        format!("project {input} out.zarr --axis z"),
    ]
}

#[test]
fn a_missing_file() {
    let Some(bench) = Bench::new() else { return };
    for line in verbs("nothing.tif") {
        refused(&bench, &line, 4, &["nothing.tif does not exist"]);
    }
}

#[test]
fn what_is_no_image() {
    let Some(bench) = Bench::new() else { return };
    std::fs::create_dir(bench.path("folder")).unwrap();
    std::fs::write(bench.path("empty.tif"), "").unwrap();
    std::fs::write(bench.path("text.tif"), "not an image, whatever its name says").unwrap();
    for input in ["folder", "empty.tif", "text.tif"] {
        for line in verbs(input) {
            refused(&bench, &line, 4, &[input, "no image"]);
        }
    }
}

#[test]
fn a_truncated_file() {
    let Some(bench) = Bench::new() else { return };
    let whole = std::fs::read(bench.path("fixtures/imagej.tif")).unwrap();
    std::fs::write(bench.path("cut.tif"), &whole[..whole.len() / 2]).unwrap();
    for line in &verbs("cut.tif")[1..] {
        let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
        // A header that is whole can be planned with; its pixels cannot be read.
        if line.starts_with("plan") && ran.code == 0 {
            continue;
        }
        refused(&bench, line, 4, &["cut.tif"]);
    }
}

#[test]
fn a_damaged_strip_names_its_place() {
    let Some(bench) = Bench::new() else { return };
    let mut bytes = std::fs::read(bench.path("fixtures/cells.ome.tif")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 512].fill(0xff);
    std::fs::write(bench.path("damaged.ome.tif"), bytes).unwrap();
    let parts = ["damaged.ome.tif", "strip", "offset", "page"];
    refused(&bench, "checksum damaged.ome.tif", 4, &parts);
    // One write unit that cannot be made: nothing is finished that could be kept.
    refused(&bench, "convert damaged.ome.tif out.zarr --region t=0:2,c=0:3 --shard-shape 2,3,8,160,192", 4, &parts);
}

#[test]
fn what_was_finished_before_a_damaged_strip_is_kept() {
    let Some(bench) = Bench::new() else { return };
    let whole = std::fs::read(bench.path("fixtures/cells.ome.tif")).unwrap();
    let (mut damaged, middle) = (whole.clone(), whole.len() / 2);
    damaged[middle..middle + 512].fill(0xff);
    std::fs::write(bench.path("damaged.ome.tif"), damaged).unwrap();
    for verb in
        ["convert damaged.ome.tif out.zarr --threads 1", "project damaged.ome.tif out.zarr --axis z --threads 1"]
    {
        let ran = bench.run(&verb.split_whitespace().collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{verb}: {}", ran.stderr);
        for part in ["damaged.ome.tif", "strip", "offset", "page", "of 6 write units are kept", "--resume"] {
            assert!(ran.stderr.contains(part), "{verb}: `{part}` is not in {}", ran.stderr);
        }
        assert!(!bench.path("out.zarr").exists() && !bench.path("out.zarr.lock").exists());
        bench.text(&format!("{} --overwrite", verb.replace("damaged.ome.tif", "fixtures/cells.ome.tif")));
        std::fs::remove_dir_all(bench.path("out.zarr")).unwrap();
        let left: Vec<_> = bench.tree().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [std::path::Path::new("damaged.ome.tif")], "{verb}");
    }
}

#[test]
fn a_codec_that_is_not_read() {
    let Some(bench) = Bench::new() else { return };
    // One strip of one pixel whose tag says JPEG XR (34934).
    let entry = |tag: u16, value: u32| [&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat();
    let tags = [(256, 1), (257, 1), (258, 8), (259, 34934), (262, 1), (273, 4), (277, 1), (278, 1), (279, 4)];
    let mut tiff = [&b"II*\0\x08\0\0\0"[..], &(tags.len() as u16).to_le_bytes()].concat();
    tiff.extend(tags.iter().flat_map(|&(tag, value)| entry(tag, value)));
    tiff.extend([0; 4]);
    std::fs::write(bench.path("jxr.tif"), tiff).unwrap();
    for line in ["checksum jxr.tif", "convert jxr.tif out.zarr"] {
        refused(&bench, line, 4, &["jxr.tif", "not supported"]);
    }
}

#[test]
fn an_output_that_exists() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/plain.tif there.zarr");
    std::fs::create_dir(bench.path("folder.zarr")).unwrap();
    std::fs::write(bench.path("file.zarr"), "mine").unwrap();
    for out in ["there.zarr", "folder.zarr", "file.zarr"] {
        for verb in ["convert fixtures/cells.ome.tif", "plan convert fixtures/cells.ome.tif"] {
            refused(&bench, &format!("{verb} {out}"), 5, &[out, "exists already", "--overwrite"]);
        }
        refused(&bench, &format!("project fixtures/cells.ome.tif {out} --axis z"), 5, &[out, "exists already"]);
    }
}

#[test]
fn an_output_that_is_not_ours_to_replace() {
    let Some(bench) = Bench::new() else { return };
    std::fs::create_dir(bench.path("folder.zarr")).unwrap();
    std::fs::write(bench.path("folder.zarr/mine.txt"), "mine").unwrap();
    refused(&bench, "convert fixtures/plain.tif folder.zarr --overwrite", 5, &["folder.zarr", "no Zarr"]);
}

#[test]
fn an_unfinished_output() {
    let Some(bench) = Bench::new() else { return };
    std::fs::create_dir(bench.path("a.zarr.partial-0123456789ab")).unwrap();
    for verb in ["convert", "plan convert"] {
        refused(&bench, &format!("{verb} fixtures/plain.tif a.zarr"), 5, &["is an unfinished output", "--overwrite"]);
    }
    bench.text("convert fixtures/plain.tif a.zarr --overwrite");
    assert!(!bench.path("a.zarr.partial-0123456789ab").exists());
}

#[test]
fn an_output_in_no_folder() {
    let Some(bench) = Bench::new() else { return };
    for verb in ["convert", "plan convert"] {
        refused(&bench, &format!("{verb} fixtures/plain.tif no/such/folder/a.zarr"), 5, &["no/such/folder"]);
    }
}

#[test]
fn a_budget_too_small_names_the_smallest() {
    let Some(bench) = Bench::new() else { return };
    for verb in ["convert fixtures/cells.ome.tif out.zarr", "project fixtures/cells.ome.tif out.zarr --axis z"] {
        refused(&bench, &format!("{verb} --memory 1KiB"), 6, &["1024 bytes", "give --memory ", "or more"]);
    }
    // What it names is enough.
    let ran = bench.run(&["convert", "fixtures/cells.ome.tif", "out.zarr", "--memory", "1KiB"]);
    let smallest = ran.stderr.split("--memory ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    bench.text(&format!("convert fixtures/cells.ome.tif out.zarr --memory {smallest}"));
    // An output in the way is told first: a larger budget would not help.
    refused(&bench, "convert fixtures/cells.ome.tif out.zarr --memory 1KiB", 5, &["exists already"]);
}

#[test]
fn arguments_that_cannot_be_meant() {
    let Some(bench) = Bench::new() else { return };
    let convert = |rest: &str| format!("convert fixtures/cells.ome.tif {rest}");
    for (line, part) in [
        (convert("out.png"), "choose one with --region t=1,c=1,z=4, or see microtome thumbnail"),
        (convert("out.png --region t=0,c=0,z=0 --dtype float32"), "PNG has pixels of uint8 and uint16, not of float32"),
        (convert("out.png --region t=0,c=0,z=0 --levels 2"), "a PNG is one plane without levels"),
        (convert("out.ome.tif --compression blosc"), "it has deflate, lzw, zstd, none"),
        (convert("out.ome.tif --shard-shape none"), "--shard-shape is of OME-Zarr"),
        (convert("out"), "does not say a format"),
        (convert("out.zarr --ngff-version 0.4 --shard-shape 1,1,1,64,64"), "0.4 has no shards"),
        (convert("out.zarr --region z=8"), "axis Z"),
        (convert("out.zarr --region q=1"), "no axis"),
        (convert("out.zarr --level 1"), "level 1"),
        (convert("out.zarr --scene 3"), "no scene `3`"),
        (convert("out.zarr --chunk-shape YX"), "--chunk-shape"),
        (convert("out.zarr --chunk-shape 1,1,1,64,64 --shard-shape 1,1,1,100,100"), "out.zarr"),
        (convert("out.zarr --compression jpeg"), "zstd"),
        (convert("out.zarr --compression zstd --compression-level 99"), "1 to 22"),
        (convert("out.zarr --dtype uint7"), "uint7"),
        (convert("out.zarr --channel-names A,B"), "3 channels"),
        (convert("out.zarr --pixel-size z=-1"), "over 0"),
        (convert("out.zarr --memory lots"), "--memory"),
        (convert("out.zarr --threads 0"), "at least 1"),
        (convert(""), "<OUT>"),
        ("project fixtures/cells.ome.tif out.zarr".to_owned(), "--axis"),
        ("project fixtures/cells.ome.tif out.zarr --axis y".to_owned(), "t, c or z"),
        ("project fixtures/cells.ome.tif out.zarr --axis z --method mode".to_owned(), "mode"),
        ("inspect fixtures/cells.ome.tif --chunk-dims QX".to_owned(), "QX"),
        ("frobnicate".to_owned(), "frobnicate"),
    ] {
        refused(&bench, &line, 2, &[part]);
    }
}

#[test]
fn a_reader_of_standard_output_that_goes_is_no_error() {
    let Some(bench) = Bench::new() else { return };
    let paths = vec!["fixtures/cells.ome.tif"; 400];
    let mut command = bench.command(&[&["inspect"], &paths[..]].concat());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_full_disk_under_standard_output_is_said() {
    let Some(bench) = Bench::new() else { return };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let mut command = bench.command(&["inspect", "fixtures/cells.ome.tif"]);
    let output = command.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write to standard output"));
}

#[test]
fn every_verb_has_help() {
    let Some(bench) = Bench::new() else { return };
    for verb in [
        "",
        "inspect",
        "plan",
        "plan convert",
        "plan project",
        "convert",
        "project",
        "checksum",
        "cluster",
        "cluster local",
        "cluster check",
    ] {
        for flag in ["--help", "-h"] {
            let words: Vec<&str> = verb.split_whitespace().chain([flag]).collect();
            let Ran { code, stdout, stderr } = bench.run(&words);
            assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}");
            for part in ["Usage: microtome", "--json", "--memory"] {
                assert!(stdout.contains(part), "{words:?}: {part} is not in {stdout}");
            }
        }
    }
    assert!(bench.text("--version").starts_with("microtome "));
    assert!(bench.text("help convert").contains("--region"));
    assert_eq!(bench.run(&[]).code, 2);
}
