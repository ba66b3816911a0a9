//! Answers for people.

mod bench;
mod cluster;
mod cluster_deep;
mod image;
mod images;
mod measure;
mod number;
mod plan;
mod run;
mod shape;
mod table;
mod thumbnail;
mod verify;

pub(crate) use bench::bench;
pub(crate) use cluster::{check as cluster_check, local as cluster_local};
pub(crate) use image::image;
pub(crate) use images::{estimate, explained};
pub(crate) use measure::measured;
pub(crate) use number::{bytes, count, duration};
pub(crate) use plan::{about, losses, plan};
pub(crate) use run::run;
pub(crate) use shape::chunk_axes;
pub(crate) use thumbnail::thumbnail;
pub(crate) use verify::{compared, scene_title, verified};
