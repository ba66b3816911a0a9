//! A picture of a scene to look at: the smallest stored level that is large enough, shrunk by area, stretched in contrast, its
//! channels in their colours; or a sheet of several planes.
//!
//! *Invariant:* each plane's pixels are read once, window by window within the memory budget; what is held is as large as the
//! picture.

use std::sync::Arc;

use microtome_array::{Axis, ChunkDims, PerAxis, PixelType, Region, Shape};
use microtome_exec::{RunError, RunOptions};
use microtome_graph::GraphError;
use microtome_io::SceneKind;
use microtome_ops::{Downsample, Factors, Projection, Shrink};
use microtome_picture::{Picture, label_color, parse_color, window};

use crate::{Compute, Scene};

/// What a picture shows.
#[derive(Clone, Debug)]
pub struct ThumbnailOptions {
    /// Longest side of a plane in it, in pixels; small images are not enlarged.
    pub size: u64,
    /// Time.
    pub t: u64,
    /// Depth; the middle if `None`.
    pub z: Option<u64>,
    /// Whether the brightest pixels along Z are shown instead of one depth.
    pub project_z: bool,
    /// Channels that are shown together; all, up to [`MOST_CHANNELS`], if empty.
    pub channels: Vec<u64>,
    /// Percentiles of each channel's pixels that are shown black and white.
    pub contrast: [f64; 2],
    /// The axis (T, C or Z) whose planes are shown side by side, if that is wished.
    pub sheet: Option<Axis>,
}

/// Channels that are shown together where none are chosen.
pub const MOST_CHANNELS: u64 = 6;
/// Planes on a sheet at most; of more, evenly spaced ones are shown.
const MOST_PLANES: u64 = 36;
/// Pixels between the planes of a sheet.
const GAP: usize = 4;
/// Colours of channels that have none, when there are several.
const COLORS: [[u8; 3]; 6] = [[0, 255, 0], [255, 0, 255], [0, 255, 255], [255, 255, 0], [255, 64, 64], [64, 128, 255]];

impl Default for ThumbnailOptions {
    /// 512 pixels of the middle plane at the first time, all channels, from the 0.1th to the 99.9th percentile.
    fn default() -> Self {
        ThumbnailOptions {
            size: 512,
            t: 0,
            z: None,
            project_z: false,
            channels: Vec::new(),
            contrast: [0.1, 99.9],
            sheet: None,
        }
    }
}

/// A picture of a scene. Complex pixels have none.
///
/// # Errors
/// [`RunError`] if something is outside the scene or cannot be read.
///
/// # Examples
/// ```
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// use microtome::{Axis, Image, RunOptions, ThumbnailOptions, thumbnail};
/// let scene = Image::open(format!("{fixtures}/cells.ome.tif"))?.scene(0)?; // 160 × 192
/// let options = ThumbnailOptions { size: 96, ..ThumbnailOptions::default() };
/// let picture = thumbnail(&scene, &options, &RunOptions::default())?;
/// assert_eq!((picture.width(), picture.height()), (96, 80));
/// let sheet = ThumbnailOptions { sheet: Some(Axis::Z), ..options };
/// let picture = thumbnail(&scene, &sheet, &RunOptions::default())?; // 8 planes, 3 to a row
/// assert_eq!((picture.width(), picture.height()), (3 * 96 + 2 * 4, 3 * 80 + 2 * 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn thumbnail(scene: &Scene, options: &ThumbnailOptions, run: &RunOptions) -> Result<Picture, RunError> {
    let whole = scene.info().shape();
    let Some(axis) = options.sheet else { return one(scene, options, run) };
    let planes = whole.get(axis);
    let shown = planes.clamp(1, MOST_PLANES);
    let pictures: Result<Vec<Picture>, RunError> = (0..shown)
        .map(|n| {
            // The middle of each of so many equal parts.
            let plane = (2 * n + 1) * planes / (2 * shown);
            let mut options = ThumbnailOptions { sheet: None, ..options.clone() };
            match axis {
                Axis::T => options.t = plane,
                Axis::Z => options.z = Some(plane),
                _ => options.channels = vec![plane],
            }
            one(scene, &options, run)
        })
        .collect();
    let columns = (shown as f64).sqrt().ceil() as usize;
    Ok(Picture::sheet(&pictures?, columns, GAP))
}

/// One plane, its channels together.
fn one(scene: &Scene, options: &ThumbnailOptions, run: &RunOptions) -> Result<Picture, RunError> {
    let info = scene.info();
    let level = level_for(scene, options.size);
    let scene = scene.level(level).map_err(RunError::Read)?;
    let shape = info.levels[level].shape;
    let factor = shape.get(Axis::Y).max(shape.get(Axis::X)).div_ceil(options.size.max(1)).max(1);
    let channels = match &options.channels[..] {
        [] => (0..shape.get(Axis::C).min(MOST_CHANNELS)).collect(),
        chosen => chosen.to_vec(),
    };
    let side = |axis: Axis| shape.get(axis).div_ceil(factor) as usize;
    let mut picture = Picture::filled(side(Axis::X), side(Axis::Y), [0, 0, 0]);
    let samples = shape.get(Axis::S) as usize;
    for &channel in &channels {
        let values = plane(&scene, &shape, channel, factor, options, run)?;
        if info.kind == SceneKind::Label {
            picture.paint(values.iter().map(|value| label_color(*value as u64)));
        } else if samples >= 3 && info.dtype == PixelType::U8 {
            picture.paint(values.chunks_exact(samples).map(|rgb| [rgb[0] as u8, rgb[1] as u8, rgb[2] as u8]));
        } else if samples >= 3 {
            let window = window(&values, options.contrast);
            let byte = |value: f64| (window.place(value) * 255.0).round() as u8;
            picture.paint(values.chunks_exact(samples).map(|rgb| [byte(rgb[0]), byte(rgb[1]), byte(rgb[2])]));
        } else {
            let first: Vec<f64> = values.iter().step_by(samples.max(1)).copied().collect();
            picture.add(&first, window(&first, options.contrast), color(&scene, channel, channels.len()));
        }
    }
    Ok(picture)
}

/// The smallest level whose planes are at least as large as the picture.
fn level_for(scene: &Scene, size: u64) -> usize {
    let longest = |shape: &Shape| shape.get(Axis::Y).max(shape.get(Axis::X));
    let whole = scene.info().shape();
    let same = |shape: &Shape| [Axis::T, Axis::C, Axis::Z].iter().all(|&a| shape.get(a) == whole.get(a));
    let levels = scene.info().levels.iter().enumerate();
    let fits = levels.filter(|(_, level)| same(&level.shape) && longest(&level.shape) >= size.min(longest(&whole)));
    fits.map(|(n, _)| n).max().unwrap_or(0)
}

/// The values of a channel's plane, made smaller by a whole factor.
fn plane(
    scene: &Scene,
    shape: &Shape,
    channel: u64,
    factor: u64,
    options: &ThumbnailOptions,
    run: &RunOptions,
) -> Result<Vec<f64>, RunError> {
    let depth = shape.get(Axis::Z);
    let z = options.z.unwrap_or(depth / 2);
    let planes = if options.project_z { 0..depth } else { z..z + 1 };
    let start = PerAxis([options.t, channel, planes.start, 0, 0, 0]);
    let end =
        PerAxis([options.t + 1, channel + 1, planes.end, shape.get(Axis::Y), shape.get(Axis::X), shape.get(Axis::S)]);
    let region = Region::new(start, end).map_err(GraphError::Array)?;
    let mut array = scene.region(Some(region), &ChunkDims::default())?;
    if options.project_z {
        array = array.project(Axis::Z, Projection::Max)?;
    }
    let is_label = scene.info().kind == SceneKind::Label;
    if factor > 1 && !is_label {
        let factor = Factors { y: factor, x: factor, ..Factors::default() };
        array = array.cast(PixelType::F32)?.apply(Arc::new(Downsample { factor, method: Shrink::Mean }))?;
    }
    let pixels = array.cast(PixelType::F64)?.compute(run)?;
    let values = pixels.as_ref().slice::<f64>().map_err(GraphError::Array)?;
    if factor == 1 || !is_label {
        return Ok(values.to_vec());
    }
    // Numbers of objects have no mean: the middle pixel of each block is taken.
    let (high, wide) = (shape.get(Axis::Y), shape.get(Axis::X));
    let middle = |n: u64, end: u64| (n * factor + factor / 2).min(end - 1);
    let rows = (0..high.div_ceil(factor)).map(|y| middle(y, high));
    Ok(rows
        .flat_map(|y| (0..wide.div_ceil(factor)).map(move |x| values[(y * wide + middle(x, wide)) as usize]))
        .collect())
}

/// The colour of a channel: white where it is the only one that is shown.
fn color(scene: &Scene, channel: u64, shown: usize) -> [u8; 3] {
    if shown == 1 {
        return [255, 255, 255];
    }
    let stated = scene.info().channels.get(channel as usize).and_then(|channel| channel.color.as_deref());
    stated.and_then(parse_color).unwrap_or(COLORS[channel as usize % COLORS.len()])
}
