//! `verify` as JSON.

use std::path::Path;

use microtome::{Comparison, SceneInfo, Verification};
use serde::Serialize;

use super::image::text;

/// An output against its own record.
#[derive(Debug, Serialize)]
pub(crate) struct VerificationJson<'a> {
    path: String,
    equal: bool,
    #[serde(flatten)]
    found: &'a Verification,
}

impl VerificationJson<'_> {
    pub(crate) fn new<'a>(path: &Path, found: &'a Verification) -> VerificationJson<'a> {
        VerificationJson { path: text(path), equal: found.is_right(), found }
    }
}

/// Two images, scene by scene.
#[derive(Debug, Serialize)]
pub(crate) struct ComparisonJson {
    paths: [String; 2],
    equal: bool,
    scenes: Vec<ComparedScene>,
    /// Scenes that only one of them has.
    unpaired: Vec<Unpaired>,
}

/// A pair of scenes.
#[derive(Debug, Serialize)]
pub(crate) struct ComparedScene {
    index: usize,
    name: String,
    equal: bool,
    #[serde(flatten)]
    found: Comparison,
}

/// A scene that the other image has not.
#[derive(Debug, Serialize)]
struct Unpaired {
    path: String,
    index: usize,
    name: String,
}

impl ComparedScene {
    pub(crate) fn new(scene: &SceneInfo, found: &Comparison) -> ComparedScene {
        let (index, name) = (scene.index, scene.name.clone());
        ComparedScene { index, name, equal: found.is_equal(), found: found.clone() }
    }
}

impl ComparisonJson {
    pub(crate) fn new(a: &Path, b: &Path) -> ComparisonJson {
        ComparisonJson { paths: [text(a), text(b)], equal: true, scenes: Vec::new(), unpaired: Vec::new() }
    }

    pub(crate) fn push(&mut self, scene: ComparedScene) {
        self.equal &= scene.equal;
        self.scenes.push(scene);
    }

    pub(crate) fn unpaired(&mut self, path: &Path, scene: &SceneInfo) {
        self.equal = false;
        self.unpaired.push(Unpaired { path: text(path), index: scene.index, name: scene.name.clone() });
    }

    pub(crate) fn is_equal(&self) -> bool {
        self.equal
    }
}
