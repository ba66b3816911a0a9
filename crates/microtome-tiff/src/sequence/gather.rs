//! Opening each file of a sequence: one set of all files, and the scenes that each has by itself.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use microtome_io::{Limits, ReadError};

use super::search::Found;
use crate::scenes::{Arranged, Draft, arrange};
use crate::set::Set;

/// The files of a sequence.
pub(super) struct Gathered {
    pub(super) set: Set,
    /// The scenes of all files, each with the number of the file that all its planes lie in, if it is one of the sequence.
    pub(super) drafts: Vec<(Draft, Option<usize>)>,
    /// Why files cannot be read, by their number.
    pub(super) broken: HashMap<usize, String>,
    /// What the first file says, where it is the only one that says anything.
    pub(super) description: Option<String>,
    pub(super) ome_xml: Option<String>,
}

impl Gathered {
    /// Whether the metadata of one file describe all of them together.
    pub(super) fn is_one_set(&self) -> bool {
        self.ome_xml.is_some()
    }
}

/// Opens all files. Those that cannot be read are noted, if any can be.
pub(super) fn gather(found: &[Found], limits: &Limits) -> Result<Gathered, ReadError> {
    let mut whole: Option<Gathered> = None;
    let mut first_error = None;
    let mut broken = HashMap::new();
    let mut warnings = Warnings::default();
    // The number of each file in the set, by device and inode.
    let mut known: HashMap<(u64, u64), u32> = HashMap::new();
    let mut opened = 0;
    for (number, file) in found.iter().enumerate() {
        let inode = std::fs::metadata(&file.path).map(|m| (m.dev(), m.ino()));
        if inode.is_ok_and(|inode| known.contains_key(&inode)) {
            continue; // another file's metadata named it
        }
        let (mut set, arranged) = match one(&file.path, limits) {
            Ok(one) => one,
            Err(over @ ReadError::OverLimit { .. }) => return Err(over),
            Err(error) => {
                let why = error.to_string();
                warnings.add(&file.path, format!("cannot be read: {why}"));
                broken.insert(number, why);
                first_error.get_or_insert(error);
                continue;
            }
        };
        opened += 1;
        for text in std::mem::take(&mut set.warnings) {
            warnings.add(&file.path, text);
        }
        let start = whole.as_ref().map_or(0, |whole| whole.set.files.len());
        for (n, file) in set.files.iter().enumerate() {
            known.insert(file.source.inode(), (start + n) as u32);
        }
        add(&mut whole, set, arranged);
    }
    let Some(mut whole) = whole else {
        let path = found[0].path.clone();
        return Err(first_error.unwrap_or(ReadError::NotFound { path }));
    };
    whole.set.warnings = warnings.told();
    whole.broken = broken;
    let numbers: HashMap<u32, usize> = found
        .iter()
        .enumerate()
        .filter_map(|(number, file)| {
            let metadata = std::fs::metadata(&file.path).ok()?;
            Some((*known.get(&(metadata.dev(), metadata.ino()))?, number))
        })
        .collect();
    for (draft, home) in &mut whole.drafts {
        *home = home_of(draft).and_then(|file| numbers.get(&file).copied());
    }
    if opened > 1 {
        (whole.description, whole.ome_xml) = (None, None);
    }
    Ok(whole)
}

fn one(path: &Path, limits: &Limits) -> Result<(Set, Arranged), ReadError> {
    let mut set = Set::open(path, limits)?;
    let arranged = arrange(&mut set)?;
    Ok((set, arranged))
}

fn add(whole: &mut Option<Gathered>, set: Set, arranged: Arranged) {
    let Arranged { drafts, ome_xml, description, .. } = arranged;
    let Some(whole) = whole else {
        let drafts = drafts.into_iter().map(|draft| (draft, None)).collect();
        *whole = Some(Gathered { set, drafts, broken: HashMap::new(), description, ome_xml });
        return;
    };
    let shift = whole.set.adopt(set);
    for mut draft in drafts {
        draft.planes.iter_mut().chain(draft.levels.iter_mut().flatten()).for_each(|plane| *plane = plane.moved(shift));
        whole.drafts.push((draft, None));
    }
}

/// The one file that all planes of a scene lie in.
fn home_of(draft: &Draft) -> Option<u32> {
    let mut files = draft.planes.iter().filter(|plane| !plane.is_absent()).map(|plane| plane.file());
    let first = files.next()?;
    files.all(|file| file == first).then_some(first)
}

/// What was noticed, the same of many files once.
#[derive(Default)]
struct Warnings {
    order: Vec<String>,
    by_text: HashMap<String, (String, usize)>,
}

impl Warnings {
    fn add(&mut self, path: &Path, text: String) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (_, count) = self.by_text.entry(text.clone()).or_insert_with(|| {
            self.order.push(text);
            (name, 0)
        });
        *count += 1;
    }

    fn told(self) -> Vec<String> {
        let tell = |text: String| {
            let (name, count) = &self.by_text[&text];
            let others = if *count > 1 { format!(" and {} other files", count - 1) } else { String::new() };
            format!("{name}{others}: {text}")
        };
        self.order.into_iter().map(tell).collect()
    }
}
