//! Images in an S3 server: read as from a folder, with credentials and without, and what is said where there are none; and
//! written, with the bytes of a local output, whatever happens on the way.

mod bucket;
mod cli;
mod served;

use std::path::PathBuf;
use std::time::Duration;

use bucket::{Bucket, V2, V3, url};
use cli::Ran;

#[test]
fn images_in_a_bucket_are_read_as_from_a_folder() {
    let Some(bucket) = Bucket::new() else { return };
    for name in [V2, V3] {
        let there = bucket.json(&format!("checksum {}", url(name)));
        assert_eq!(there["scenes"], bucket.bench.json(&format!("checksum fixtures/{name}"))["scenes"]);
        let verified = bucket.json(&format!("verify {} fixtures/{name}", url(name)));
        assert_eq!(verified["equal"], true, "{verified}");
        let inspected = bucket.json(&format!("inspect {}", url(name)));
        assert_eq!(inspected["path"], url(name).as_str());
    }
    let missing = bucket.run(&format!("inspect {}", url("none.zarr")));
    assert!(missing.code == 4 && missing.stderr.contains("404"), "{}", missing.stderr);
}

#[test]
fn folders_without_metadata_of_their_own_are_listed_in_a_bucket() {
    let Some(bucket) = Bucket::new() else { return };
    // The bucket's own top is no group; the image below it has no document but those of its levels.
    let mut bucket = bucket;
    bucket.server.ask(&format!("delete {V2}/.zattrs"));
    let there = bucket.json(&format!("inspect {}", url(V2)));
    assert_eq!(there["scenes"].as_array().unwrap().len(), 2, "each level is an array now: {there}");
}

#[test]
fn who_may_not_is_told_what_to_set_and_no_secret_is_told() {
    let Some(bucket) = Bucket::new() else { return };
    let mut command = bucket.command(&format!("inspect {}", url(V2)));
    let plain = Ran::of(command.env_remove("AWS_ALLOW_HTTP"));
    assert!(plain.code == 4 && plain.stderr.contains("AWS_ALLOW_HTTP=true"), "{}", plain.stderr);
    let forbidding = served::Server::playing(&bucket.bench.path(""), |_| Some(served::Trick::Status(403)));
    let mut command = bucket.command(&format!("inspect {}", url(V2)));
    let forbidden = Ran::of(command.env("AWS_ENDPOINT_URL", &forbidding.url));
    assert_eq!(forbidden.code, 4);
    for words in ["HTTP status 403", "AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "s3:ListBucket"] {
        assert!(forbidden.stderr.contains(words), "{words}: {}", forbidden.stderr);
    }
    let anonymous = Ran::of(
        bucket
            .command(&format!("inspect {} --log-level trace", url(V2)))
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env("AWS_SKIP_SIGNATURE", "true"),
    );
    assert_eq!(anonymous.code, 0, "{}", anonymous.stderr);
    let traced = bucket.run(&format!("inspect {} --log-level trace", url(V2)));
    assert_eq!(traced.code, 0, "{}", traced.stderr);
    for ran in [plain, forbidden, traced] {
        assert!(!ran.stderr.contains("canary-secret") && !ran.stdout.contains("canary-secret"));
    }
}

/// Many small objects of a level.
const SMALL: &str = "--chunk-shape 1,1,1,32,32 --shard-shape 1,1,1,32,32";

#[test]
fn an_output_in_a_bucket_has_the_bytes_of_one_here() {
    let Some(mut bucket) = Bucket::new() else { return };
    for (n, flags) in ["--levels 3", "--ngff-version 0.4 --levels 2", SMALL].into_iter().enumerate() {
        let (there, here) = (format!("out-{n}.ome.zarr"), format!("here-{n}.ome.zarr"));
        let told = bucket.json(&format!("convert fixtures/cells.ome.tif {} {flags}", url(&there)));
        assert_eq!(told["output"], url(&there).as_str());
        bucket.bench.json(&format!("convert fixtures/cells.ome.tif {here} {flags}"));
        bucket.same_as_here(&there, &here);
        assert_eq!(bucket.json(&format!("verify {} {here}", url(&there)))["equal"], true);
        assert_eq!(bucket.left(), Vec::<PathBuf>::new());
    }
    bucket.json(&format!("project fixtures/{V3} {} --axis z", url("mip.ome.zarr")));
    bucket.bench.json(&format!("project fixtures/{V3} mip.ome.zarr --axis z"));
    bucket.same_as_here("mip.ome.zarr", "mip.ome.zarr");
    bucket.json(&format!("convert {} {}", url(V3), url("copy.ome.zarr")));
    assert_eq!(bucket.json(&format!("verify {} fixtures/{V3}", url("copy.ome.zarr")))["equal"], true);
}

#[test]
fn large_objects_are_put_in_parts() {
    let Some(mut bucket) = Bucket::new() else { return };
    // Raw pixels in one shard: 2 × 3 × 8 × 160 × 192 of 8 bytes are 23 MiB, and more than two parts of a plane's stack.
    let flags = "--compression none --dtype float64 --chunk-shape 1,1,8,160,192 --shard-shape 2,3,8,160,192";
    bucket.json(&format!("convert fixtures/cells.ome.tif {} {flags}", url("large.ome.zarr")));
    bucket.bench.json(&format!("convert fixtures/cells.ome.tif large.ome.zarr {flags}"));
    let keys = bucket.keys("large.ome.zarr");
    assert!(keys["0/c/0/0/0/0/0"] > 10 << 20, "{keys:?}");
    bucket.same_as_here("large.ome.zarr", "large.ome.zarr");
    assert_eq!(bucket.server.ask("uploads"), 0);
}

#[test]
fn what_is_there_is_not_replaced_unless_it_is_said() {
    let Some(mut bucket) = Bucket::new() else { return };
    let out = url("out.ome.zarr");
    let line = format!("convert fixtures/cells.ome.tif {out}");
    bucket.json(&line);
    let again = bucket.run(&line);
    assert!(again.code == 5 && again.stderr.contains("exists already"), "{}", again.stderr);
    let resumed = bucket.json(&format!("{line} --resume"));
    assert_eq!(resumed["units"]["written"], 0);
    let other = bucket.run(&format!("{line} --region z=0:2 --resume"));
    assert!(other.code == 5 && other.stderr.contains("another plan"), "{}", other.stderr);
    bucket.json(&format!("{line} --region z=0:2 --overwrite"));
    bucket.bench.json("convert fixtures/cells.ome.tif here.ome.zarr --region z=0:2");
    bucket.same_as_here("out.ome.zarr", "here.ome.zarr");
    // Objects that are no Zarr are not ours to remove.
    let foreign = bucket.run(&format!("convert fixtures/cells.ome.tif {} --overwrite", url(&format!("{V2}/0/0"))));
    assert_ne!(foreign.code, 0, "{}", foreign.stderr);
    let tiff = bucket.run(&format!("convert fixtures/cells.ome.tif {}", url("out.ome.tif")));
    assert!(tiff.code == 2 && tiff.stderr.contains("only OME-Zarr is written behind a URL"), "{}", tiff.stderr);
    let http = bucket.run("convert fixtures/cells.ome.tif http://127.0.0.1:1/out.ome.zarr");
    assert!(http.code == 2 && http.stderr.contains("nothing is written over http"), "{}", http.stderr);
}

#[test]
fn killed_on_its_way_an_output_is_none_and_is_gone_on_with_to_the_same_bytes() {
    let Some(mut bucket) = Bucket::new() else { return };
    let line = format!("convert fixtures/cells.ome.tif {} {SMALL} --levels 2", url("out.ome.zarr"));
    bucket.bench.json(&format!("convert fixtures/cells.ome.tif here.ome.zarr {SMALL} --levels 2"));
    for wanted in [40, 300] {
        let resume = if wanted > 40 { " --resume" } else { "" };
        let mut child = bucket.command(&format!("{line}{resume}")).spawn().unwrap();
        while bucket.keys("out.ome.zarr").len() < wanted {
            assert!(child.try_wait().unwrap().is_none(), "it ended before {wanted} objects were there");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let opened = bucket.run(&format!("inspect {}", url("out.ome.zarr")));
        assert_eq!(opened.code, 4, "an unfinished output is no image: {}", opened.stdout);
    }
    let refused = bucket.run(&line);
    assert!(refused.code == 5 && refused.stderr.contains("--resume goes on with it"), "{}", refused.stderr);
    // One unit is not as it was recorded any more, and one is gone.
    let keys: Vec<String> = bucket.keys("out.ome.zarr").into_keys().filter(|key| key.contains("/c/")).collect();
    bucket.server.ask(&format!("drop out.ome.zarr/{} 3", keys[0]));
    bucket.server.ask(&format!("delete out.ome.zarr/{}", keys[1]));
    let done = bucket.json(&format!("{line} --resume"));
    assert!(done["units"]["resumed"].as_u64().unwrap() > 100, "{done}");
    bucket.same_as_here("out.ome.zarr", "here.ome.zarr");
    assert_eq!(bucket.left(), Vec::<PathBuf>::new());
}
