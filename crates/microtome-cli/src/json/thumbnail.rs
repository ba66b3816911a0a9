//! `thumbnail` as JSON.

use std::path::Path;

use microtome::{SceneInfo, Thumbnail};
use serde::Serialize;

use super::image::text;

/// A picture that was made.
#[derive(Debug, Serialize)]
pub(crate) struct ThumbnailJson {
    input: String,
    output: String,
    scene: usize,
    width: usize,
    height: usize,
    /// None of labels.
    channels: Vec<ChannelJson>,
    /// Of a sheet, the place of each plane along its axis, row by row.
    planes: Vec<u64>,
}

/// How a channel is shown.
#[derive(Debug, Serialize)]
struct ChannelJson {
    channel: u64,
    /// RRGGBB.
    color: String,
    /// The value that is shown black; null where values are shown as they are.
    low: Option<f64>,
    /// The value that is shown in full colour.
    high: Option<f64>,
}

impl ThumbnailJson {
    pub(crate) fn new(input: &Path, output: &Path, scene: &SceneInfo, shown: &Thumbnail) -> ThumbnailJson {
        let (width, height) = (shown.picture.width(), shown.picture.height());
        let channels = shown.channels.iter().map(|shown| ChannelJson {
            channel: shown.channel,
            color: shown.color.map(|part| format!("{part:02X}")).concat(),
            low: shown.window.map(|window| window.low),
            high: shown.window.map(|window| window.high),
        });
        let (channels, planes) = (channels.collect(), shown.planes.clone());
        ThumbnailJson { input: text(input), output: text(output), scene: scene.index, width, height, channels, planes }
    }
}
