//! `checksum` as JSON.

use microtome::{ImageInfo, SceneInfo, SceneKind};
use serde::Serialize;

/// The sums of an image.
#[derive(Debug, Serialize)]
pub(crate) struct ImageSums {
    pub(crate) path: String,
    pub(crate) scenes: Vec<SceneSum>,
    pub(crate) labels: Vec<SceneSum>,
}

/// The sum of a scene.
#[derive(Debug, Serialize)]
pub(crate) struct SceneSum {
    pub(crate) index: usize,
    pub(crate) name: String,
    axes: &'static str,
    shape: Vec<u64>,
    dtype: &'static str,
    pub(crate) sha256: String,
}

impl SceneSum {
    pub(crate) fn new(scene: &SceneInfo, sha256: String) -> SceneSum {
        let shape = scene.shape();
        SceneSum {
            index: scene.index,
            name: if scene.name.is_empty() { scene.id.clone() } else { scene.name.clone() },
            axes: shape.axes(),
            shape: shape.present().to_vec(),
            dtype: scene.dtype.name(),
            sha256,
        }
    }
}

impl ImageSums {
    pub(crate) fn new(info: &ImageInfo) -> ImageSums {
        ImageSums { path: super::image::text(&info.path), scenes: Vec::new(), labels: Vec::new() }
    }

    pub(crate) fn push(&mut self, kind: SceneKind, sum: SceneSum) {
        match kind {
            SceneKind::Image => self.scenes.push(sum),
            SceneKind::Label => self.labels.push(sum),
        }
    }
}
