//! A table of all images of a folder, as CSV: a row an image, each measured by a function on threads or on a Dask cluster.
//!
//! ```console
//! $ cargo run --release -p microtome --example folder_table -- fixtures
//! $ cargo run --release -p microtome --example folder_table -- fixtures cluster.json
//! ```
//!
//! An image is read a band of rows at a time, so that memory stays flat however large it is. One that is damaged or not
//! supported has a row without numbers, the reason on standard error, and makes the program exit with 3.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use microtome::{Axis, ChunkDims, Compute, Handler, Image, PerAxis, PixelType, RunOptions, Scene, Shape};
use serde::{Deserialize, Serialize};

/// Pixels of a band of rows, where one row of stored tiles is not more.
const BAND: u64 = 4 << 20;

/// What is measured of an image.
#[derive(Serialize, Deserialize)]
struct Row {
    file: String,
    shape: String,
    dtype: String,
    channels: Vec<String>,
    min: f64,
    max: f64,
    mean: f64,
}

/// Measures all pixels of the first scene.
#[microtome::function]
fn measure(path: PathBuf) -> Result<Row, Box<dyn Error>> {
    let scene = Image::open(&path)?.scene(0)?;
    let info = scene.info();
    let (min, max, mean) = min_max_mean(&scene)?;
    Ok(Row {
        file: name(&path),
        shape: info.shape().to_string(),
        dtype: info.dtype.to_string(),
        channels: info.channels.iter().map(|channel| channel.name.clone()).collect(),
        min,
        max,
        mean,
    })
}

/// As NumPy has them: NaN where a pixel is.
fn min_max_mean(scene: &Scene) -> Result<(f64, f64, f64), Box<dyn Error>> {
    // A handler runs as many items at a time as there are threads, so that each item needs but one.
    let options = RunOptions { threads: 1, ..RunOptions::default() };
    let bands = bands(scene)?;
    let (mut min, mut max, mut sum, mut pixels) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0_u64);
    let grid = scene.array(&bands)?.grid();
    for region in grid.all().iter().filter_map(|index| grid.region(&index)) {
        let band = scene.region(Some(region), &bands)?.cast(PixelType::F64)?.compute(&options)?;
        let values = band.as_ref().slice::<f64>()?;
        for &value in values {
            min = if value < min || value.is_nan() { value } else { min };
            max = if value > max || value.is_nan() { value } else { max };
        }
        sum += values.iter().sum::<f64>();
        pixels += values.len() as u64;
    }
    Ok((min, max, sum / pixels as f64))
}

/// Planes cut into bands of whole rows of stored tiles.
fn bands(scene: &Scene) -> Result<ChunkDims, Box<dyn Error>> {
    let level = &scene.info().levels[0];
    let row = level.shape.get(Axis::X) * level.shape.get(Axis::S);
    let stored = level.storage.granule.get(Axis::Y).max(1);
    let rows = (BAND / row.max(1) / stored * stored).max(stored);
    let extents = PerAxis::splat(1).with(Axis::Y, rows).with(Axis::X, level.shape.get(Axis::X));
    Ok(ChunkDims::Shape(Shape::new(extents.0)?))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    microtome::init();
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("usage: folder_table FOLDER [ADDRESS]")?;
    let handler = Handler::new(words.next().as_deref())?;

    let paths = images(Path::new(&folder))?;
    let futures = handler.map(measure, paths.clone());
    let mut code = ExitCode::SUCCESS;
    println!("file,shape,dtype,channels,min,max,mean");
    for (path, future) in paths.iter().zip(futures) {
        match future.result() {
            Ok(row) => println!("{}", csv(&row)),
            Err(error) => {
                println!("{},,,,,,", quoted(&name(path)));
                eprintln!("{}: {}", name(path), error.kind());
                code = ExitCode::from(3);
            }
        }
    }
    Ok(code)
}

/// The TIFF files and Zarr folders of a folder, sorted; absolute, because workers may stand in another folder.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = folder.canonicalize().map_err(|error| format!("cannot open {}: {error}", folder.display()))?;
    let entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    let known = |path: &PathBuf| path.extension().is_some_and(|end| end == "tif" || end == "tiff" || end == "zarr");
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(known).collect();
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn csv(row: &Row) -> String {
    let Row { file, shape, dtype, channels, min, max, mean } = row;
    let [file, channels] = [quoted(file), quoted(&channels.join("|"))];
    format!("{file},{shape},{dtype},{channels},{min},{max},{mean}")
}

/// A cell of a CSV, in quotes where it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
