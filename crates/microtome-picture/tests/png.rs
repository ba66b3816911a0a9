//! What a PNG output promises, asked from outside: pixels by a decoder, and its own record.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use microtome_array::{ArraySpec, BufferPool, ChunkGrid, PerAxis, PixelType, Pixels, Shape, copy_region};
use microtome_io::{
    Check, Completion, Output, Prepare, Receipt, Sink, Standing, StoredUnit, WriteContext, WriteError, contract,
};
use microtome_picture::{PngOptions, PngOutput, verify};
use tempfile::TempDir;

const PLAN: &str = "c0ffee00c0ffee00";

fn spec(y: u64, x: u64, samples: u64, dtype: PixelType) -> ArraySpec {
    ArraySpec { shape: Shape::new([1, 1, 1, y, x, samples]).unwrap(), dtype }
}

/// Writes a plane in boxes, up to its receipt.
fn filled(output: &PngOutput, pixels: &Pixels) -> Receipt {
    let array = pixels.spec();
    let pool = BufferPool::new(0);
    let mut writer = output.begin(PerAxis::splat(0), &WriteContext { pool: &pool }).unwrap();
    let step = Shape::new([1, 1, 1, 3, 5, array.shape.extents()[5]]).unwrap();
    let boxes = ChunkGrid::new(array.shape, step).unwrap();
    for region in boxes.all().iter().map(|i| boxes.region(&i).unwrap()) {
        let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..array });
        copy_region(pixels.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), &region).unwrap();
        writer.write(&region, part.as_ref()).unwrap();
    }
    let receipt = writer.finish(true).unwrap().remove(0);
    output.settle(&[(0, receipt.clone())]).unwrap();
    receipt
}

fn finish(output: &PngOutput, receipt: &Receipt, quarantine: Option<&str>) -> Result<(), WriteError> {
    let units = [vec![StoredUnit::from(receipt)]];
    output.finish(&Completion { plan: PLAN, units: &units, quarantine })
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Writes a plane; gives what a decoder makes of the file.
fn written(pixels: &Pixels) -> (png::ColorType, png::BitDepth, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.png");
    let output = PngOutput::new(&path, pixels.spec(), &PngOptions::default()).unwrap();
    output.prepare(&Prepare::fresh(PLAN)).unwrap();
    let receipt = filled(&output, pixels);
    assert_eq!(names(&folder), ["plane.png.partial-c0ffee00c0ff"], "nothing stands under the name before the end");
    finish(&output, &receipt, None).unwrap();
    assert_eq!(names(&folder), ["plane.png"], "nothing else is left");
    let stored = std::fs::read(&path).unwrap();
    assert_eq!(crc32c::crc32c(&stored[..receipt.stored_bytes as usize]), receipt.crc32c);
    decoded(&path)
}

fn decoded(path: &Path) -> (png::ColorType, png::BitDepth, Vec<u8>) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut out = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut out).unwrap();
    reader.finish().unwrap();
    (info.color_type, info.bit_depth, out)
}

#[test]
fn every_value_of_every_kind_is_kept() {
    for (samples, color) in [
        (1, png::ColorType::Grayscale),
        (2, png::ColorType::GrayscaleAlpha),
        (3, png::ColorType::Rgb),
        (4, png::ColorType::Rgba),
    ] {
        let mut pixels = Pixels::zeroed(spec(7, 11, samples, PixelType::U16));
        pixels.as_mut().slice_mut::<u16>().unwrap().iter_mut().enumerate().for_each(|(n, v)| *v = (n * 523) as u16);
        let (found, depth, bytes) = written(&pixels);
        assert_eq!((found, depth), (color, png::BitDepth::Sixteen));
        let values: Vec<u16> = bytes.chunks(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect();
        assert_eq!(values, pixels.as_ref().slice::<u16>().unwrap());

        let mut pixels = Pixels::zeroed(spec(7, 11, samples, PixelType::U8));
        pixels.as_mut().bytes().iter_mut().enumerate().for_each(|(n, v)| *v = (n * 7) as u8);
        assert_eq!(written(&pixels), (color, png::BitDepth::Eight, pixels.as_ref().bytes().to_vec()));
    }
}

#[test]
fn bits_are_packed() {
    let mut pixels = Pixels::zeroed(spec(2, 11, 1, PixelType::Bool));
    pixels.as_mut().bytes().iter_mut().enumerate().for_each(|(n, v)| *v = u8::from(n % 3 == 0));
    let (_, depth, bytes) = written(&pixels);
    assert_eq!((depth, bytes), (png::BitDepth::One, vec![0b1001_0010, 0b0100_0000, 0b0100_1001, 0b0010_0000]));
}

#[test]
fn an_output_keeps_the_contract() {
    for (samples, dtype) in [(1, PixelType::U16), (3, PixelType::U8), (4, PixelType::U16), (1, PixelType::U8)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.png");
        let array = spec(37, 53, samples, dtype);
        let options = PngOptions { overwrite: true };
        let read_back = |_: &PngOutput, _: usize| {
            let mut pixels = Pixels::zeroed(array);
            let (_, depth, mut bytes) = decoded(&path);
            if depth == png::BitDepth::Sixteen {
                bytes
                    .chunks_exact_mut(2)
                    .for_each(|v| v.copy_from_slice(&u16::from_be_bytes([v[0], v[1]]).to_ne_bytes()));
            }
            pixels.as_mut().bytes().copy_from_slice(&bytes);
            pixels
        };
        contract::output(|| PngOutput::new(&path, array, &options).unwrap(), read_back);
        assert!(verify(&path).unwrap().is_right());
    }
}

#[test]
fn what_png_has_not_is_refused_with_what_to_do() {
    let planes = |t, c, z| ArraySpec { shape: Shape::new([t, c, z, 7, 11, 1]).unwrap(), dtype: PixelType::U8 };
    for (array, words) in [
        (spec(7, 11, 1, PixelType::F32), "PNG has pixels of uint8 and uint16, not of float32; convert with --dtype"),
        (spec(7, 11, 5, PixelType::U8), "PNG has at most 4 samples a pixel, not 5"),
        (spec(0, 11, 1, PixelType::U8), "0 × 11 pixels are not between"),
        (planes(1, 1, 9), "T 1, C 1, Z 9; choose one with --region z=4, or see microtome thumbnail"),
        (planes(2, 3, 1), "choose one with --region t=1,c=1, or"),
        (planes(1, 0, 1), "and this has T 1, C 0, Z 1"),
    ] {
        let refused = PngOutput::new(Path::new("a.png"), array, &PngOptions::default()).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn what_is_there_stays_unless_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.png");
    std::fs::write(&path, b"mine").unwrap();
    let pixels = Pixels::zeroed(spec(2, 2, 1, PixelType::U8));
    let output = |overwrite| PngOutput::new(&path, pixels.spec(), &PngOptions { overwrite }).unwrap();
    assert!(matches!(output(false).look(PLAN, false), Err(WriteError::Exists { .. })));
    assert!(output(true).look(PLAN, false).is_ok());
    // It came while the run went on.
    let (late, other) = (output(false), folder.path().join("other.png"));
    std::fs::rename(&path, &other).unwrap();
    late.prepare(&Prepare::fresh(PLAN)).unwrap();
    let receipt = filled(&late, &pixels);
    std::fs::rename(&other, &path).unwrap();
    assert!(matches!(finish(&late, &receipt, None), Err(WriteError::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    late.abandon();
    assert_eq!(names(&folder), ["plane.png"]);
}

#[test]
fn a_plane_that_is_stored_is_gone_on_with_and_a_finished_one_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.png");
    let pixels = Pixels::zeroed(spec(20, 30, 1, PixelType::U16));
    let output = || PngOutput::new(&path, pixels.spec(), &PngOptions::default()).unwrap();
    let first = output();
    first.prepare(&Prepare::fresh(PLAN)).unwrap();
    let receipt = filled(&first, &pixels);
    // It was stopped while the end was written.
    let partial = folder.path().join("plane.png.partial-c0ffee00c0ff");
    let mut bytes = std::fs::read(&partial).unwrap();
    bytes.extend(b"the beginning of a record");
    std::fs::write(&partial, bytes).unwrap();
    assert!(matches!(output().look(PLAN, false), Err(WriteError::Unfinished { same_plan: true, .. })));
    assert!(matches!(output().look("another", true), Err(WriteError::Unfinished { same_plan: false, .. })));
    let again = output();
    let resumed = Prepare { resume: true, ..Prepare::fresh(PLAN) };
    assert_eq!(again.prepare(&resumed).unwrap(), Standing::Unfinished);
    assert!(again.check(0, &receipt, Check::Bytes).unwrap());
    assert!(!again.check(0, &Receipt { crc32c: 1, ..receipt.clone() }, Check::Bytes).unwrap());
    assert!(!again.check(0, &Receipt { stored_bytes: 1 << 20, ..receipt.clone() }, Check::Length).unwrap());
    finish(&again, &receipt, Some("[a plane]")).unwrap();
    assert_eq!(names(&folder), ["plane.png"]);
    assert_eq!(output().prepare(&resumed).unwrap(), Standing::Finished);
    assert!(matches!(output().look("another", true), Err(WriteError::OtherPlan { .. })));
    assert_eq!(output().quarantine().unwrap().as_deref(), Some("[a plane]"));
    let found = verify(&path).unwrap();
    assert!(found.is_right() && found.has_quarantine && found.plan_hash == PLAN, "{found:?}");
    assert_eq!(decoded(&path).2, pixels.as_ref().bytes());
}

#[test]
fn no_byte_can_be_changed_cut_or_added_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.png");
    let mut pixels = Pixels::zeroed(spec(9, 14, 1, PixelType::U8));
    pixels.as_mut().bytes().iter_mut().enumerate().for_each(|(n, v)| *v = (n * n) as u8);
    let output = PngOutput::new(&path, pixels.spec(), &PngOptions::default()).unwrap();
    output.prepare(&Prepare::fresh(PLAN)).unwrap();
    let receipt = filled(&output, &pixels);
    finish(&output, &receipt, None).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let look = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        verify(&path).map(|found| (found.is_right(), found)).map_err(|e| e.to_string())
    };
    assert!(look(&whole).unwrap().0);
    let record = receipt.stored_bytes as usize;
    for at in 0..whole.len() {
        for bit in (0..8).map(|n| 1 << n) {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            match look(&bytes) {
                Ok((is_right, found)) if at < record => {
                    assert!(!is_right && found.different.len() == 1 && found.parts.is_empty(), "{at}: {found:?}");
                }
                Ok((is_right, found)) => assert!(!is_right, "{at}: {found:?}"),
                Err(why) => assert!(at >= record, "{at}: {why}"),
            }
        }
        let cut = look(&whole[..at]);
        assert!(!matches!(cut, Ok((true, _))), "cut to {at}");
        if at < record {
            assert!(cut.unwrap_err().contains("it is probably truncated"), "cut to {at}");
        }
    }
    let (is_right, found) = look(&[&whole[..], b"more"].concat()).unwrap();
    assert!(!is_right && found.parts[0].to_string().starts_with("the end of the file ("), "{found:?}");
}
