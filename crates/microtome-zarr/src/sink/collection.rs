//! Several images that appear together: an image with its labels, a plate, a folder of bioformats2raw.
//!
//! *Invariant:* nothing stands under the output's name until every image does; an image is whole when its own completion
//! record says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use microtome_io::{Standing, WriteError};
use serde_json::{Value, json};

use super::member::Member;
use super::publish::{Partial, Place};
use super::{ZarrOutput, complete, document, records};
use crate::{LevelSpec, NgffVersion, OutputMeta, ZarrOptions};
use microtome_io::disk;

/// Several images that appear together.
///
/// Each is an output of its own, with its own journal and record, inside the collection's partial folder:
/// [`create_member`]. So a run that goes on skips finished images by one small file each, and reads the journal of the one
/// that was being written.
#[derive(Debug)]
pub struct ZarrCollection {
    place: Place,
    version: NgffVersion,
    groups: Vec<(String, Value)>,
    ome_xml: Option<String>,
}

impl ZarrCollection {
    /// A collection at a path, of groups (path, NGFF attributes) that hold images, and the OME-XML of all of them. Nothing is
    /// touched on disk.
    pub fn new(
        path: &Path,
        options: &ZarrOptions,
        groups: Vec<(String, Value)>,
        ome_xml: Option<String>,
    ) -> ZarrCollection {
        let place = Place { out: path.to_owned(), overwrite: options.overwrite };
        ZarrCollection { place, version: options.version, groups, ome_xml }
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.place.out
    }

    /// What decides its bytes beside the images.
    pub fn parameters(&self) -> Value {
        json!({"version": self.version.name(), "groups": self.groups, "ome_xml": self.ome_xml})
    }

    /// What stands where it is to stand; refuses what is in the way. Nothing is changed.
    ///
    /// # Errors
    /// As [`Output::look`](microtome_io::Output::look).
    pub fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        self.place.look(plan, resume)
    }

    /// Makes its partial folder, or takes up the one that is there.
    ///
    /// # Errors
    /// As [`look`](ZarrCollection::look), and if it cannot be made.
    pub fn begin(
        &self,
        plan: &str,
        standing: Standing,
        images: &[String],
        sync: bool,
    ) -> Result<ZarrBuilding<'_>, WriteError> {
        let (partial, _) = self.place.begin(plan, standing)?;
        complete::write_collection(partial.dir(), plan, images, false, sync)?;
        for path in images {
            let folder = partial.dir().join(path);
            std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
        }
        let (plan, images) = (plan.to_owned(), images.to_vec());
        Ok(ZarrBuilding { collection: self, partial, plan, images, sync })
    }

    /// Removes what a run left that was killed after the collection had its name.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be removed.
    pub fn clear(&self, plan: &str) -> Result<(), WriteError> {
        self.place.clear(plan)
    }
}

/// A collection being written.
#[derive(Debug)]
pub struct ZarrBuilding<'a> {
    collection: &'a ZarrCollection,
    partial: Partial,
    plan: String,
    images: Vec<String>,
    sync: bool,
}

impl ZarrBuilding<'_> {
    /// The folder in which the images are built.
    pub fn dir(&self) -> &Path {
        self.partial.dir()
    }

    /// Writes the groups and publishes the collection; called once every image is finished.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be published; it then keeps its partial name.
    pub fn finish(&self) -> Result<(), WriteError> {
        let ZarrCollection { version, groups, ome_xml, .. } = self.collection;
        if let Some(text) = ome_xml {
            records::write_ome_xml(self.dir(), text, self.sync)?;
        }
        for (path, attributes) in groups {
            let folder = self.dir().join(path);
            std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
            for (name, document) in document::of_group(*version, attributes.clone()) {
                disk::write(&folder.join(name), document::text(&document).as_bytes(), self.sync)?;
            }
        }
        if self.sync {
            self.folders().iter().rev().try_for_each(|folder| disk::sync_folder(folder))?;
        }
        complete::write_collection(self.dir(), &self.plan, &self.images, true, self.sync)?;
        self.partial.publish(self.sync)
    }

    /// Every folder between the collection's own and an image or a group.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let paths = self.images.iter().chain(self.collection.groups.iter().map(|(path, _)| path));
        let above = |path: &String| self.dir().join(path).ancestors().map(Path::to_owned).collect::<Vec<_>>();
        paths.flat_map(above).filter(|folder| folder.starts_with(self.dir())).collect()
    }

    /// Removes it as far as possible.
    pub fn abandon(&self) {
        self.partial.abandon(true); // its images may be written by others too
    }
}

/// Describes an image of a collection, in a folder inside the collection's partial one; see [`create`](crate::create).
///
/// # Errors
/// As [`create`](crate::create).
pub fn create_member(
    dir: &Path,
    levels: &[LevelSpec],
    meta: &OutputMeta,
    options: &ZarrOptions,
) -> Result<ZarrOutput, WriteError> {
    let output = super::create(dir, levels, meta, options)?;
    Ok(ZarrOutput { member: Some(Member { dir: dir.to_owned() }), ..output })
}
