//! `convert` says in what an output differs from its source: every difference that `inspect` shows is told before anything
//! runs, and all that is told is a difference. On real files, from TIFF to Zarr and back and the other way round.
//!
//! Not compared: how pixels are stored (tiles, chunks, codecs, the order of pages), which is the output's own.

mod cli;
mod manifest;

use std::collections::BTreeSet;

use cli::Bench;
use cli::resumed::is_deep;
use manifest::{corpus, out_of_scope, rows};
use serde_json::{Value, json};

/// Larger files are left to the long version.
const SMALL: u64 = 600_000;

#[test]
fn every_difference_is_told_and_all_that_is_told_is_one() {
    let Some(corpus) = corpus() else { return };
    let Some(bench) = Bench::new() else { return };
    let rows = rows(corpus.join("MANIFEST.csv"));
    let valid = rows.iter().filter(|row| row["reference_status"] == "ok" && out_of_scope(row).is_none());
    let small = valid.filter(|row| is_deep() || row["bytes"].parse::<u64>().is_ok_and(|bytes| bytes <= SMALL));
    let paths: BTreeSet<(String, bool)> = small.map(|row| (row["path"].clone(), row["kind"] == "tiff")).collect();
    let (mut compared, mut failures) = (0, Vec::new());
    for (path, is_tiff) in &paths {
        let source = corpus.join(path).to_string_lossy().into_owned();
        let ends = if *is_tiff { ["a.ome.zarr", "b.ome.tif"] } else { ["a.ome.tif", "b.ome.zarr"] };
        match there_and_back(&bench, &source, ends) {
            Ok(pairs) => compared += pairs,
            Err(why) => failures.push(format!("{path}: {why}")),
        }
    }
    for (source, ends) in
        cli::FIXTURES.iter().flat_map(|name| [(name, ["a.ome.zarr", "b.ome.tif"]), (name, ["a.ome.tif", "b.ome.zarr"])])
    {
        match there_and_back(&bench, &format!("fixtures/{source}"), ends) {
            Ok(pairs) => compared += pairs,
            Err(why) => failures.push(format!("{source}: {why}")),
        }
    }
    println!("{compared} conversions of {} files", paths.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(compared >= 120, "only {compared} conversions were compared");
}

#[test]
fn a_plan_tells_what_its_run_tells_for_people_and_for_programs() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("collections_kept.py", &["make", "labels", "in.zarr"]).is_none() {
        return;
    }
    let lines = [
        ("convert in.zarr a.ome.tif", vec!["labels", "windows"], "2 labels: cells, nuclei; convert each with --scene"),
        ("convert in.zarr b.ome.zarr", vec![], ""),
        (
            "convert in.zarr c.ome.zarr --region y=0:100",
            vec!["labels"],
            "2 labels: cells, nuclei; labels do not follow",
        ),
        ("project in.zarr d.ome.zarr --axis z", vec!["labels"], "2 labels: cells, nuclei; labels do not follow"),
        (
            "convert in.zarr e.ome.tif --scene labels/nuclei",
            vec!["scenes", "labels", "label"],
            "that the pixels are labels",
        ),
        ("convert fixtures/rgb.tif f.ome.zarr", vec!["samples"], "each sample becomes a channel; write OME-TIFF"),
    ];
    for (line, words, text) in lines {
        let planned = bench.json(&format!("plan {line}"))["not_kept"].clone();
        let found: Vec<&str> = planned.as_array().unwrap().iter().map(|loss| loss["what"].as_str().unwrap()).collect();
        assert_eq!(found, words, "{line}: {planned}");
        let shown = bench.text(&format!("plan {line}"));
        assert_eq!(shown.matches("\nnot kept ").count(), words.len(), "{shown}");
        assert!(shown.contains(text), "{line}: {shown}");
        let shown = bench.text(line);
        assert_eq!(shown.matches("\n  not kept ").count(), words.len(), "{shown}");
        assert!(shown.contains(text), "{line}: {shown}");
        assert_eq!(bench.json(&format!("{line} --overwrite"))["not_kept"], planned, "{line}");
    }
}

#[test]
fn wells_keep_their_names_in_a_tiff_that_others_read() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("collections_kept.py", &["make", "plate", "plate.zarr"]).is_none() {
        return;
    }
    let report = bench.json("convert plate.zarr well.ome.tif --scene A/2/1");
    assert!(!words(&report["not_kept"]).contains("well"), "{report}");
    let well = json!({"plate": "screen", "row": "A", "column": "2", "row_index": 0, "column_index": 1, "field": "1"});
    assert_eq!(bench.json("inspect well.ome.tif")["scenes"][0]["well"], well);
    let xml = bench.text("inspect well.ome.tif --ome-xml");
    let written = "<Plate ID=\"Plate:0\" Name=\"screen\" RowNamingConvention=\"letter\" ColumnNamingConvention=\"number\">\
                   <Well ID=\"Well:0:0\" Row=\"0\" Column=\"1\"><WellSample ID=\"WellSample:0:0:0\" Index=\"1\">\
                   <ImageRef ID=\"Image:0\"/></WellSample></Well></Plate>";
    assert!(xml.contains(written), "{xml}");
    // A single image has no place on a plate in a Zarr, which is told.
    let report = bench.json("convert well.ome.tif alone.ome.zarr");
    assert_eq!(words(&report["not_kept"]), BTreeSet::from(["well".to_owned()]));
}

/// Converts each of the first scenes to one format and the result to another; gives how many steps were compared.
fn there_and_back(bench: &Bench, source: &str, ends: [&str; 2]) -> Result<usize, String> {
    let scenes = inspect(bench, source)?["scenes"].as_array().map_or(0, Vec::len);
    let mut steps = 0;
    for scene in 0..scenes.min(3) {
        let mut from = (source.to_owned(), scene);
        for (n, end) in ends.into_iter().enumerate() {
            let out = format!("{n}.{end}");
            let Some(found) = step(bench, &from, &out)? else { break };
            steps += found;
            from = (out, 0);
        }
    }
    Ok(steps)
}

/// One conversion; `None` where it is refused: the format cannot hold the pixels, or their compression is not read.
fn step(bench: &Bench, from: &(String, usize), out: &str) -> Result<Option<usize>, String> {
    let (source, scene) = from;
    let number = scene.to_string();
    let ran = bench.run(&["convert", source, out, "--scene", &number, "--overwrite", "--json", "--quiet"]);
    let unheld = ran.code == 2 && (ran.stderr.contains("--dtype") || ran.stderr.contains("OME-TIFF of"));
    let unread = ran.code == 4 && ran.stderr.contains("is not supported");
    if unheld || unread {
        return Ok(None);
    }
    if ran.code != 0 {
        return Err(format!("scene {scene} → {out}: {}", ran.stderr));
    }
    let report: Value = serde_json::from_str(&ran.stdout).map_err(|e| e.to_string())?;
    let told: BTreeSet<String> = words(&report["not_kept"]);
    let (before, after) = (inspect(bench, source)?, inspect(bench, out)?);
    let found = differences(&before, *scene, &after);
    if told == found {
        return Ok(Some(1));
    }
    let why = format!("{:?} is not told, {:?} is told and no difference", &found - &told, &told - &found);
    Err(format!("scene {scene} → {out}: {why}\n    {}\n    {}", before["scenes"][*scene], after["scenes"][0]))
}

fn words(losses: &Value) -> BTreeSet<String> {
    losses.as_array().into_iter().flatten().map(|loss| loss["what"].as_str().unwrap().to_owned()).collect()
}

fn inspect(bench: &Bench, path: &str) -> Result<Value, String> {
    let ran = bench.run(&["inspect", path, "--json", "--ome-xml"]);
    if ran.code != 0 {
        return Err(ran.stderr);
    }
    serde_json::from_str(&ran.stdout).map_err(|e| e.to_string())
}

/// In which words a scene of one image differs from the first scene of another.
fn differences(before: &Value, scene: usize, after: &Value) -> BTreeSet<String> {
    let (one, other) = (&before["scenes"][scene], &after["scenes"][0]);
    let is_sampled = |scene: &Value| scene["axes"] == "TCZYXS";
    let folded = is_sampled(one) && !is_sampled(other);
    let mut found = BTreeSet::new();
    let mut differ = |what: &str, is: bool| {
        if is {
            found.insert(what.to_owned());
        }
    };
    let beside = |image: &Value, scene: usize, kind: &str| {
        let scenes = image["scenes"].as_array().unwrap().iter().enumerate();
        scenes.filter(|(n, other)| *n != scene && other["kind"] == kind).count()
    };
    for (what, kind) in [("scenes", "image"), ("labels", "label")] {
        differ(what, beside(before, scene, kind) > beside(after, 0, kind));
    }
    differ("label", one["kind"] != other["kind"]);
    differ("samples", folded);
    let channels = |scene: &Value, key: &str| -> Vec<Value> {
        scene["channels"].as_array().unwrap().iter().map(|channel| channel[key].clone()).collect()
    };
    if folded {
        differ("names", channels(one, "name").iter().any(|name| name != ""));
    } else {
        differ("names", channels(one, "name") != channels(other, "name"));
        differ("colors", channels(one, "color") != channels(other, "color"));
        differ("windows", one["windows"] != other["windows"]);
    }
    differ("names", one["name"] != other["name"] && name(one) != name(other));
    for key in ["pixel_size", "time_increment", "well"] {
        differ(key, one[key] != other[key]);
    }
    differ("position", one["position"] != other["position"]);
    differ("dtype", one["dtype"] != other["dtype"]);
    differ("shape", whole(one) != whole(other));
    let levels = |scene: &Value| -> Vec<Value> {
        let levels = scene["levels"].as_array().unwrap().iter();
        levels.map(|level| json!([level["shape"][3], level["shape"][4]])).collect()
    };
    differ("levels", levels(one).len() > 1 && levels(one) != levels(other));
    differ("ome_xml", loses_xml(&before["ome_xml"], &after["ome_xml"]));
    differ("extras", before["extras"] != json!([]) && before["extras"] != after["extras"]);
    found
}

/// A scene without a name is called by its path, which is another in another file.
fn name(scene: &Value) -> &str {
    let name = scene["name"].as_str().unwrap();
    if scene["id"] == name { "" } else { name }
}

/// Extents with samples counted as channels.
fn whole(scene: &Value) -> Vec<u64> {
    let mut shape: Vec<u64> = scene["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    if shape.len() == 6 {
        shape[1] *= shape.pop().unwrap();
    }
    shape
}

/// Whether elements of a document are missing in another one, but those that say where the pixels are.
fn loses_xml(before: &Value, after: &Value) -> bool {
    let (Some(before), after) = (before.as_str(), after.as_str().unwrap_or_default()) else { return false };
    // A document of ours is taken apart and written anew.
    if before == after || (!after.is_empty() && before.contains("Creator=\"microtome 0.")) {
        return false;
    }
    let own = ["OME", "Image", "Pixels", "Channel", "TiffData", "UUID", "BinData", "MetadataOnly", "BinaryOnly"];
    let beside = |element: &String| !own.contains(&element.as_str());
    let lost = elements(before).into_iter().filter(beside).any(|element| !elements(after).contains(&element));
    after.is_empty() || lost
}

/// The names of all elements, but for the annotations that are ours.
fn elements(xml: &str) -> BTreeSet<String> {
    let ours = [
        "<AnnotationRef ID=\"Annotation:0\"",
        "<StructuredAnnotations><CommentAnnotation ID=\"Annotation:0\" Namespace=\"microtome",
    ];
    let plain = ours.iter().fold(xml.to_owned(), |xml, ours| xml.split(ours).next().unwrap_or_default().to_owned());
    let tags = plain.split('<').skip(1).filter(|tag| !tag.starts_with(['/', '?', '!']));
    let name = |tag: &str| tag.split([' ', '>', '/', '\n', '\r', '\t']).next().unwrap_or_default().to_owned();
    tags.map(|tag| name(tag).rsplit(':').next().unwrap_or_default().to_owned()).collect()
}
