//! `thumbnail` as JSON.

use std::path::Path;

use microtome::{Picture, SceneInfo};
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
}

impl ThumbnailJson {
    pub(crate) fn new(input: &Path, output: &Path, scene: &SceneInfo, picture: &Picture) -> ThumbnailJson {
        let (width, height) = (picture.width(), picture.height());
        ThumbnailJson { input: text(input), output: text(output), scene: scene.index, width, height }
    }
}
