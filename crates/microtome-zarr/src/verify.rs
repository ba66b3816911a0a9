//! A finished output looked at against its own completion record: every unit's file, its length and its bytes.
//!
//! *Invariant:* nothing is decoded and nothing is changed; where a unit's file lies is taken from the array's document alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use microtome_io::{Difference, HowDifferent, PartDifference, ReadError, Verification, on_threads};
use serde_json::Value;

use crate::sink::complete::{Recorded, RecordedArray, collection, recorded};
use microtome_io::disk;

/// Looks at every write unit of a finished output on some threads. Reads all of its bytes once; memory does not grow with them.
///
/// # Errors
/// [`ReadError::NotAnImage`] if there is no completion record or it does not fit the arrays, [`ReadError::Os`] if a file cannot
/// be read.
pub fn verify(output: &Path, threads: usize) -> Result<Verification, ReadError> {
    if crate::is_url(output) {
        let what = "a look at an output behind a URL by its own record".to_owned();
        let hint = "compare it with another image, as in `verify URL OTHER`, or copy it here".to_owned();
        return Err(ReadError::Unsupported { path: crate::checked_url(output)?, what, location: String::new(), hint });
    }
    fs::symlink_metadata(output).map_err(|_| ReadError::NotFound { path: output.to_owned() })?;
    let Some(record) = collection(output) else { return image(output, threads) };
    if !record.complete {
        return Err(unfit(output, "it is not finished: it is being written, or was left by a run that ended early"));
    }
    let mut all = Verification { plan_hash: record.plan, ..Verification::default() };
    for path in &record.images {
        check_inside(output, path)?;
        let folder = output.join(path);
        if recorded(&folder).is_none() {
            let part = format!("the image {path:?} with its completion record");
            all.parts.push(PartDifference { part, path: folder, offset: None, how: HowDifferent::Missing });
            continue;
        }
        all = all.and(image(&folder, threads)?);
    }
    Ok(all)
}

/// One image.
fn image(output: &Path, threads: usize) -> Result<Verification, ReadError> {
    let no_record = || unfit(output, "it has no completion record (.microtome/complete.json), as microtome writes one");
    let Recorded { plan, has_quarantine, arrays } = recorded(output).ok_or_else(no_record)?;
    let mut units = Vec::new();
    for (n, array) in arrays.iter().enumerate() {
        units.extend(units_of(output, n, array)?);
    }
    let (bytes, different) = look_at_all(&units, threads)?;
    let units = units.len() as u64;
    Ok(Verification { plan_hash: plan, units, bytes, has_quarantine, different, parts: Vec::new() })
}

/// A unit as it was recorded.
struct Unit {
    array: usize,
    index: [u64; 5],
    path: PathBuf,
    bytes: u64,
    crc32c: u32,
}

fn unfit(output: &Path, why: &str) -> ReadError {
    ReadError::NotAnImage { path: output.to_owned(), why: why.to_owned() }
}

/// Refuses a path in a record that leaves the output.
fn check_inside(output: &Path, path: &str) -> Result<(), ReadError> {
    if Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err(unfit(output, &format!("its completion record names {path}, which lies outside")))
}

/// The units of an array, in C order, with their files.
fn units_of(output: &Path, n: usize, array: &RecordedArray) -> Result<Vec<Unit>, ReadError> {
    check_inside(output, &array.path)?;
    let folder = output.join(&array.path);
    let keys = Keys::of(&folder)
        .ok_or_else(|| unfit(output, &format!("the document of array {} is missing or not understood", array.path)))?;
    let expected: u64 = keys.counts.iter().product();
    if expected != array.units.len() as u64 {
        let why = format!(
            "its completion record has {} units of array {}, whose document has {expected}",
            array.units.len(),
            array.path
        );
        return Err(unfit(output, &why));
    }
    let unit = |(linear, &(bytes, crc32c)): (usize, &(u64, u32))| {
        let mut rest = linear as u64;
        let mut index = [0; 5];
        for (at, count) in keys.counts.iter().enumerate().rev() {
            index[at] = rest % count;
            rest /= count;
        }
        Unit { array: n, index, path: keys.path(&index), bytes, crc32c }
    };
    Ok(array.units.iter().enumerate().map(unit).collect())
}

/// Where the files of an array lie.
struct Keys {
    folder: PathBuf,
    prefix: &'static str,
    separator: String,
    counts: Vec<u64>,
}

impl Keys {
    /// From the document of an array, of version 3 or 2.
    fn of(folder: &Path) -> Option<Keys> {
        let document =
            |name: &str| -> Option<Value> { serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok() };
        let numbers = |value: &Value| -> Option<Vec<u64>> { value.as_array()?.iter().map(Value::as_u64).collect() };
        let (shape, chunk, prefix, separator) = if let Some(array) = document("zarr.json") {
            let chunk = numbers(&array["chunk_grid"]["configuration"]["chunk_shape"])?;
            let separator = array["chunk_key_encoding"]["configuration"]["separator"].as_str().unwrap_or("/");
            (numbers(&array["shape"])?, chunk, "c/", separator.to_owned())
        } else {
            let array = document(".zarray")?;
            let separator = array["dimension_separator"].as_str().unwrap_or(".");
            (numbers(&array["shape"])?, numbers(&array["chunks"])?, "", separator.to_owned())
        };
        if shape.len() != 5 || chunk.len() != 5 || chunk.contains(&0) {
            return None;
        }
        let counts = shape.iter().zip(&chunk).map(|(extent, chunk)| extent.div_ceil(*chunk)).collect();
        Some(Keys { folder: folder.to_owned(), prefix, separator, counts })
    }

    fn path(&self, index: &[u64; 5]) -> PathBuf {
        let index: Vec<String> = index.iter().map(u64::to_string).collect();
        self.folder.join(format!("{}{}", self.prefix, index.join(&self.separator)))
    }
}

/// Looks at units on several threads; gives the bytes read, and what differs, in order.
fn look_at_all(units: &[Unit], threads: usize) -> Result<(u64, Vec<Difference>), ReadError> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new((0, Vec::new()));
    let work = || -> Result<(), ReadError> {
        while let Some((n, unit)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, units.get(n)?))) {
            let how = look_at(unit)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.0 += unit.bytes;
            if let Some(how) = how {
                let Unit { array, index, ref path, .. } = *unit;
                found
                    .1
                    .push((n, Difference { image: None, array, unit: index, path: path.clone(), offset: None, how }));
            }
        }
        Ok(())
    };
    on_threads(threads.clamp(1, units.len().max(1)), work)?;
    let (bytes, mut different) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    different.sort_by_key(|(n, _)| *n);
    Ok((bytes, different.into_iter().map(|(_, difference)| difference).collect()))
}

fn look_at(unit: &Unit) -> Result<Option<HowDifferent>, ReadError> {
    let cannot = |source| ReadError::Os { path: unit.path.clone(), action: "read".to_owned(), source };
    let length = match fs::metadata(&unit.path) {
        Ok(found) => found.len(),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((unit.bytes > 0).then_some(HowDifferent::Missing));
        }
        Err(e) => return Err(cannot(e)),
    };
    if unit.bytes == 0 {
        return Ok(Some(HowDifferent::Unexpected));
    }
    if length != unit.bytes {
        return Ok(Some(HowDifferent::Length { expected: unit.bytes, found: length }));
    }
    let found = disk::crc32c(&unit.path).map_err(cannot)?;
    Ok((found != unit.crc32c).then_some(HowDifferent::Checksum { expected: unit.crc32c, found }))
}

#[cfg(test)]
mod tests {
    use microtome_array::{ArraySpec, BufferPool, PerAxis, PixelType, Pixels, Shape, copy_region};
    use microtome_io::{Completion, Output, Prepare, StoredUnit, WriteContext};

    use super::*;
    use crate::{LevelSpec, OutputMeta, ShardChoice, ZarrOptions, create};

    /// A finished output of four chunks, one of them all zero.
    fn finished(out: &Path) {
        let array = ArraySpec { shape: Shape::new([1, 1, 1, 20, 30, 1]).unwrap(), dtype: PixelType::U16 };
        let options = ZarrOptions {
            chunk: Some(Shape::new([1, 1, 1, 16, 16, 1]).unwrap()),
            shard: ShardChoice::None,
            ..ZarrOptions::default()
        };
        let output = create(out, &[LevelSpec::full(array)], &OutputMeta::default(), &options).unwrap();
        output.prepare(&Prepare::fresh("abc")).unwrap();
        let (pool, sink) = (BufferPool::new(0), output.array(0));
        let mut whole = Pixels::zeroed(array);
        whole.as_mut().slice_mut::<u16>().unwrap()[17..].fill(7); // the first row of the second chunk on
        for y in 0..16 {
            whole.as_mut().slice_mut::<u16>().unwrap()[y * 30..y * 30 + 16].fill(0);
        }
        let receipts: Vec<_> = (0..4)
            .flat_map(|n| {
                let region = sink.spec().units.region(&sink.spec().units.index(n)).unwrap();
                let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..array });
                copy_region(whole.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), &region).unwrap();
                let mut writer = sink.begin(sink.spec().units.index(n), &WriteContext { pool: &pool }).unwrap();
                writer.write(&region, part.as_ref()).unwrap();
                writer.finish(true).unwrap()
            })
            .collect();
        let units: Vec<StoredUnit> = receipts.iter().map(StoredUnit::from).collect();
        output.settle(&receipts.into_iter().map(|r| (0, r)).collect::<Vec<_>>()).unwrap();
        output.finish(&Completion { plan: "abc", units: &[units], quarantine: None }).unwrap();
    }

    #[test]
    fn every_way_in_which_a_unit_may_differ_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.ome.zarr");
        finished(&out);
        for threads in [1, 3, 64] {
            let whole = verify(&out, threads).unwrap();
            assert!(whole.is_right() && whole.units == 4 && whole.bytes > 0, "{whole:?}");
            assert_eq!(whole.plan_hash, "abc");
        }
        let chunk = |y, x| out.join(format!("0/c/0/0/0/{y}/{x}"));
        assert!(!chunk(0, 0).exists(), "a chunk of zeros is not stored");
        fs::write(chunk(0, 0), b"something").unwrap();
        let mut bytes = fs::read(chunk(0, 1)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(chunk(0, 1), &bytes).unwrap();
        fs::write(chunk(1, 0), b"short").unwrap();
        fs::remove_file(chunk(1, 1)).unwrap();
        let found = verify(&out, 2).unwrap();
        let told: Vec<String> = found.different.iter().map(ToString::to_string).collect();
        assert_eq!(found.different.len(), 4, "{told:?}");
        assert!(told[0].starts_with("level 0 unit t=0 c=0 z=0 y=0 x=0 ("), "{}", told[0]);
        assert!(told[0].ends_with("it is there, and nothing was stored for it"), "{}", told[0]);
        assert!(told[1].contains("its bytes were changed: checksum "), "{}", told[1]);
        assert!(told[2].contains("it has 5 bytes, not "), "{}", told[2]);
        assert!(told[3].ends_with("it is missing"), "{}", told[3]);
    }

    #[test]
    fn an_output_without_a_record_or_with_one_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.ome.zarr");
        assert!(matches!(verify(&out, 1), Err(ReadError::NotFound { .. })));
        finished(&out);
        let record = out.join(".microtome/complete.json");
        let text = fs::read_to_string(&record).unwrap();
        for (from, to, words) in [
            ("\"path\": \"0\"", "\"path\": \"../0\"", "which lies outside"),
            ("\"path\": \"0\"", "\"path\": \"1\"", "is missing or not understood"),
            ("[0, 0],", "", "has 3 units of array 0, whose document has 4"),
            ("\"format\": 1", "\"format\": 9", "has no completion record"),
        ] {
            fs::write(&record, text.replacen(from, to, 1)).unwrap();
            let error = verify(&out, 1).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
