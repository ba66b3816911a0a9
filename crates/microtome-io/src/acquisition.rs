//! How an image was taken: through which objective, where the stage was, and when and where each plane was taken.
//!
//! *Invariant:* only what a file states, its units made equal; nothing is guessed from something else.

use serde::{Deserialize, Serialize};

/// The objective of a microscope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its model, or what else it is called; empty where it has no name.
    pub name: String,
    /// How many times it magnifies, as it says itself.
    pub magnification: Option<f64>,
    /// Its numerical aperture.
    pub numerical_aperture: Option<f64>,
    /// What is between it and the sample (`Oil`, `Water`, `Air` …), or empty.
    pub immersion: String,
}

/// Where the stage was, in its own frame of reference: not where an image lies in space, which is
/// [`Position`](crate::Position).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StagePosition {
    /// Along X.
    pub x: Option<f64>,
    /// Along Y.
    pub y: Option<f64>,
    /// Along Z, the focus.
    pub z: Option<f64>,
    /// Unit of the three in the words of NGFF; `None` where it is the stage's own.
    pub unit: Option<String>,
}

impl StagePosition {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        self.x.is_none() && self.y.is_none() && self.z.is_none()
    }
}

/// When, how long and where a plane was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaneTaken {
    /// Index on T.
    pub t: u64,
    /// Index on C.
    pub c: u64,
    /// Index on Z.
    pub z: u64,
    /// Seconds since the first moment of the acquisition.
    pub delta_t: Option<f64>,
    /// Seconds of exposure.
    pub exposure: Option<f64>,
    /// Where the stage was.
    pub stage: Option<StagePosition>,
}
