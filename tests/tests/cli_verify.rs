//! `verify`: an output against its own record, and two images pixel by pixel, whatever their formats.

mod cli;

use cli::Bench;
use serde_json::{Value, json};

#[test]
fn an_output_is_as_it_was_written_until_somebody_changes_it() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif out.ome.zarr --shard-shape none --chunk-shape 1,1,1,96,96");
    let text = bench.text("verify out.ome.zarr");
    assert!(text.starts_with("out.ome.zarr is as it was written: 192 write units of "), "{text}");
    let right = bench.json("verify out.ome.zarr");
    assert_eq!((&right["equal"], &right["units"], &right["different"]), (&json!(true), &json!(192), &json!([])));

    let chunk = bench.path("out.ome.zarr/0/c/1/2/7/1/1");
    let mut bytes = std::fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&chunk, &bytes).unwrap();
    std::fs::remove_file(bench.path("out.ome.zarr/0/c/0/0/3/0/1")).unwrap();
    let ran = bench.run(&["verify", "out.ome.zarr"]);
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    let told: Vec<&str> = ran.stdout.lines().collect();
    assert!(told[0].starts_with("out.ome.zarr differs in 2 write units of 192 write units"), "{}", ran.stdout);
    assert!(told[1].starts_with("  level 0 unit t=0 c=0 z=3 y=0 x=1 (out.ome.zarr/0/c/0/0/3/0/1): it is missing"));
    assert!(
        told[2].starts_with("  level 0 unit t=1 c=2 z=7 y=1 x=1 (out.ome.zarr/0/c/1/2/7/1/1): its bytes were changed")
    );
    assert_eq!(ran.stderr, "", "what differs is no news to whoever asked");
    let ran = bench.run(&["verify", "out.ome.zarr", "--json"]);
    let wrong: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &wrong["equal"]), (9, &json!(false)));
    assert_eq!(
        (&wrong["different"][0]["what"], &wrong["different"][1]["what"]),
        (&json!("missing"), &json!("checksum"))
    );
    assert_eq!(wrong["different"][1]["unit"], json!([1, 2, 7, 1, 1]));
}

#[test]
fn a_tiff_tells_what_of_it_was_changed() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif out.ome.tif --levels 3 --chunk-shape 1,1,1,64,64");
    let text = bench.text("verify out.ome.tif --threads 3");
    assert!(text.starts_with("out.ome.tif is as it was written: 672 write units of "), "{text}");
    let whole = std::fs::read(bench.path("out.ome.tif")).unwrap();
    let right = bench.json("verify out.ome.tif");
    assert_eq!((&right["equal"], &right["bytes"], &right["parts"]), (&json!(true), &json!(whole.len()), &json!([])));
    let Some(places) = bench.python("tiff_places.py", &["out.ome.tif"]) else { return };
    let place = |name: &str| usize::try_from(places[name].as_u64().unwrap()).unwrap();
    let changed = |name: &str, at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(bench.path(name), bytes).unwrap();
        let ran = bench.run(&["verify", name, "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (9, ""), "{name}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    // The tile in the middle of plane t=1 c=2 z=7, and one of the smallest level there, where tifffile finds them.
    for (name, level, y, x) in [("tile", 0, 1, 1), ("small", 2, 0, 0)] {
        let (at, found) = (place(name), changed(&format!("{name}.ome.tif"), place(name) + 3));
        let different = &found["different"];
        assert_eq!(different.as_array().unwrap().len(), 1, "{different}");
        let told = &different[0];
        assert_eq!((&told["array"], &told["unit"]), (&json!(level), &json!([1, 2, 7, y, x])), "{told}");
        assert_eq!((&told["offset"], &told["what"]), (&json!(at), &json!("checksum")), "{told}");
    }
    let moved = changed("moved.ome.tif", place("offsets"));
    let told = &moved["different"][0];
    assert_eq!(
        (&told["what"], &told["unit"], &told["expected"][0]),
        (&json!("listed"), &json!([0, 0, 0, 0, 0]), &json!(8))
    );
    for (name, part) in [
        ("description", "the OME-XML"),
        ("units", "the list of the tiles' checksums"),
        ("width", "the tag tables or the record"),
    ] {
        let found = changed("part.ome.tif", place(name));
        let parts: Vec<&Value> = found["parts"].as_array().unwrap().iter().map(|found| &found["part"]).collect();
        let tables = name == "width" && !found["different"].as_array().unwrap().is_empty();
        assert!(tables || parts == [&json!(part)], "{name}: {found}");
    }
    std::fs::write(bench.path("cut.ome.tif"), &whole[..whole.len() / 2]).unwrap();
    let cut = bench.run(&["verify", "cut.ome.tif"]);
    assert!(cut.code == 4 && cut.stderr.contains("it is probably truncated"), "{}", cut.stderr);
    std::fs::write(bench.path("long.ome.tif"), [&whole[..], &[0; 7]].concat()).unwrap();
    let long = bench.run(&["verify", "long.ome.tif"]);
    assert!(long.code == 9 && long.stdout.contains("what stands behind the pixels"), "{}", long.stdout);
    assert_eq!(long.stdout.lines().count(), 2, "{}", long.stdout);
}

#[test]
fn images_are_compared_across_formats() {
    let Some(bench) = Bench::new() else { return };
    for image in ["cells.ome.tif", "tiled-big.tif", "rgb.tif", "imagej.tif", "ome-zarr-0.4.zarr", "plain.tif"] {
        bench.text(&format!("convert fixtures/{image} copy.ome.zarr --overwrite"));
        let text = bench.text(&format!("verify fixtures/{image} copy.ome.zarr"));
        assert!(text.contains(": equal, T "), "{image}: {text}");
    }
    bench.text("convert fixtures/cells.ome.tif part.ome.zarr --region z=0:4");
    let ran = bench.run(&["verify", "fixtures/cells.ome.tif", "part.ome.zarr"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (9, ""));
    let shapes =
        "scene 0 cells: T 2 · C 3 · Z 8 · Y 160 · X 192 and T 2 · C 3 · Z 4 · Y 160 · X 192 cannot be compared\n";
    assert_eq!(ran.stdout, shapes);
}

#[test]
fn the_first_different_pixel_is_told_with_both_values() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif a.ome.zarr --shard-shape none --compression none --levels 1");
    bench.text("convert a.ome.zarr b.ome.zarr --shard-shape none --compression none --levels 1");
    // A chunk holds a plane of 160 × 192 values of two bytes, raw.
    let chunk = bench.path("b.ome.zarr/0/c/1/1/5/0/0");
    let mut bytes = std::fs::read(&chunk).unwrap();
    assert_eq!(bytes.len(), 160 * 192 * 2);
    let at = 2 * (33 * 192 + 77);
    let before = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    bytes[at..at + 2].copy_from_slice(&(before ^ 1).to_le_bytes());
    std::fs::write(&chunk, bytes).unwrap();
    let ran = bench.run(&["verify", "a.ome.zarr", "b.ome.zarr", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let scene = &found["scenes"][0];
    assert_eq!((ran.code, &found["equal"], &scene["different"]), (9, &json!(false), &json!(1)));
    assert_eq!(scene["first"], json!([1, 1, 5, 33, 77]));
    assert_eq!(scene["values"], json!([before.to_string(), (before ^ 1).to_string()]));
    let text = bench.run(&["verify", "a.ome.zarr", "b.ome.zarr"]).stdout;
    assert!(text.contains(": 1 of 1_474_560 pixels differ, the first at t=1 c=1 z=5 y=33 x=77: "), "{text}");
}

#[test]
fn what_cannot_be_verified_says_why() {
    let Some(bench) = Bench::new() else { return };
    for (line, code, words) in [
        ("verify nothing.zarr", 4, "nothing.zarr does not exist"),
        ("verify fixtures/ome-zarr-0.4.zarr", 4, "it has no completion record"),
        ("verify fixtures/cells.ome.tif", 4, "it has no completion record (private tag 65333)"),
        ("verify fixtures/cells.ome.tif fixtures/nothing.tif", 4, "does not exist"),
        ("verify fixtures/ome-zarr-0.4.zarr --scene 0", 2, "an output is verified as a whole"),
    ] {
        let ran = bench.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
    }
}
