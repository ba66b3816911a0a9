//! Micro-Manager: folders of `NDTiff`, whose index says where each image lies.
//!
//! *Invariant:* the index decides which bytes an image has, and a file that it names is opened only in the same folder.

mod axes;
mod index;

use std::collections::BTreeMap;
use std::path::Path;

use microtome_io::{Channel, Limits, PixelSize, ReadError};
use serde_json::Value;

use self::axes::Axes;
use self::index::{Entry, Index};
use crate::file::SourceFile;
use crate::index::PageIndex;
use crate::page::Tags;
use crate::reader::{TiffReader, assemble};
use crate::scenes::{Arranged, Draft};
use crate::set::{Beneath, PlaneRef, Set, TiffFile, beneath};

/// The file that makes a folder one of `NDTiff`.
const INDEX: &str = "NDTiff.index";
/// The folder of full resolution in one of several.
const FULL: &str = "Full resolution";
/// Longest metadata of one image.
const MOST_METADATA: u64 = 1 << 20;

/// Whether a folder is one of `NDTiff`, as Micro-Manager and Pycro-Manager write them.
pub fn is_ndtiff(path: &Path) -> bool {
    path.is_dir() && (path.join(INDEX).is_file() || path.join(FULL).join(INDEX).is_file())
}

/// Opens a folder of `NDTiff` by its index; the pages themselves are not walked.
///
/// Axes named `time`, `channel` and `z` are T, C and Z, positions, rows and columns are scenes; what the folder holds in lower
/// resolution beside is not read.
///
/// # Errors
/// [`ReadError`] if the index is not there or damaged, or none of its files is.
pub fn open_ndtiff(path: &Path, limits: &Limits) -> Result<TiffReader, ReadError> {
    let full = path.join(FULL);
    let (folder, is_pyramid) = if path.join(INDEX).is_file() { (path, false) } else { (&*full, true) };
    let mut index = read_index(&folder.join(INDEX), limits)?;
    let mut set = Set::empty(limits);
    set.companions.push(folder.join(INDEX));
    set.warnings.append(&mut index.warnings);
    if is_pyramid {
        set.warn(format!("of a folder of several resolutions {FULL:?} is read, and no other one"));
    }
    let planes = pages(&mut set, folder, &index)?;
    let axes = Axes::of(&index.entries, &mut set.warnings);
    let mut scenes: BTreeMap<Vec<usize>, Vec<([u64; 3], usize)>> = BTreeMap::new();
    let places = axes.places();
    for (n, entry) in index.entries.iter().enumerate() {
        let (scene, plane) = places.of(&entry.axes);
        scenes.entry(scene).or_default().push((plane, n));
    }
    let size = axes.size();
    let count = size.iter().try_fold(scenes.len() as u64, |p, &n| p.checked_mul(n)).unwrap_or(u64::MAX);
    if count > limits.pages {
        let (path, what, limit) = (path.to_owned(), "number of planes".to_owned(), limits.pages);
        return Err(ReadError::OverLimit { path, what, location: String::new(), found: count, limit });
    }
    let told = Told::new(&set, &index);
    let mut drafts = Vec::new();
    for (key, members) in &scenes {
        drafts.push(scene(&mut set, &axes, (&key[..], &members[..]), (&index, &planes), &told));
    }
    assemble(path, set, Arranged { format: "NDTiff", drafts, ome_xml: None, description: None })
}

fn read_index(path: &Path, limits: &Limits) -> Result<Index, ReadError> {
    let file = SourceFile::open(path)?;
    if file.size() > limits.total_tag_bytes {
        let what = "size in bytes".to_owned();
        let (found, limit) = (file.size(), limits.total_tag_bytes);
        return Err(ReadError::OverLimit { path: path.to_owned(), what, location: String::new(), found, limit });
    }
    let mut bytes = vec![0; file.size() as usize];
    file.read_exact(&mut bytes, 0)?;
    let what = "the index".to_owned();
    index::parse(&bytes, limits.pages).map_err(|why| ReadError::Corrupt {
        path: path.to_owned(),
        what,
        location: String::new(),
        why,
    })
}

/// Opens the files of the index; the page of each entry, or why it has none.
fn pages(set: &mut Set, folder: &Path, index: &Index) -> Result<Vec<PlaneRef>, ReadError> {
    let mut first_error = None;
    let allowed = set.limits.allowed_roots.clone();
    let mut sources: Vec<Result<SourceFile, PlaneRef>> = Vec::new();
    for name in &index.files {
        sources.push(match beneath(folder, name, &allowed) {
            Beneath::File(path) => match SourceFile::open(&path) {
                Ok(file) => Ok(file),
                Err(error) => {
                    let plane = set.reason(format!("it lies in {name}, which cannot be read"));
                    set.warn(format!("{name} is not read: {error}"));
                    first_error.get_or_insert(error);
                    Err(plane)
                }
            },
            Beneath::Missing(path) => {
                first_error.get_or_insert(ReadError::NotFound { path: path.clone() });
                set.missing.push(path);
                Err(set.reason(format!("it lies in {name}, which is missing")))
            }
            Beneath::Refused => {
                set.warn(format!("{name:?} lies outside the folder; it is not opened"));
                Err(set.reason(format!("it lies in {name:?}, outside the folder of the image")))
            }
        });
    }
    let mut page_indexes: Vec<PageIndex> = sources.iter().map(|_| PageIndex::default()).collect();
    let orders: Vec<bool> = sources.iter().map(|s| s.as_ref().is_ok_and(is_big_endian)).collect();
    let mut numbers: Vec<u32> = Vec::with_capacity(sources.len());
    let mut count = 0;
    for source in &sources {
        numbers.push(count);
        count += u32::from(source.is_ok());
    }
    let unknown = set.reason("the index gives it a type of pixels of which nothing is known".to_owned());
    let mut planes = Vec::with_capacity(index.entries.len());
    for entry in &index.entries {
        planes.push(match (&sources[entry.file], tags(entry, orders[entry.file])) {
            (Err(absent), _) => *absent,
            (_, None) => unknown,
            (Ok(_), Some(tags)) => {
                let pages = &mut page_indexes[entry.file];
                let bytes = tags.width * tags.height * tags.samples * tags.bits / 8;
                pages.push(&tags, &[entry.offset], &[bytes]);
                PlaneRef::new(numbers[entry.file], pages.len() - 1)
            }
        });
    }
    for (source, mut index) in sources.into_iter().zip(page_indexes) {
        index.end_chain();
        index.shrink();
        if let Ok(source) = source {
            set.files.push(TiffFile { source, index });
        }
    }
    if set.files.is_empty() {
        return Err(first_error.unwrap_or(ReadError::NotFound { path: folder.to_owned() }));
    }
    Ok(planes)
}

/// How the pixels of an entry lie: one strip without compression, by the format.
fn tags(entry: &Entry, big_endian: bool) -> Option<Tags> {
    let (samples, bits) = entry.pixel()?;
    let (width, height) = (entry.width, entry.height);
    let photometric = if samples == 3 { 2 } else { 1 };
    Some(Tags { width, height, samples, bits, photometric, big_endian, tile: (0, height.max(1)), ..Tags::default() })
}

fn is_big_endian(file: &SourceFile) -> bool {
    let mut first = [0; 2];
    file.size() >= 2 && file.read_exact(&mut first, 0).is_ok() && first == *b"MM"
}

/// What the metadata of the first file and the first image say.
struct Told {
    summary: Value,
    image: Value,
}

impl Told {
    fn new(set: &Set, index: &Index) -> Told {
        let json = |offset: u64, bytes: u64| {
            let fields =
                if bytes <= MOST_METADATA.max(set.limits.tag_bytes) { set.fields(offset, bytes) } else { None };
            let text = fields.map(|fields| fields.text(0, fields.len()));
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
        };
        // Behind the header: a mark of `NDTiff`, versions, and a mark and the length of the summary.
        let head = set.fields(0, 28);
        let length = head.filter(|head| head.u32(20) == Some(2_355_492)).and_then(|head| head.u32(24));
        let main = index.entries.first().filter(|entry| {
            let name = set.path().file_name().unwrap_or_default().to_string_lossy();
            index.files[entry.file] == name
        });
        Told {
            summary: length.map_or(Value::Null, |length| json(28, u64::from(length))),
            image: main.map_or(Value::Null, |entry| json(entry.metadata.0, entry.metadata.1)),
        }
    }

    /// A number above 0 by the first of these names that has one, of the image before the summary.
    fn number(&self, names: &[&str]) -> Option<f64> {
        let of = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let all = names.iter().flat_map(|name| [self.image.get(*name), self.summary.get(*name)]).flatten();
        all.filter_map(of).map(f64::abs).find(|number| number.is_finite() && *number > 0.0)
    }

    fn pixel_size(&self) -> PixelSize {
        let across = self.number(&["PixelSizeUm", "PixelSize_um"]);
        let z = self.number(&["z-step_um", "ZStepUm"]);
        let unit = (across.is_some() || z.is_some()).then(|| "micrometer".to_owned());
        PixelSize { z, y: across, x: across, unit }
    }
}

fn scene(
    set: &mut Set,
    axes: &Axes,
    (key, members): (&[usize], &[([u64; 3], usize)]),
    (index, pages): (&Index, &[PlaneRef]),
    told: &Told,
) -> Draft {
    let size = axes.size();
    let unnamed = set.reason("NDTiff.index has no image for it".to_owned());
    let mut planes = vec![unnamed; (size[0] * size[1] * size[2]) as usize];
    for &([t, c, z], entry) in members {
        // An image that was written again comes later, and is the one that counts.
        planes[((t * size[1] + c) * size[2] + z) as usize] = pages[entry];
    }
    let name = axes.scene_name(key);
    let holes = planes.iter().filter(|&&plane| plane == unnamed).count();
    if holes > 0 {
        let scene = if name.is_empty() { String::new() } else { format!(" of {name}") };
        let count = planes.len();
        set.warn(format!("{holes} of {count} planes{scene} are not in NDTiff.index; reading them is an error"));
    }
    let mut draft = Draft::new(size, planes);
    let names = told.summary.get("ChNames").and_then(Value::as_array);
    for (n, (channel, value)) in draft.channels.iter_mut().zip(&axes.planes[1].1).enumerate() {
        let listed = || names.and_then(|names| names.get(n)).and_then(Value::as_str);
        let name = value.as_str().or_else(listed).unwrap_or_default().to_owned();
        *channel = Channel { name, ..Channel::default() };
    }
    draft.pixel_size = told.pixel_size();
    draft.name = name;
    let first = members.first().map(|&(_, entry)| &index.entries[entry]);
    draft.fallback = first.and_then(|entry| {
        let dtype =
            if entry.pixel()?.1 == 8 { microtome_array::PixelType::U8 } else { microtome_array::PixelType::U16 };
        Some(([entry.height, entry.width], dtype))
    });
    draft
}
