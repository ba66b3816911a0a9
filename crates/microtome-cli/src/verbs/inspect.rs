//! `inspect`: what is in an image, from its headers alone.

use std::path::Path;

use super::paths::{Answer, each};
use crate::args::{Everywhere, InspectArgs};
use crate::error::CliError;
use crate::human;
use crate::json::{ImageJson, SceneJson};
use crate::output::Output;

pub(super) fn run(args: &InspectArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    each(&args.paths, everywhere.json, output, |path| inspect(path, args, everywhere))
}

fn inspect(path: &Path, args: &InspectArgs, everywhere: &Everywhere) -> Result<Answer<ImageJson>, CliError> {
    let path = &args.pattern.within(path)?;
    let image = everywhere.open(path)?;
    let info = image.info();
    let scenes = match &args.scene {
        Some(name) => vec![image.scene_named(name)?],
        None => image.scenes().collect(),
    };
    let mut counted = Vec::new();
    for scene in &scenes {
        let dims = args.chunks.dims().unwrap_or_else(|| scene.default_chunks());
        let array = scene.array(&dims)?;
        counted.push((scene.info(), dims, array));
    }
    let mut json: Vec<_> = counted.iter().map(|(scene, dims, array)| SceneJson::new(scene, dims, array)).collect();
    let mut planes = Vec::new();
    if args.planes {
        for scene in &scenes {
            planes.push(scene.planes_taken()?);
        }
        json = json.into_iter().zip(planes.clone()).map(|(json, planes)| json.with_planes(planes)).collect();
    }
    let text = match (args.ome_xml, &info.ome_xml) {
        (false, _) => human::image(info, &counted, &planes),
        (true, Some(xml)) => xml.clone(),
        (true, None) => format!("{} has no OME-XML", path.display()),
    };
    Ok(Answer { json: ImageJson::new(info, json, args.ome_xml), text, apart: !args.ome_xml })
}
