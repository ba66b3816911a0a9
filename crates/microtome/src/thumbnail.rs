//! A picture of a scene to look at: the smallest stored level that is large enough, shrunk by area, stretched in contrast, its
//! channels in their colours; or a sheet of several planes, which share one stretch a channel so that they can be compared.
//!
//! *Invariant:* each plane's pixels are read once, window by window; what is held is the picture and the values of one channel
//! of it, and it counts against the memory budget.

mod look;

use microtome_array::{Axis, ChunkDims, PerAxis, PixelType, Region};
use microtome_exec::{RunError, RunOptions};
use microtome_graph::GraphError;
use microtome_io::SceneKind;
use microtome_ops::{Downsample, Factors, Projection, Shrink};
use microtome_picture::{Picture, Window, label_color, window};

use self::look::{Look, Tile};
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
    /// Channels that are shown; all, together up to [`MOST_CHANNELS`], if empty.
    pub channels: Vec<u64>,
    /// Percentiles of each channel's pixels that are shown black and white.
    pub contrast: [f64; 2],
    /// The axis (T, C or Z) whose planes are shown side by side, if that is wished.
    pub sheet: Option<Axis>,
}

/// Channels that are shown together where none are chosen.
pub const MOST_CHANNELS: u64 = 6;

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

/// A picture, and what is shown in it.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// The pixels.
    pub picture: Picture,
    /// The channels, in order; none of labels.
    pub channels: Vec<ShownChannel>,
    /// Of a sheet, the place of each plane along its axis, row by row; else empty.
    pub planes: Vec<u64>,
}

/// How a channel is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownChannel {
    /// Its number.
    pub channel: u64,
    /// Red, green and blue of what is brightest in it.
    pub color: [u8; 3],
    /// The values that are shown black and white; `None` where they are shown as they are.
    pub window: Option<Window>,
}

/// A picture of a scene. Complex pixels have none.
///
/// # Errors
/// [`RunError`] if something is outside the scene or cannot be read, or the picture does not fit the memory.
///
/// # Examples
/// ```
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// use microtome::{Axis, Image, RunOptions, ThumbnailOptions, thumbnail};
/// let scene = Image::open(format!("{fixtures}/cells.ome.tif"))?.scene(0)?; // 160 × 192
/// let options = ThumbnailOptions { size: 96, ..ThumbnailOptions::default() };
/// let shown = thumbnail(&scene, &options, &RunOptions::default())?;
/// assert_eq!((shown.picture.width(), shown.picture.height()), (96, 80));
/// assert_eq!(shown.channels.len(), 3);
/// let sheet = ThumbnailOptions { sheet: Some(Axis::Z), ..options };
/// let shown = thumbnail(&scene, &sheet, &RunOptions::default())?; // 8 planes, 3 to a row
/// assert_eq!((shown.picture.width(), shown.picture.height()), (3 * 96 + 2 * 4, 3 * 80 + 2 * 4));
/// assert_eq!(shown.planes, [0, 1, 2, 3, 4, 5, 6, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn thumbnail(scene: &Scene, options: &ThumbnailOptions, run: &RunOptions) -> Result<Thumbnail, RunError> {
    let look = Look::of(scene, options);
    let held = look.bytes();
    let memory = run.memory.checked_sub(held).filter(|left| *left > 0);
    let memory = memory.ok_or_else(|| look.too_large(held, run.memory))?;
    let run = RunOptions { memory, ..run.clone() };
    let scene = scene.level(look.level).map_err(RunError::Read)?;
    let (width, height) = look.extents();
    let mut pictures = vec![Picture::filled(width, height, [0, 0, 0]); look.tiles.len()];
    let mut channels = Vec::new();
    for channel in look.channels() {
        let tiles = || (0..look.tiles.len()).filter(|&n| look.tiles[n].channels.contains(&channel));
        let read = |n: usize| plane(&scene, &look, &look.tiles[n], channel, options, &run);
        if look.is_stretched() {
            let planes: Result<Vec<_>, _> = tiles().map(read).collect();
            let planes = planes?;
            let window = window(&planes.concat(), options.contrast);
            let color = look.color(channel);
            for (n, values) in tiles().zip(&planes) {
                draw(&mut pictures[n], values, (look.colors(), window), color);
            }
            channels.push(ShownChannel { channel, color, window: Some(window) });
            continue;
        }
        for n in tiles() {
            let values = read(n)?;
            if look.kind == SceneKind::Label {
                pictures[n].paint(values.iter().map(|value| label_color(*value as u64)));
            } else {
                let samples = look.shape.get(Axis::S) as usize;
                pictures[n]
                    .paint(values.chunks_exact(samples).map(|rgb| [rgb[0], rgb[1], rgb[2]].map(|v| v.round() as u8)));
            }
        }
        if look.kind == SceneKind::Image {
            channels.push(ShownChannel { channel, color: [255; 3], window: None });
        }
    }
    let planes = look.tiles.iter().filter_map(|tile| tile.place).collect();
    Ok(Thumbnail { picture: look.join(&pictures), channels, planes })
}

/// Draws a plane: its samples as red, green and blue where it has them, else in a colour.
fn draw(picture: &mut Picture, values: &[f64], (samples, window): (usize, Window), color: [u8; 3]) {
    if samples < 3 {
        return picture.add(values, window, color);
    }
    let byte = |value: f64| (window.place(value) * 255.0).round() as u8;
    picture.paint(values.chunks_exact(samples).map(|rgb| [byte(rgb[0]), byte(rgb[1]), byte(rgb[2])]));
}

/// The values of a channel's plane, made smaller by a whole factor: three samples of a pixel where it has so many, else one.
fn plane(
    scene: &Scene,
    look: &Look,
    tile: &Tile,
    channel: u64,
    options: &ThumbnailOptions,
    run: &RunOptions,
) -> Result<Vec<f64>, RunError> {
    let shape = &look.shape;
    let planes = if options.project_z { 0..shape.get(Axis::Z) } else { tile.z..tile.z + 1 };
    let start = PerAxis([tile.t, channel, planes.start, 0, 0, 0]);
    let end =
        PerAxis([tile.t + 1, channel + 1, planes.end, shape.get(Axis::Y), shape.get(Axis::X), shape.get(Axis::S)]);
    let region = Region::new(start, end).map_err(GraphError::Array)?;
    let mut array = scene.region(Some(region), &ChunkDims::default())?;
    if options.project_z {
        array = array.project(Axis::Z, Projection::Max)?;
    }
    if look.factor > 1 {
        let factor = Factors { y: look.factor, x: look.factor, ..Factors::default() };
        // Numbers of objects have no mean.
        let is_label = look.kind == SceneKind::Label;
        let method = if is_label { Shrink::Nearest } else { Shrink::Mean };
        let exact = if is_label { array } else { array.cast(PixelType::F64)? };
        array = exact.apply(std::sync::Arc::new(Downsample { factor, method }))?;
    }
    let pixels = array.cast(PixelType::F64)?.compute(run)?;
    let values = pixels.as_ref().slice::<f64>().map_err(GraphError::Array)?;
    let samples = shape.get(Axis::S).max(1) as usize;
    Ok(if samples == 2 { values.iter().step_by(2).copied().collect() } else { values.to_vec() })
}
