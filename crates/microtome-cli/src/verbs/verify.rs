//! `verify`: an output against its own record, or two images pixel by pixel.

use std::fmt::Write as _;
use std::path::Path;

use microtome::{Image, Scene, SceneKind, compare};

use crate::args::{Everywhere, VerifyArgs};
use crate::error::CliError;
use crate::human;
use crate::json::{ComparedScene, ComparisonJson, VerificationJson};
use crate::output::Output;

pub(super) fn run(args: &VerifyArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let threads = everywhere.run_options().threads;
    match &args.other {
        None if args.scene.is_some() => {
            Err(CliError::usage("an output is verified as a whole; --scene is of two images that are compared"))
        }
        None => alone(&args.path, threads, everywhere, output),
        Some(other) => both(&args.path, other, args.scene.as_deref(), threads, everywhere, output),
    }
}

/// An output against its record.
fn alone(path: &Path, threads: usize, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let found = microtome::verify(path, threads)?;
    if everywhere.json {
        output.json(&VerificationJson::new(path, &found))?;
    } else if !everywhere.quiet {
        output.text(&human::verified(path, &found))?;
    }
    output.flush()?;
    if found.is_right() { Ok(()) } else { Err(CliError::Different { what: path.display().to_string() }) }
}

/// Two images, scene by scene.
fn both(
    path: &Path,
    other: &Path,
    scene: Option<&str>,
    threads: usize,
    everywhere: &Everywhere,
    output: &mut Output,
) -> Result<(), CliError> {
    let (a, b) = (everywhere.open(path)?, everywhere.open(other)?);
    let pairs = match scene {
        Some(name) => vec![(Some(a.scene_named(name)?), Some(b.scene_named(name)?))],
        None => pairs(&a, &b),
    };
    let mut json = ComparisonJson::new(path, other);
    let mut text = String::new();
    for (a, b) in pairs {
        let line = match (a, b) {
            (Some(a), Some(b)) => {
                let found = compare(&a, &b, threads)?;
                let line = human::compared(&found);
                json.push(ComparedScene::new(a.info(), &found));
                format!("{}: {line}", human::scene_title(&a))
            }
            (Some(only), None) => {
                json.unpaired(path, only.info());
                format!("{}: only in {}", human::scene_title(&only), path.display())
            }
            (None, Some(only)) => {
                json.unpaired(other, only.info());
                format!("{}: only in {}", human::scene_title(&only), other.display())
            }
            (None, None) => continue,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    if everywhere.json {
        output.json(&json)?;
    } else if !everywhere.quiet {
        output.text(&text)?;
    }
    output.flush()?;
    let what = || format!("{} and {}", path.display(), other.display());
    if json.is_equal() { Ok(()) } else { Err(CliError::Different { what: what() }) }
}

/// The scenes of two images in pairs: images in order, then labels in order.
fn pairs(a: &Image, b: &Image) -> Vec<(Option<Scene>, Option<Scene>)> {
    let of = |image: &Image, kind: SceneKind| -> Vec<Scene> {
        image.scenes().filter(|scene| scene.info().kind == kind).collect()
    };
    let mut out = Vec::new();
    for kind in [SceneKind::Image, SceneKind::Label] {
        let (mut a, mut b) = (of(a, kind).into_iter(), of(b, kind).into_iter());
        loop {
            match (a.next(), b.next()) {
                (None, None) => break,
                pair => out.push(pair),
            }
        }
    }
    out
}
