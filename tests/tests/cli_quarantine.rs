//! Runs that go on without what cannot be read: what the output says of it, killed or not, once or again.

mod cli;

use std::path::{Path, PathBuf};

use cli::resumed::records;
use cli::{Bench, Ran, tree};
use microtome::{Axis, ChunkGrid, Place, Region};
use serde_json::Value;

const GOES_ON: [&str; 3] = ["--on-error", "quarantine", "--json"];
/// Many units, of which the first holds what is bad.
const SMALL: &str = "--chunk-shape 1,1,1,40,48 --shard-shape none --levels 2";

/// A folder with a copy of a bundled image in which one strip of the first plane is destroyed.
fn damaged() -> Option<Bench> {
    let bench = Bench::new()?;
    let mut bytes = std::fs::read(cli::repository().join("fixtures/cells.ome.tif")).unwrap();
    let starts = |n: &usize| bytes[*n] == 0x78 && [0x01, 0x5e, 0x9c, 0xda].contains(&bytes[*n + 1]);
    let at = (8..bytes.len() - 1).find(starts).expect("the image is deflated");
    bytes[at] = 0xff;
    std::fs::create_dir(bench.path("in")).unwrap();
    std::fs::write(bench.path("in/bad.ome.tif"), &bytes).unwrap();
    Some(bench)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs a line of words that goes on without what is bad; gives its answer.
fn without(bench: &Bench, line: &str) -> Value {
    let ran = bench.run(&[&words(line)[..], &GOES_ON].concat());
    assert_eq!(ran.code, 3, "{line}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_finished_output_says_again_what_is_missing_in_it() {
    let Some(bench) = damaged() else { return };
    let line = "convert in/bad.ome.tif out.ome.zarr";
    let first = without(&bench, line);
    let listed = &first["quarantine"];
    assert_eq!(listed.as_array().unwrap().len(), 1, "{first}");
    assert_eq!(listed[0]["path"], "bad.ome.tif", "as seen from the folder of the image");
    assert!(listed[0]["reason"].as_str().unwrap().starts_with("bad.ome.tif: "), "{listed}");
    assert_eq!(listed[0]["task"], Value::Null);
    let kept = std::fs::read_to_string(bench.path("out.ome.zarr/.microtome/quarantine.json")).unwrap();
    let kept_json: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(&kept_json["planes"], listed);
    assert_eq!(kept_json["units"], first["tasks"]["quarantined"]);
    assert!(!kept.contains(bench.path("").to_str().unwrap()), "no folder of this machine is in it");
    let record = std::fs::read_to_string(bench.path("out.ome.zarr/.microtome/complete.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(
        (&record["quarantine"]["path"], &record["quarantine"]["unit"][0]),
        (&"quarantine.json".into(), &kept.len().into())
    );

    // Also where the run that asks would not have gone on.
    for more in [&["--on-error", "quarantine"][..], &[]] {
        let again = [&words(line)[..], &["--resume"], more].concat();
        let ran = bench.run(&again);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stdout.contains("but for 1 plane; there was nothing to do"), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("left out t={} c=", listed[0]["t"])), "{}", ran.stdout);
        let ran = bench.run(&[&again[..], &["--json"]].concat());
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &answer["quarantine"]), (3, listed));
        assert_eq!(answer["tasks"]["quarantined"], first["tasks"]["quarantined"]);
        assert_eq!(
            (answer["units"]["written"].clone(), &answer["units"]["resumed"]),
            (0.into(), &first["units"]["planned"])
        );
    }

    std::fs::write(bench.path("out.ome.zarr/.microtome/quarantine.json"), kept.replace("\"z\": 0", "\"z\": 1"))
        .unwrap();
    let ran = bench.run(&[&words(line)[..], &["--resume"]].concat());
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("the list of what is missing in the output is damaged"), "{}", ran.stderr);
    std::fs::remove_file(bench.path("out.ome.zarr/.microtome/quarantine.json")).unwrap();
    assert_eq!(bench.run(&[&words(line)[..], &["--resume"]].concat()).code, 5);

    // The same from elsewhere, on other threads, with another budget: the same bytes.
    let absolute = bench.path("in/bad.ome.tif");
    without(&bench, &format!("convert {} again.ome.zarr --threads 3 --memory 64MiB", absolute.display()));
    without(&bench, &format!("{line} --overwrite --threads 1"));
    assert!(tree(&bench.path("again.ome.zarr")) == tree(&bench.path("out.ome.zarr")));
    let clean = bench.json("convert fixtures/cells.ome.tif clean.ome.zarr");
    assert_eq!(clean["quarantine"], Value::Array(Vec::new()));
    assert!(!bench.path("clean.ome.zarr/.microtome/quarantine.json").exists());
}

fn journal(bench: &Bench) -> PathBuf {
    let found = std::fs::read_dir(bench.path("work")).unwrap().map(|entry| entry.unwrap().path());
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|end| end == "journal");
    found.into_iter().find(is_journal).unwrap_or_default()
}

/// Kills a run after some units, goes on, and compares with a run that nothing happened to.
fn killed(bench: &Bench, line: &str, units: u64) {
    let gold = without(bench, &line.replace("OUT", "gold.ome.zarr"));
    let gold_tree = tree(&bench.path("gold.ome.zarr"));
    std::fs::create_dir(bench.path("work")).unwrap();
    let line = line.replace("OUT", "work/out.ome.zarr");
    let run = [&words(&line)[..], &GOES_ON, &["--quiet", "--durability", "unit", "--threads", "1"]].concat();
    let mut command = bench.command(&run);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    while records(&journal(bench)) < units {
        assert!(child.try_wait().unwrap().is_none(), "it is killed before its end");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("work/out.ome.zarr").exists());
    let kept = records(&journal(bench));

    // One that would not go on without, or does otherwise about it, is told so and changes nothing.
    let stopping = bench.run(&[&words(&line)[..], &["--resume"]].concat());
    assert!(line.contains("skip") || stopping.code == 4, "{}", stopping.stderr);
    let report = without(bench, &format!("{line} --resume --durability unit"));
    assert!(report["units"]["resumed"].as_u64().unwrap() >= kept.min(units), "{report}");
    assert_eq!(report["quarantine"], gold["quarantine"]);
    assert_eq!(report["tasks"]["quarantined"], gold["tasks"]["quarantined"]);
    assert!(tree(&bench.path("work/out.ome.zarr")) == gold_tree, "the same files, the list among them");
    let left: Vec<_> = std::fs::read_dir(bench.path("work")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["out.ome.zarr"]);
    std::fs::remove_dir_all(bench.path("work")).unwrap();
    std::fs::remove_dir_all(bench.path("gold.ome.zarr")).unwrap();
}

#[test]
fn a_run_that_was_killed_ends_with_the_bytes_and_the_list_of_one_that_was_not() {
    let Some(bench) = damaged() else { return };
    killed(&bench, &format!("convert in/bad.ome.tif OUT {SMALL}"), 5);
    killed(&bench, &format!("project in/bad.ome.tif OUT --axis z --bad-planes skip {SMALL}"), 5);
}

/// The pixels of a plane of an output.
fn plane(path: &Path, at: [u64; 3]) -> Vec<u8> {
    let reader = microtome::Image::open(path).unwrap().reader();
    let shape = reader.info().scenes[0].levels[0].shape;
    let region: Region = shape.region();
    let [t, c, z] = at;
    let region = region.with(Axis::T, t, t + 1).with(Axis::C, c, c + 1).with(Axis::Z, z, z + 1);
    microtome::read_region(reader.as_ref(), Place::default(), &region).unwrap().as_ref().bytes().to_vec()
}

#[test]
fn a_projection_skips_bad_planes_or_refuses_as_the_user_chose() {
    let Some(bench) = damaged() else { return };
    let line = "project in/bad.ome.tif OUT --axis z";
    let skip = without(&bench, &format!("{} --bad-planes skip", line.replace("OUT", "skip.ome.zarr")));
    let refuse = without(&bench, &line.replace("OUT", "refuse.ome.zarr"));
    assert_eq!(skip["quarantine"], refuse["quarantine"]);
    assert_ne!(skip["plan_hash"], refuse["plan_hash"]);
    bench.json("project fixtures/cells.ome.tif clean.ome.zarr --axis z");
    let number = |name: &str| skip["quarantine"][0][name].as_u64().unwrap();
    let (t, c) = (number("t"), number("c"));
    let of = |name: &str, at| plane(&bench.path(name), at);
    let clean_image = microtome::Image::open(cli::repository().join("fixtures/cells.ome.tif")).unwrap().reader();
    let shape = clean_image.info().scenes[0].levels[0].shape;
    let planes = ChunkGrid::new(shape, shape.with(Axis::T, 1).unwrap().with(Axis::C, 1).unwrap()).unwrap();
    for index in planes.all().iter() {
        let at = [index[Axis::T], index[Axis::C], 0];
        if at != [t, c, 0] {
            assert!(
                of("skip.ome.zarr", at) == of("clean.ome.zarr", at)
                    && of("refuse.ome.zarr", at) == of("clean.ome.zarr", at)
            );
        }
    }
    // Of the stack with the bad plane: where it is bad the others, elsewhere all.
    let stack = planes.region(&planes.covering(&shape.region().with(Axis::T, t, t + 1).with(Axis::C, c, c + 1)).start);
    let stack = microtome::read_region(clean_image.as_ref(), Place::default(), &stack.unwrap()).unwrap();
    let stack = stack.as_ref().slice::<u16>().unwrap().to_vec();
    let size = stack.len() / shape.get(Axis::Z) as usize;
    let pixels = |name: &str| -> Vec<u16> {
        of(name, [t, c, 0]).chunks(2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]])).collect()
    };
    let (skipped, refused, clean) = (pixels("skip.ome.zarr"), pixels("refuse.ome.zarr"), pixels("clean.ome.zarr"));
    let bad_z = number("z") as usize;
    let others = |at: usize| {
        let rest = stack.chunks(size).enumerate().filter(|(z, _)| *z != bad_z);
        rest.map(|(_, plane)| plane[at]).max().unwrap()
    };
    let hit = |at: usize| refused[at] == 0;
    assert!((0..size).any(hit) && !(0..size).all(hit), "a strip is bad, not the plane");
    for at in 0..size {
        assert_eq!(skipped[at], if hit(at) { others(at) } else { clean[at] });
    }
}

#[test]
fn a_choice_about_bad_planes_is_of_a_plan_and_of_quarantine() {
    let Some(bench) = damaged() else { return };
    let line = "project in/bad.ome.tif out.ome.zarr --axis z";
    let ran = bench.run(&[&words(line)[..], &["--bad-planes", "skip"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("give --on-error quarantine too"), "{}", ran.stderr);
    let hash = |more: &str| bench.json(&format!("plan {line} {more}"))["plan_hash"].clone();
    assert_ne!(hash(""), hash("--on-error quarantine --bad-planes skip"));
    assert_eq!(hash(""), hash("--on-error quarantine --bad-planes refuse --max-bad 3"));
    without(&bench, line);
    let other = [&words(line)[..], &GOES_ON, &["--bad-planes", "skip", "--resume"]].concat();
    let ran: Ran = bench.run(&other);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("the finished output of another plan"), "{}", ran.stderr);
}
