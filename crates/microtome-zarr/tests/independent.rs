//! What zarr-python writes is read, and what is written here zarr-python reads: pixels by their sha256, metadata by
//! ome-zarr-models. Needs `MICROTOME_PYTHON`, which `cargo xtask test` sets.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

use std::path::Path;
use std::process::Command;

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkGrid, PerAxis, PixelType, Pixels, Shape, copy_region};
use microtome_io::{
    Channel, Completion, Limits, Output, PixelSize, Place, Prepare, Quantity, ReadError, Reader, StoredUnit,
    SyntheticReader, WriteContext, contract, read_region,
};
use microtome_zarr::{Compression, LevelSpec, OutputMeta, ShardChoice, ZarrOptions, ZarrOutput};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn script(name: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
        eprintln!("SKIPPED: MICROTOME_PYTHON is not set, nothing was checked");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(name));
    Some(command)
}

fn whole(reader: &dyn Reader, scene: usize) -> Result<Pixels, ReadError> {
    read_region(reader, Place { scene, level: 0 }, &reader.info().scenes[scene].shape().region())
}

/// The sum in the order of the file's own axes, which `letters` gives; by position where they have no names.
fn sha256(pixels: &Pixels, letters: &str) -> String {
    let shape = pixels.spec().shape;
    let order: Vec<Axis> = letters.chars().map(|c| Axis::parse(c).unwrap()).collect();
    let size = pixels.spec().dtype.size();
    let extents = Shape::new(PerAxis::from_fn(|a| order.get(a.index()).map_or(1, |&o| shape.get(o))).0).unwrap();
    let mut hash = Sha256::new();
    for index in ChunkGrid::new(extents, Shape::new([1; 6]).unwrap()).unwrap().all().iter() {
        let at = |axis: Axis| order.iter().position(|&o| o == axis).map_or(0, |n| index.0[n]);
        let linear = Axis::ALL.iter().fold(0, |n, &a| n * shape.get(a) + at(a)) as usize;
        hash.update(&pixels.as_ref().bytes()[linear * size..(linear + 1) * size]);
    }
    format!("{:x}", hash.finalize())
}

fn letters(entry: &Value, rank: usize) -> String {
    match &entry["axes"] {
        Value::String(named) => named.to_ascii_uppercase(),
        Value::Array(named) => named.iter().map(|a| a.as_str().unwrap().to_ascii_uppercase()).collect(),
        _ if rank <= 5 => ["", "X", "YX", "TYX", "TZYX", "TZCYX"][rank].to_owned(),
        _ => panic!("an array of {rank} axes without names"),
    }
}

#[test]
fn arrays_of_zarr_python_read_bit_by_bit() {
    let Some(mut command) = script("write_zarrs.py") else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = command.arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut failures = Vec::new();
    for entry in &entries {
        if let Err(why) = check(&folder.path().join(entry["path"].as_str().unwrap()), entry) {
            failures.push(format!("{}: {why}", entry["path"]));
        }
    }
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
    assert!(entries.len() >= 150, "only {} arrays were written", entries.len());
}

fn check(path: &Path, entry: &Value) -> Result<(), String> {
    let reader = microtome_zarr::open(path, &Limits::default()).map_err(|e| format!("open: {e}"))?;
    let pixels = whole(&reader, 0).map_err(|e| format!("read: {e}"))?;
    let shape: Vec<u64> = entry["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let found = sha256(&pixels, &letters(entry, shape.len()));
    if found != entry["sha256"] || pixels.spec().dtype.name() != entry["dtype"] {
        return Err(format!("{} {found}, expected {} {}", pixels.spec().dtype, entry["dtype"], entry["sha256"]));
    }
    if entry["kind"] == "image" {
        described(&reader, entry)?;
    }
    contract::reader(&reader, 5);
    Ok(())
}

/// Levels, pixel sizes and channels of an image.
fn described(reader: &dyn Reader, entry: &Value) -> Result<(), String> {
    let scene = &reader.info().scenes[0];
    let axes = letters(entry, 0);
    let along = |list: &str, axis: char| axes.find(axis).map_or(Value::Null, |n| entry[list][n].clone());
    for (level, expected) in entry["levels"].as_array().unwrap().iter().enumerate() {
        let region = scene.levels[level].shape.region();
        let pixels = read_region(reader, Place { scene: 0, level }, &region).map_err(|e| e.to_string())?;
        if sha256(&pixels, &axes) != expected["sha256"] {
            return Err(format!("level {level} has other pixels"));
        }
        let halved = f64::from(1 << level);
        if scene.levels[level].downsample[3..5] != [halved, halved] {
            return Err(format!("level {level} is smaller by {:?}", scene.levels[level].downsample));
        }
    }
    let size = &scene.pixel_size;
    let time = scene.time_increment.as_ref().map(|q| (q.value, q.unit.as_str()));
    let found = serde_json::json!([size.z, size.y, size.x, size.unit, time.map(|t| t.0), time.map(|t| t.1)]);
    let [z, y, x, t] = ['Z', 'Y', 'X', 'T'].map(|axis| along("scale", axis));
    let expected = serde_json::json!([z, y, x, along("units", 'X'), t, along("units", 'T')]);
    if found != expected {
        return Err(format!("sizes are {found}, expected {expected}"));
    }
    for (channel, expected) in scene.channels.iter().zip(entry["channels"].as_array().unwrap()) {
        if serde_json::json!([channel.name, channel.color]) != serde_json::json!([expected["name"], expected["color"]])
        {
            return Err(format!("{channel:?}, expected {expected}"));
        }
    }
    Ok(())
}

/// An output of three levels, each filled with a synthetic image; gives the pixels of the first.
fn written(path: &Path, spec: ArraySpec, options: &ZarrOptions) -> Pixels {
    let meta = OutputMeta {
        name: "synthetic".to_owned(),
        channels: (0..spec.shape.get(Axis::C))
            .map(|n| Channel { name: format!("C{n}"), ..Channel::default() })
            .collect(),
        pixel_size: PixelSize { z: Some(0.5), y: Some(0.1), x: Some(0.1), unit: Some("micrometer".to_owned()) },
        time_increment: Some(Quantity { value: 30.0, unit: "second".to_owned() }),
        downsampling: Some("mean".to_owned()),
        ..OutputMeta::default()
    };
    let reduced = |f| LevelSpec::reduced(spec, [1, 1, 1, f, f, 1]).unwrap();
    let (plan, levels) = ("0123456789abcdef", [LevelSpec::full(spec), reduced(2), reduced(4)]);
    let output = microtome_zarr::create(path, &levels, &meta, options).unwrap();
    output.prepare(&Prepare::fresh(plan)).unwrap();
    let units: Vec<_> = (0..levels.len()).map(|n| fill(&output, n)).collect();
    output.finish(&Completion { plan, units: &units, quarantine: None }).unwrap();
    whole(&SyntheticReader::new(spec), 0).unwrap()
}

/// Fills an array with a synthetic image, unit by unit.
fn fill(output: &ZarrOutput, array: usize) -> Vec<StoredUnit> {
    let sink = output.array(array);
    let spec = sink.spec().array;
    let pixels = whole(&SyntheticReader::new(spec), 0).unwrap();
    let (pool, mut units) = (BufferPool::new(1 << 24), Vec::new());
    for unit in sink.spec().units.all().iter() {
        let region = sink.spec().units.region(&unit).unwrap();
        let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype: spec.dtype });
        copy_region(pixels.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), &region).unwrap();
        let mut writer = sink.begin(unit, &WriteContext { pool: &pool }).unwrap();
        writer.write(&region, part.as_ref()).unwrap();
        let receipt = writer.finish(true).unwrap().remove(0);
        units.push(StoredUnit::from(&receipt));
        output.settle(&[(array, receipt)]).unwrap();
    }
    units
}

#[test]
fn outputs_are_read_by_zarr_python_and_valid_for_ome_zarr_models() {
    let shape = |s| Shape::new([2, 2, 5, 70, 90, s]).unwrap();
    let part = Some(Shape::new([1, 1, 2, 32, 64, 1]).unwrap());
    let shard = ShardChoice::Shape(Shape::new([1, 1, 4, 64, 64, 1]).unwrap());
    let cases = [
        (PixelType::U16, ZarrOptions::default()),
        (
            PixelType::U8,
            ZarrOptions { shard: ShardChoice::None, compression: Compression::None, ..ZarrOptions::default() },
        ),
        (
            PixelType::F32,
            ZarrOptions { chunk: part, shard, compression: Compression::Zstd { level: 3 }, ..ZarrOptions::default() },
        ),
        (PixelType::I32, ZarrOptions { compression: Compression::Gzip { level: 1 }, ..ZarrOptions::default() }),
        (PixelType::F64, ZarrOptions { chunk: part, shard: ShardChoice::None, ..ZarrOptions::default() }),
    ];
    for (dtype, options) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ome.zarr");
        let spec = ArraySpec { shape: shape(1), dtype };
        let pixels = written(&path, spec, &options);
        let expected = sha256(&pixels, "TCZYX");
        let reader = microtome_zarr::open(&path, &Limits::default()).unwrap();
        assert_eq!(sha256(&whole(&reader, 0).unwrap(), "TCZYX"), expected, "read back: {dtype}");
        contract::reader(&reader, 3);
        let scene = &reader.info().scenes[0];
        assert_eq!((scene.channels[1].name.as_str(), scene.pixel_size.z), ("C1", Some(0.5)));
        let factors: Vec<f64> = scene.levels.iter().map(|level| level.downsample[Axis::X.index()]).collect();
        assert_eq!(factors, [1.0, 2.0, 4.0]);
        let Some(mut command) = script("read_zarr.py") else { return };
        let output = command.arg(&path).arg("--validate").output().unwrap();
        assert!(output.status.success(), "{dtype}: {}", String::from_utf8_lossy(&output.stderr));
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen["sha256"], expected.as_str(), "{dtype}: {seen}");
        assert_eq!(seen["dtype"], dtype.name());
    }
}

#[test]
fn the_bundled_images_are_what_their_makers_say() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(fixtures.join("expected.json")).unwrap()).unwrap();
    for name in ["ome-zarr-0.4.zarr", "ome-zarr-0.5-sharded.zarr"] {
        let (expected, reader) =
            (&expected[name], microtome_zarr::open(&fixtures.join(name), &Limits::default()).unwrap());
        contract::reader(&reader, 9);
        let scene = &reader.info().scenes[0];
        for (level, expected) in expected["levels"].as_array().unwrap().iter().enumerate() {
            let region = scene.levels[level].shape.region();
            let pixels = read_region(&reader, Place { scene: 0, level }, &region).unwrap();
            assert_eq!(sha256(&pixels, "TCZYX"), expected["sha256"], "{name} level {level}");
        }
        assert_eq!(serde_json::json!(scene.time_increment), expected["time_increment"], "{name}");
        assert_eq!(serde_json::json!(scene.shape().present()), expected["shape"], "{name}");
        assert_eq!(reader.info().format, expected["format"].as_str().unwrap(), "{name}");
        let names: Vec<&str> = expected["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap_or_else(|| c.as_str().unwrap()))
            .collect();
        assert_eq!(scene.channels.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), names, "{name}");
        assert_eq!(serde_json::json!(scene.pixel_size), expected["pixel_size"], "{name}");
    }
}
