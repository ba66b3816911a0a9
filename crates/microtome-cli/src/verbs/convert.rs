//! `convert`: an image, or a part of it, as OME-Zarr, OME-TIFF or PNG; with all that belongs together: labels, wells, series.

use microtome::{
    Collection, Image, LazyArray, Member, OutputFormat, Part, SceneInfo, SceneKind, Store, Survey, describe, plate,
    series, survey,
};
use serde_json::Value;

use super::job::{self, Job, Work};
use crate::args::{ConvertArgs, Everywhere, target};
use crate::error::CliError;

/// What is to be done.
pub(super) fn job(args: &ConvertArgs, everywhere: &Everywhere) -> Result<Job, CliError> {
    job::check(&args.output, &args.store)?;
    let input = args.source.pattern.within(&args.input)?;
    let image = job::open(&input, everywhere)?;
    // A Zarr that is a plate stays one as a whole, with its labels.
    if args.plate && survey(&image)?.is_none() {
        check_plate(args)?;
        return together(&image, args, &plate(&image)?);
    }
    match target(&args.output)? {
        OutputFormat::OmeZarr => {
            if let Some(chosen) = chosen(&image, args)? {
                return together(&image, args, &chosen);
            }
        }
        OutputFormat::OmeTiff if args.source.scene.is_none() && is_whole(args) && images(&image).nth(1).is_some() => {
            return in_one_tiff(&image, args);
        }
        OutputFormat::OmeTiff | OutputFormat::Png => {}
    }
    let array = cast(job::source(&image, &args.source)?, args)?;
    Job::new(&input, &args.output, array, &args.store)
}

/// Refuses what contradicts a plate of all scenes.
fn check_plate(args: &ConvertArgs) -> Result<(), CliError> {
    if target(&args.output)? != OutputFormat::OmeZarr {
        return Err(CliError::usage("--plate is of OME-Zarr; let the output end in .ome.zarr"));
    }
    let source = &args.source;
    let of_one = [
        ("--scene", source.scene.is_some()),
        ("--level", source.level > 0),
        ("--region", source.region.is_some()),
        ("--axes", source.axes.is_some()),
    ];
    match of_one.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(CliError::usage(format!("--plate takes all scenes as they are, without {flag}"))),
        None => Ok(()),
    }
}

fn cast(array: LazyArray, args: &ConvertArgs) -> Result<LazyArray, CliError> {
    Ok(match args.dtype {
        Some(dtype) => array.cast(dtype)?,
        None => array,
    })
}

/// Whether scenes are taken as they are.
fn is_whole(args: &ConvertArgs) -> bool {
    args.source.level == 0 && args.source.region.is_none() && args.source.axes.is_none()
}

/// The scenes that are images and no labels.
fn images(image: &Image) -> impl Iterator<Item = &SceneInfo> {
    image.info().scenes.iter().filter(|scene| scene.kind == SceneKind::Image)
}

/// All images of a file, or of a Zarr, in one OME-TIFF.
fn in_one_tiff(image: &Image, args: &ConvertArgs) -> Result<Job, CliError> {
    let member = |scene: &SceneInfo| Member {
        scene: scene.index,
        path: String::new(),
        name: scene.name.clone(),
        label: Value::Null,
        windows: Vec::new(),
    };
    let parts = images(image).map(|scene| part(image, args, &member(scene))).collect::<Result<Vec<_>, _>>()?;
    let array = parts[0].array.clone();
    let options = args.store.options(OutputFormat::OmeTiff)?;
    let work = Work::Several(Box::new(Collection::tiff(&args.output, parts, &options)?));
    Ok(Job::of(&image.info().path, array, work, &args.store))
}

/// The scenes that are written together, with their groups: all of a Zarr or of an OME-TIFF, or the one of a Zarr that is named
/// and its labels. `None` where there is nothing to keep together, and for a part of an image, whose labels would not fit it.
fn chosen(image: &Image, args: &ConvertArgs) -> Result<Option<Survey>, CliError> {
    if !is_whole(args) {
        return Ok(None);
    }
    let survey = match survey(image)? {
        Some(Ok(survey)) => survey,
        Some(Err(why)) => {
            tracing::debug!("{}: {why}", image.info().path.display());
            return Ok(None);
        }
        None if args.source.scene.is_none() => return Ok(series(image)),
        None => return Ok(None),
    };
    let Some(name) = &args.source.scene else { return Ok(Some(survey)) };
    let scene = image.scene_named(name)?.place().scene;
    Ok(survey.members.iter().find(|member| member.scene == scene).map(|base| below(&survey, &base.path)))
}

/// The part of a survey at a path and in the labels below it, by its paths from there.
fn below(survey: &Survey, base: &str) -> Survey {
    let labels = if base.is_empty() { "labels".to_owned() } else { format!("{base}/labels") };
    let inside = |path: &str| path == labels || path.starts_with(&format!("{labels}/"));
    let from_here = |path: &str| path[base.len()..].trim_start_matches('/').to_owned();
    let members = survey.members.iter().filter(|member| member.path == base || inside(&member.path));
    let members = members.map(|member| Member { path: from_here(&member.path), ..member.clone() }).collect();
    let groups = survey.groups.iter().filter(|(path, _)| inside(path));
    Survey { members, groups: groups.map(|(path, says)| (from_here(path), says.clone())).collect() }
}

/// One scene alone, or several in one folder.
fn together(image: &Image, args: &ConvertArgs, chosen: &Survey) -> Result<Job, CliError> {
    let parts = chosen.members.iter().map(|member| part(image, args, member)).collect::<Result<Vec<_>, _>>()?;
    let array = parts[0].array.clone();
    let options = args.store.options(target(&args.output)?)?;
    let work = if let ([part], false) = (&parts[..], args.plate) {
        Work::One(Box::new(Store::of_part(part, &args.output, &options)?))
    } else {
        let xml = image.info().ome_xml.clone();
        Work::Several(Box::new(Collection::of(&args.output, parts, &chosen.groups, xml, &options)?))
    };
    Ok(Job::of(&image.info().path, array, work, &args.store))
}

fn part(image: &Image, args: &ConvertArgs, member: &Member) -> Result<Part, CliError> {
    let scene = image.scene(member.scene)?;
    let dims = args.source.chunk_dims.clone().unwrap_or_else(|| scene.default_chunks());
    let array = scene.array(&dims)?;
    let is_image = scene.info().kind == SceneKind::Image;
    let array = if is_image { cast(array, args)? } else { array };
    let mut info = describe(&array).unwrap_or_else(|| scene.info().clone());
    if !member.name.is_empty() {
        info.name.clone_from(&member.name);
    }
    let naming = args.store.naming();
    // Names are of the channels of images.
    let naming = if is_image { naming } else { microtome::Naming { channels: None, ..naming } };
    naming.apply(&mut info)?;
    Ok(Part {
        path: member.path.clone(),
        array,
        scene: info,
        label: member.label.clone(),
        windows: member.windows.clone(),
    })
}
