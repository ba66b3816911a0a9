//! Several images in one OME-TIFF: tifffile finds each with its levels, names and well; whatever ends a run, going on ends with
//! the same file; what is bad or changed is told by image.

mod cli;

use std::time::Instant;

use cli::resumed::{is_deep, whole};
use cli::{Bench, tree};
use serde_json::{Value, json};

const LINE: &str = "convert plate.zarr out.ome.tif --levels 2 --chunk-shape 1,1,1,64,64";

/// A plate of four fields, made by zarr-python.
fn with_plate() -> Option<Bench> {
    let bench = Bench::new()?;
    bench.python("collections_kept.py", &["make", "plate", "plate.zarr"]).map(|_| bench)
}

fn scenes(bench: &Bench, path: &str) -> Vec<Value> {
    bench.json(&format!("inspect {path}"))["scenes"].as_array().unwrap().clone()
}

/// The checksums of the full resolution of every scene.
fn sums(bench: &Bench, path: &str) -> Vec<Value> {
    let found = bench.json(&format!("checksum {path}"))["scenes"].as_array().unwrap().clone();
    found.iter().map(|scene| scene["sha256"].clone()).collect()
}

#[test]
fn tifffile_finds_every_field_of_a_plate_with_its_levels_names_and_well() {
    let Some(bench) = with_plate() else { return };
    let plan = bench.json(&format!("plan {LINE}"));
    let report = bench.json(LINE);
    assert_eq!((&report["units"]["written"], &report["plan_hash"]), (&plan["units"], &plan["plan_hash"]));
    assert_eq!(report["forecast"]["tasks"], report["tasks"]["run"]);
    let Some(found) = bench.python("images_of_tiff.py", &["out.ome.tif"]) else { return };
    let found = found.as_array().unwrap();
    let own = scenes(&bench, "out.ome.tif");
    assert_eq!((found.len(), own.len()), (4, 4));
    for (n, (found, sum)) in found.iter().zip(sums(&bench, "plate.zarr")).enumerate() {
        let levels = found["levels"].as_array().unwrap();
        assert_eq!((levels.len(), &levels[0]), (2, &sum), "image {n}");
        bench.text(&format!("convert out.ome.tif level.ome.tif --scene {n} --level 1 --levels 1 --overwrite"));
        assert_eq!(levels[1].as_str().unwrap(), bench.sum("level.ome.tif"), "image {n}");
        assert_eq!(found["channels"], json!(["A", "B"]));
        assert_eq!(found["well"], json!(["screen", 0, n / 2, n % 2]), "image {n}");
        assert_eq!(own[n]["name"], found["name"]);
    }
    bench.text("convert out.ome.tif back.ome.zarr");
    assert_eq!(sums(&bench, "back.ome.zarr"), sums(&bench, "plate.zarr")[..4]);
    // A scene that is named is alone, as it was.
    bench.text("convert plate.zarr one.ome.tif --scene A/2/1");
    assert_eq!(scenes(&bench, "one.ome.tif").len(), 1);
}

#[test]
fn images_of_any_shape_and_type_come_through_every_compression() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("many_images.py", &["make", "many.ome.tif"]).is_none() {
        return;
    }
    for compression in ["none", "deflate", "lzw", "zstd"] {
        let out = format!("{compression}.ome.tif");
        let report = bench.json(&format!("convert many.ome.tif {out} --compression {compression} --levels 2"));
        let lost = report["not_kept"].as_array().unwrap();
        assert!(
            lost.len() == 1 && lost[0]["text"].as_str().unwrap().starts_with("LightPath of the OME-XML"),
            "{lost:?}"
        );
        assert_eq!(sums(&bench, &out), sums(&bench, "many.ome.tif"), "{compression}");
        let found = bench.python("images_of_tiff.py", &[&out]).unwrap();
        let kinds: Vec<_> = found.as_array().unwrap().iter().map(|image| (&image["dtype"], &image["shape"])).collect();
        let expected = [("uint16", json!([3, 70, 90])), ("uint8", json!([2, 50, 40])), ("float32", json!([300, 310]))];
        for (found, (dtype, shape)) in kinds.iter().zip(&expected) {
            assert_eq!((found.0, found.1), (&json!(dtype), shape));
        }
    }
    let ran = bench.run(&["convert", "many.ome.tif", "one.ome.tif", "--scene", "1"]);
    let lost =
        "not kept: 2 scenes: image 0, image 2; convert without --scene, --region, --level and --axes to keep all";
    assert!(ran.code == 0 && ran.stderr.contains(lost), "{}", ran.stderr);
    let ran = bench.run(&["convert", "many.ome.tif", "part.ome.tif", "--region", "y=0:10"]);
    assert!(ran.code == 2 && ran.stderr.contains("3 scenes; say which with --scene"), "{}", ran.stderr);
}

#[test]
fn no_byte_depends_on_how_it_was_run() {
    let Some(bench) = with_plate() else { return };
    bench.text(LINE);
    let gold = whole(&bench.path("out.ome.tif"));
    for way in ["--threads 1", "--threads 7", "--memory 3MiB", "--durability none", "--chunk-dims 100KiB"] {
        bench.text(&format!("{} {way}", LINE.replace("out", "other")));
        assert!(whole(&bench.path("other.ome.tif")) == gold, "{way}");
        std::fs::remove_file(bench.path("other.ome.tif")).unwrap();
    }
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_bytes() {
    let Some(bench) = with_plate() else { return };
    let start = Instant::now();
    bench.text(LINE);
    let all = start.elapsed();
    let gold = whole(&bench.path("out.ome.tif"));
    std::fs::create_dir(bench.path("work")).unwrap();
    let line = format!("{} --quiet", LINE.replace("out", "work/out"));
    let words: Vec<&str> = line.split_whitespace().collect();
    let (mut resumed, moments) = (0, if is_deep() { 50 } else { 12 });
    for n in 0..moments {
        let mut child = bench.command(&words).spawn().unwrap();
        std::thread::sleep(all.mul_f64((f64::from(n) + 0.5) / f64::from(moments)));
        child.kill().unwrap();
        child.wait().unwrap();
        let finished = bench.path("work/out.ome.tif").exists();
        let report = bench.json(&format!("{line} --resume"));
        let units = |key: &str| report["units"][key].as_u64().unwrap();
        assert_eq!(units("written") + units("resumed"), units("planned"), "{report}");
        resumed += u64::from(!finished && units("resumed") > 0);
        assert!(whole(&bench.path("work/out.ome.tif")) == gold, "killed at moment {n} of {moments}");
        assert_eq!(tree(&bench.path("work")).len(), 1, "killed at moment {n}: nothing but the output is left");
        std::fs::remove_file(bench.path("work/out.ome.tif")).unwrap();
    }
    assert!(resumed > 0, "some moments of {all:?} lay between the first unit and the last");
}

#[test]
fn a_finished_file_is_known_again_and_verified_by_image() {
    let Some(bench) = with_plate() else { return };
    let report = bench.json(LINE);
    let (planned, before) = (report["units"]["planned"].clone(), bench.tree());
    let again = bench.json(&format!("{LINE} --resume"));
    assert_eq!(again["units"], json!({"planned": planned, "written": 0, "resumed": planned}));
    let words: Vec<&str> = LINE.split(' ').collect();
    for more in [&["--resume", "--compression", "lzw"][..], &["--resume", "--channel-names", "X,Y"], &[]] {
        assert_eq!(bench.run(&[&words[..], more].concat()).code, 5, "{more:?}");
    }
    assert!(bench.tree() == before, "nothing was touched");
    let right = bench.json("verify out.ome.tif");
    assert_eq!((&right["equal"], &right["units"]), (&json!(true), &planned));

    // A byte of the last tile of the last image: the tables stand behind it.
    let mut bytes = std::fs::read(bench.path("out.ome.tif")).unwrap();
    let first = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
    bytes[first - 9] ^= 1;
    std::fs::write(bench.path("out.ome.tif"), &bytes).unwrap();
    let ran = bench.run(&["verify", "out.ome.tif"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (9, 2), "{}", ran.stdout);
    assert!(ran.stdout.contains("  image 3 level 1 unit t=0 c=1 z=1 y=2 x=4 ("), "{}", ran.stdout);
}

#[test]
fn bad_planes_are_listed_by_image_and_told_again() {
    let Some(bench) = with_plate() else { return };
    for image in ["A/1/0", "A/2/1"] {
        std::fs::write(bench.path("plate.zarr").join(image).join("0/0.1.1.0.0"), b"no chunk").unwrap();
    }
    let words = LINE.split(' ').chain(["--on-error", "quarantine", "--json"]).collect::<Vec<_>>();
    let run = |more: &[&str]| {
        let ran = bench.run(&[&words[..], more].concat());
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["quarantine"].clone()
    };
    let listed = run(&[]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(run(&["--resume"]), listed, "a finished file tells it again");
    let verified = bench.text("verify out.ome.tif");
    assert!(verified.contains("planes were left out when it was made"), "{verified}");
}
