//! Verbs of the command line on images behind URLs: HTTP, HTTPS with an authority of its own, Google's storage; what a
//! changed source, a slow server and a missing certificate end in.

mod cli;
mod served;

use std::path::Path;
use std::time::{Duration, Instant};

use cli::{Bench, Ran, repository};
use serde_json::Value;
use served::python::Served;
use served::{Server, Trick};

const V2: &str = "ome-zarr-0.4.zarr";
const V3: &str = "ome-zarr-0.5-sharded.zarr";

fn server() -> Server {
    Server::of(&repository().join("fixtures"))
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    for (path, bytes) in cli::tree(from) {
        let path = to.join(path);
        match bytes {
            Some(bytes) => std::fs::create_dir_all(path.parent().unwrap()).and_then(|()| std::fs::write(path, bytes)),
            None => std::fs::create_dir_all(path),
        }
        .unwrap();
    }
}

/// What a verb says, without what tells the input's place.
fn without_place(mut value: Value) -> Value {
    // Bytes are those of the documents that were asked for, which are fewer behind a URL.
    for key in ["path", "files", "bytes"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

#[test]
fn every_verb_takes_a_url_and_says_what_it_says_of_the_folder() {
    let Some(bench) = Bench::new() else { return };
    let server = server();
    for name in [V2, V3] {
        let url = server.at(name);
        for verb in ["inspect", "checksum"] {
            let (here, there) = (bench.json(&format!("{verb} fixtures/{name}")), bench.json(&format!("{verb} {url}")));
            assert_eq!(there["path"], url.as_str());
            assert_eq!(without_place(here), without_place(there), "{verb} {name}");
        }
        let plan = bench.json(&format!("plan convert {url} planned.ome.zarr"));
        assert!(plan["tasks"]["graph"].as_u64().unwrap() > 0, "{plan}");
        let out = format!("copy-{name}");
        bench.json(&format!("convert {url} {out}"));
        bench.json(&format!("convert {url} {out}.ome.tif"));
        bench.json(&format!("project {url} mip-{out} --axis z"));
        bench.json(&format!("project fixtures/{name} here-{out} --axis z"));
        for pair in [format!("{url} {out}"), format!("{out}.ome.tif {url}"), format!("mip-{out} here-{out}")] {
            let verified = bench.json(&format!("verify {pair}"));
            assert_eq!(verified["equal"], true, "{pair}: {verified}");
        }
        bench.json(&format!("thumbnail {url} {out}.png"));
        bench.json(&format!("thumbnail fixtures/{name} here-{out}.png"));
        let read = |name: String| std::fs::read(bench.path(&name)).unwrap();
        assert_eq!(read(format!("{out}.png")), read(format!("here-{out}.png")));
    }
}

#[test]
fn what_a_url_cannot_be_is_told_with_its_code() {
    let Some(bench) = Bench::new() else { return };
    let server = server();
    for (line, words) in [
        (format!("inspect {}", server.at("cells.ome.tif")), "reading a TIFF behind a URL is not supported"),
        (format!("inspect {}", server.at("none.zarr")), "none of zarr.json, .zattrs"),
        ("inspect https://me:hunter2@host/a.zarr".to_owned(), "a user in a URL"),
        (format!("verify {}", server.at(V2)), "compare it with another image"),
    ] {
        let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 4, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words) && !ran.stderr.contains("hunter2"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_source_that_changes_ends_a_run_with_the_code_of_a_changed_file() {
    let Some(bench) = Bench::new() else { return };
    copy(&repository().join("fixtures").join(V3), &bench.path("in.zarr"));
    let document = bench.path("in.zarr/0/zarr.json");
    let server = Server::playing(&bench.path(""), move |request| {
        if request.path.contains("/c/") {
            let text = std::fs::read(&document).unwrap();
            std::fs::write(&document, [&text[..], b" "].concat()).unwrap();
        }
        None
    });
    let ran = bench.run(&["convert", &server.at("in.zarr"), "out.ome.zarr"]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("changed while it was being read"), "{}", ran.stderr);
    assert!(!bench.path("out.ome.zarr").exists());
}

#[test]
fn a_run_whose_server_fails_goes_on_from_where_it_was() {
    let Some(bench) = Bench::new() else { return };
    copy(&repository().join("fixtures").join(V2), &bench.path("in.zarr"));
    bench.json("convert in.zarr whole.ome.zarr --chunk-shape 1,1,1,32,32 --shard-shape 1,1,1,32,32");
    let folder = bench.path("");
    let flaky = Server::playing(&folder.clone(), move |request| {
        let is_last = request.path.contains("/in.zarr/0/1/1/1/");
        (is_last && !std::path::Path::new(&folder).join("mended").exists()).then_some(Trick::Status(403))
    });
    let url = flaky.at("in.zarr");
    let flags = ["--chunk-shape", "1,1,1,32,32", "--shard-shape", "1,1,1,32,32", "--threads", "1"];
    let ran = bench.run(&[&["convert", &url, "out.ome.zarr"], &flags[..]].concat());
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("HTTP status 403"), "{}", ran.stderr);
    std::fs::write(bench.path("mended"), "").unwrap();
    let line = format!("convert {url} out.ome.zarr {} --resume", flags.join(" "));
    let done = bench.json(&line);
    assert!(done["units"]["resumed"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(bench.json("verify whole.ome.zarr out.ome.zarr")["equal"], true);
}

#[test]
fn a_slow_server_is_waited_for_no_longer_than_is_said() {
    let Some(bench) = Bench::new() else { return };
    let slow = Server::playing(&repository().join("fixtures"), |_| Some(Trick::Late(Duration::from_mins(10))));
    let mut command = bench.command(&["inspect", &slow.at(V2)]);
    let start = Instant::now();
    let ran = Ran::of(command.env("MICROTOME_REMOTE_TIMEOUT", "0.3"));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("MICROTOME_REMOTE_TIMEOUT"), "{}", ran.stderr);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn https_is_spoken_with_authorities_that_are_trusted_and_with_no_others() {
    let Some(bench) = Bench::new() else { return };
    let fixtures = repository().join("fixtures");
    let Some(served) = Served::start("https_server.py", &[fixtures.to_str().unwrap()]) else { return };
    let url = format!("{}/{V2}", served.says["url"].as_str().unwrap());
    let trusting = |bench: &Bench| {
        let mut command = bench.command(&["checksum", &url, "--json"]);
        command.env("SSL_CERT_FILE", served.says["authority"].as_str().unwrap());
        Ran::of(&mut command)
    };
    let ran = trusting(&bench);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let there: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(there["scenes"], bench.json(&format!("checksum fixtures/{V2}"))["scenes"]);
    let ran = bench.run(&["checksum", &url]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("SSL_CERT_FILE"), "{}", ran.stderr);
}

#[test]
fn google_storage_is_read_through_the_endpoint_of_its_emulators() {
    let Some(bench) = Bench::new() else { return };
    std::os::unix::fs::symlink(repository().join("fixtures"), bench.path("bucket")).unwrap();
    let server = Server::of(&bench.path(""));
    for name in [V2, V3] {
        let mut command = bench.command(&["checksum", &format!("gs://bucket/{name}"), "--json"]);
        let ran = Ran::of(command.env("STORAGE_EMULATOR_HOST", &server.url));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let there: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(there["scenes"], bench.json(&format!("checksum fixtures/{name}"))["scenes"]);
    }
}
