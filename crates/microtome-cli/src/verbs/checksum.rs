//! `checksum`: a hash of the pixels of each scene that other tools can make too.

use std::fmt::Write as _;
use std::path::Path;

use microtome::Image;
use microtome::checksum::{AxisOrder, checksum};

use super::paths::{Answer, each};
use crate::args::{ChecksumArgs, Everywhere};
use crate::error::CliError;
use crate::json::{ImageSums, SceneSum};
use crate::output::Output;

pub(super) fn run(args: &ChecksumArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let order = args.axes.clone().unwrap_or_default();
    each(&args.paths, everywhere.json, output, |path| {
        let path = &args.pattern.within(path)?;
        sums(&everywhere.open(path)?, path, args.scene.as_deref(), &order)
    })
}

fn sums(image: &Image, path: &Path, scene: Option<&str>, order: &AxisOrder) -> Result<Answer<ImageSums>, CliError> {
    let scenes = match scene {
        Some(name) => vec![image.scene_named(name)?],
        None => image.scenes().collect(),
    };
    let mut sums = ImageSums::new(image.info());
    let mut text = String::new();
    for scene in scenes {
        let hash = checksum(scene.reader().as_ref(), scene.place().scene, order)?;
        let sum = SceneSum::new(scene.info(), hash);
        let separator = if sum.name.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {} {}{separator}{}", sum.sha256, path.display(), sum.index, sum.name);
        sums.push(scene.info().kind, sum);
    }
    Ok(Answer { json: sums, text, apart: false })
}
