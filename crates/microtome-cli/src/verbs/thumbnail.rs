//! `thumbnail`: a picture of a scene to look at.

use microtome::{ThumbnailOptions, WriteError, thumbnail};

use crate::args::{Everywhere, ThumbnailArgs};
use crate::error::CliError;
use crate::human;
use crate::json::ThumbnailJson;
use crate::output::Output;

pub(super) fn run(args: &ThumbnailArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let is_png = args.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"));
    if !is_png {
        return Err(CliError::usage(format!(
            "{}: a picture is written as PNG; end the name in .png",
            args.output.display()
        )));
    }
    args.check()?;
    if args.output.exists() && !args.overwrite {
        return Err(WriteError::Exists { path: args.output.clone() }.into());
    }
    let image = everywhere.open(&args.pattern.within(&args.input)?)?;
    let scene = match &args.scene {
        Some(name) => image.scene_named(name)?,
        None => image.only_scene()?,
    };
    let options = ThumbnailOptions {
        size: args.size,
        t: args.time.unwrap_or(0),
        z: args.depth,
        project_z: args.max_z,
        channels: args.channels.clone().unwrap_or_default(),
        contrast: [args.contrast.0, args.contrast.1],
        sheet: args.sheet,
    };
    let shown = thumbnail(&scene, &options, &everywhere.run_options())?;
    shown.picture.save(&args.output, args.overwrite)?;
    if everywhere.json {
        return output.json(&ThumbnailJson::new(&args.input, &args.output, scene.info(), &shown));
    }
    if everywhere.quiet {
        return Ok(());
    }
    output.text(&human::thumbnail(&args.output, scene.info(), args.sheet, &shown))
}
