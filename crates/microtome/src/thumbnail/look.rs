//! What a picture is made of: which level, which planes side by side, which channels in which colours.
//!
//! *Invariant:* it follows from the scene's description and the options alone; no pixel is read.

use microtome_array::{Axis, PixelType, Shape};
use microtome_exec::RunError;
use microtome_graph::GraphError;
use microtome_io::{Channel, SceneInfo, SceneKind};
use microtome_picture::{Picture, parse_color};

use super::{MOST_CHANNELS, ThumbnailOptions};
use crate::Scene;

/// Planes on a sheet at most; of more, evenly spaced ones are shown.
const MOST_PLANES: u64 = 36;
/// Pixels between the planes of a sheet.
const GAP: usize = 4;
/// Colours of channels that have none, when there are several.
const COLORS: [[u8; 3]; 6] = [[0, 255, 0], [255, 0, 255], [0, 255, 255], [255, 255, 0], [255, 64, 64], [64, 128, 255]];

/// A plane in a picture.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    pub(super) t: u64,
    pub(super) z: u64,
    pub(super) channels: Vec<u64>,
    /// Its place along the axis of a sheet.
    pub(super) place: Option<u64>,
}

/// What a picture is made of.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) level: usize,
    /// The shape of that level.
    pub(super) shape: Shape,
    /// Pixels along Y and X that become one.
    pub(super) factor: u64,
    pub(super) kind: SceneKind,
    dtype: PixelType,
    pub(super) tiles: Vec<Tile>,
    /// Colours of all channels that are shown together.
    palette: Vec<(u64, [u8; 3])>,
}

impl Look {
    pub(super) fn of(scene: &Scene, options: &ThumbnailOptions) -> Look {
        let info = scene.info();
        let level = level_for(info, options.size);
        let shape = info.levels[level].shape;
        let longest = shape.get(Axis::Y).max(shape.get(Axis::X));
        let tiles = tiles(&shape, options);
        let palette = tiles.first().map(|tile| palette(&info.channels, &tile.channels)).unwrap_or_default();
        let factor = longest.div_ceil(options.size.max(1)).max(1);
        Look { level, shape, factor, kind: info.kind, dtype: info.dtype, tiles, palette }
    }

    /// Width and height of a plane in the picture.
    pub(super) fn extents(&self) -> (usize, usize) {
        let side = |axis: Axis| self.shape.get(axis).div_ceil(self.factor) as usize;
        (side(Axis::X), side(Axis::Y))
    }

    /// Samples of a pixel that are shown as red, green and blue, if there are three or more; else 1.
    pub(super) fn colors(&self) -> usize {
        let samples = self.shape.get(Axis::S) as usize;
        if samples >= 3 { samples } else { 1 }
    }

    /// Whether values are stretched between percentiles: labels and colours of 8 bits are shown as they are.
    pub(super) fn is_stretched(&self) -> bool {
        self.kind == SceneKind::Image && !(self.colors() >= 3 && self.dtype == PixelType::U8)
    }

    /// All channels that are shown, in order.
    pub(super) fn channels(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.tiles.iter().flat_map(|tile| tile.channels.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The colour of a channel: white where it is alone.
    pub(super) fn color(&self, channel: u64) -> [u8; 3] {
        self.palette.iter().find(|(known, _)| *known == channel).map_or([255; 3], |(_, color)| *color)
    }

    /// Bytes that are held: the picture, in parts and whole, and the values of one channel, twice while they are sorted.
    pub(super) fn bytes(&self) -> u64 {
        let (width, height) = self.extents();
        let pixels = (width + GAP) as u64 * (height + GAP) as u64 * self.tiles.len().max(1) as u64;
        pixels.saturating_mul(2 * 3 + 2 * 8 * self.colors() as u64)
    }

    /// Why it is refused.
    pub(super) fn too_large(&self, needed: u64, budget: u64) -> RunError {
        let (width, height) = self.extents();
        let what = format!("a picture of {} × {width} × {height} pixels, with its values,", self.tiles.len());
        let smallest = format!("{}MiB", (needed >> 20) + 64);
        RunError::Graph(GraphError::Memory { what, needed, budget, smallest })
    }

    /// The planes side by side, about as wide as high.
    pub(super) fn join(&self, pictures: &[Picture]) -> Picture {
        let (width, height) = self.extents();
        let square = (pictures.len() as f64 * height as f64 / width.max(1) as f64).sqrt();
        Picture::sheet(pictures, square.ceil() as usize, GAP)
    }
}

/// The smallest level whose planes are at least as large as the picture.
fn level_for(info: &SceneInfo, size: u64) -> usize {
    let longest = |shape: &Shape| shape.get(Axis::Y).max(shape.get(Axis::X));
    let whole = info.shape();
    let same = |shape: &Shape| [Axis::T, Axis::C, Axis::Z].iter().all(|&a| shape.get(a) == whole.get(a));
    let levels = info.levels.iter().enumerate();
    let fits = levels.filter(|(_, level)| same(&level.shape) && longest(&level.shape) >= size.min(longest(&whole)));
    fits.map(|(n, _)| n).max().unwrap_or(0)
}

/// The planes of a picture: one, or those along an axis.
fn tiles(shape: &Shape, options: &ThumbnailOptions) -> Vec<Tile> {
    let all = |most: u64| match &options.channels[..] {
        [] => (0..shape.get(Axis::C).min(most)).collect(),
        chosen => chosen.to_vec(),
    };
    let z = options.z.unwrap_or(shape.get(Axis::Z) / 2);
    let one = Tile { t: options.t, z, channels: all(MOST_CHANNELS), place: None };
    let spaced = |axis: Axis| spaced(shape.get(axis));
    match options.sheet {
        None => vec![one],
        Some(Axis::T) => spaced(Axis::T).into_iter().map(|t| Tile { t, place: Some(t), ..one.clone() }).collect(),
        Some(Axis::Z) => spaced(Axis::Z).into_iter().map(|z| Tile { z, place: Some(z), ..one.clone() }).collect(),
        Some(_) => {
            let shown = if options.channels.is_empty() { spaced(Axis::C) } else { options.channels.clone() };
            shown.into_iter().map(|c| Tile { channels: vec![c], place: Some(c), ..one.clone() }).collect()
        }
    }
}

/// Places along an axis: all, or the middle of each of so many equal parts.
fn spaced(planes: u64) -> Vec<u64> {
    let shown = planes.clamp(1, MOST_PLANES);
    (0..shown).map(|n| (2 * n + 1) * planes / (2 * shown)).collect()
}

/// The colours of channels that are shown together. What the image says counts if it tells them apart: many writers give every
/// channel the same colour, and black ones could not be seen.
fn palette(known: &[Channel], channels: &[u64]) -> Vec<(u64, [u8; 3])> {
    if channels.len() < 2 {
        return Vec::new();
    }
    let stated = |channel: u64| {
        let color = known.get(channel as usize).and_then(|channel| channel.color.as_deref());
        color.and_then(parse_color).filter(|color| *color != [0; 3])
    };
    let all: Vec<_> = channels.iter().map(|&channel| stated(channel)).collect();
    let tells = all.iter().any(|color| *color != all[0]);
    let color = |(&channel, stated): (&u64, &Option<[u8; 3]>)| {
        let stated = stated.filter(|_| tells);
        (channel, stated.unwrap_or(COLORS[channel as usize % COLORS.len()]))
    };
    channels.iter().zip(&all).map(color).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(t: u64, c: u64, z: u64) -> Shape {
        Shape::new([t, c, z, 10, 20, 1]).unwrap()
    }

    #[test]
    fn a_sheet_shows_all_planes_or_evenly_spaced_ones() {
        let sheet = |axis: Axis| ThumbnailOptions { sheet: Some(axis), ..ThumbnailOptions::default() };
        let places = |shape: Shape, axis: Axis| -> Vec<u64> {
            tiles(&shape, &sheet(axis)).iter().map(|tile| tile.place.unwrap()).collect()
        };
        assert_eq!(places(shape(3, 2, 5), Axis::T), [0, 1, 2]);
        assert_eq!(places(shape(3, 2, 5), Axis::C), [0, 1]);
        let many = places(shape(1, 1, 100), Axis::Z);
        assert_eq!((many.len(), many[0], many[35]), (36, 1, 98));
        let chosen = ThumbnailOptions { channels: vec![4, 1], ..sheet(Axis::C) };
        let chosen: Vec<_> = tiles(&shape(1, 6, 1), &chosen).into_iter().map(|tile| tile.channels).collect();
        assert_eq!(chosen, [[4], [1]]);
        let z = tiles(&shape(3, 2, 5), &sheet(Axis::T))[1].z;
        assert_eq!(z, 2, "the middle");
    }

    #[test]
    fn colours_are_those_of_the_image_where_they_tell_channels_apart() {
        let known = |colors: &[Option<&str>]| -> Vec<Channel> {
            let channel = |color: Option<&str>| Channel { color: color.map(str::to_owned), ..Channel::default() };
            colors.iter().copied().map(channel).collect()
        };
        let colors = |stated: &[Option<&str>], shown: &[u64]| -> Vec<[u8; 3]> {
            palette(&known(stated), shown).into_iter().map(|(_, color)| color).collect()
        };
        assert_eq!(colors(&[Some("0000FF"), Some("FF0000")], &[0, 1]), [[0, 0, 255], [255, 0, 0]]);
        assert_eq!(colors(&[Some("FFFFFF"), Some("FFFFFF")], &[0, 1]), [COLORS[0], COLORS[1]]);
        assert_eq!(colors(&[Some("0000FF"), Some("000000")], &[0, 1]), [[0, 0, 255], COLORS[1]]);
        assert_eq!(colors(&[None, None, Some("FF0000")], &[2, 0]), [[255, 0, 0], COLORS[0]]);
        assert_eq!(colors(&[None, None], &[1]), [[0; 3]; 0]);
    }
}
