//! Kinds of TIFF that metadata or pages tell apart: stacks without headers, sets of files, pyramids, damage.

mod support;

use std::path::{Path, PathBuf};

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, Pixels, Region};
use microtome_io::{Limits, Place, ReadContext, ReadError, Reader, contract, read_region};
use microtome_tiff::{TiffReader, open};
use support::build::{PageSpec, page, tiff};
use support::{read_all, sha256};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().expect("a folder for the test"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path
    }

    fn open(&self, name: &str, bytes: &[u8]) -> TiffReader {
        open(&self.write(name, bytes), &Limits::default()).expect("the file opens")
    }
}

fn extents(reader: &TiffReader) -> [u64; 6] {
    reader.info().scenes[0].shape().extents()
}

/// The first value of each plane, in the order T, C, Z.
fn first_values(reader: &TiffReader) -> Vec<u8> {
    let pixels = read_all(reader, 0).expect("the scene reads");
    let shape = pixels.spec().shape;
    let plane = (shape.get(Axis::Y) * shape.get(Axis::X)) as usize;
    pixels.as_ref().bytes().chunks(plane).map(|p| p[0]).collect()
}

fn plane(reader: &TiffReader, t: u64, c: u64, z: u64) -> Result<Pixels, ReadError> {
    let shape = reader.info().scenes[0].shape();
    let region = shape.region().with(Axis::T, t, t + 1).with(Axis::C, c, c + 1).with(Axis::Z, z, z + 1);
    read_region(reader, Place::default(), &region)
}

fn imagej(text: &str, pixels: &[u8]) -> Vec<u8> {
    let mut only = PageSpec { text: Some(text.to_owned()), ..page(4, 4, 0) };
    only.strips = vec![pixels[..16].to_vec()];
    let mut file = tiff(&[only]);
    file.extend(&pixels[16..]);
    file
}

fn ome(pixels: &str, inner: &str) -> String {
    format!(
        "<?xml version='1.0'?><OME UUID='urn:a'><Image ID='Image:0' Name='n'><Pixels Type='uint8' SizeX='4' SizeY='4' \
         {pixels}>{inner}</Pixels></Image></OME>"
    )
}

fn described(text: String, pages: u8) -> Vec<u8> {
    let mut all: Vec<PageSpec> = (0..pages).map(|n| page(4, 4, n)).collect();
    all[0].text = Some(text);
    tiff(&all)
}

#[test]
fn an_imagej_stack_with_one_header_is_read_in_the_order_c_z_t() {
    let dir = Dir::new();
    let pixels: Vec<u8> = (0..12).flat_map(|n| [n; 16]).collect();
    let text = "ImageJ=1.54\nimages=12\nchannels=2\nslices=3\nframes=2\nhyperstack=true\nfinterval=0.5\n";
    let reader = dir.open("stack.tif", &imagej(text, &pixels));
    assert_eq!(extents(&reader), [2, 2, 3, 4, 4, 1]);
    assert_eq!(first_values(&reader), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    contract::reader(&reader, 1);
}

#[test]
fn an_imagej_stack_that_was_cut_off_keeps_its_shape_and_its_lost_planes_are_errors() {
    let dir = Dir::new();
    let text = "ImageJ=1.54\nimages=5\nslices=5\n";
    let reader = dir.open("cut.tif", &imagej(text, &[7; 16 * 3 + 5]));
    assert_eq!(extents(&reader), [1, 1, 5, 4, 4, 1]);
    assert!(plane(&reader, 0, 0, 2).is_ok());
    let error = plane(&reader, 0, 0, 3).unwrap_err();
    assert!(matches!(error, ReadError::Truncated { .. }), "{error}");
    assert!(error.to_string().contains("plane t=0 c=0 z=3"), "{error}");
}

#[test]
fn an_imagej_description_of_a_stack_that_is_gone_is_cut_with_a_warning() {
    let dir = Dir::new();
    let reader = dir.open("one.tif", &imagej("ImageJ=1.54\nimages=40\nslices=20\nchannels=2\n", &[7; 16]));
    assert_eq!(extents(&reader), [1, 1, 1, 4, 4, 1]);
    assert_eq!(reader.info().warnings.len(), 1);
}

#[test]
fn ome_planes_are_where_tiff_data_say() {
    let dir = Dir::new();
    let data = "<Channel Name='A'/><Channel Name='B'/><TiffData FirstC='1' IFD='0' PlaneCount='3'/>\
                <TiffData FirstC='0' IFD='3' PlaneCount='3'/>";
    let text = ome("DimensionOrder='XYZCT' SizeZ='3' SizeC='2' SizeT='1'", data);
    let reader = dir.open("a.ome.tif", &described(text, 6));
    assert_eq!(extents(&reader), [1, 2, 3, 4, 4, 1]);
    assert_eq!(first_values(&reader), [3, 4, 5, 0, 1, 2]);
    assert_eq!(reader.info().scenes[0].channels[1].name, "B");
    assert!(reader.info().warnings.is_empty());
    contract::reader(&reader, 2);
}

#[test]
fn every_dimension_order_finds_its_pages() {
    let dir = Dir::new();
    for (order, expected) in
        [("XYZCT", [0, 1, 2, 3, 4, 5]), ("XYCTZ", [0, 2, 4, 1, 3, 5]), ("XYTCZ", [0, 2, 4, 1, 3, 5])]
    {
        let text = ome(&format!("DimensionOrder='{order}' SizeZ='3' SizeC='2' SizeT='1'"), "<TiffData/>");
        assert_eq!(first_values(&dir.open("a.ome.tif", &described(text, 6))), expected, "{order}");
    }
}

#[test]
fn an_ome_image_with_fewer_pages_is_cut_and_a_hole_is_an_error() {
    let dir = Dir::new();
    let text = ome("DimensionOrder='XYZCT' SizeZ='2' SizeC='1' SizeT='100'", "");
    let reader = dir.open("short.ome.tif", &described(text, 6));
    assert_eq!(extents(&reader), [3, 1, 2, 4, 4, 1]);
    assert!(reader.info().warnings[0].contains("cut to what is there"));

    let text = ome(
        "DimensionOrder='XYZCT' SizeZ='3' SizeC='1' SizeT='1'",
        "<TiffData IFD='0'/><TiffData IFD='1' FirstZ='2'/>",
    );
    let reader = dir.open("hole.ome.tif", &described(text, 2));
    assert_eq!(extents(&reader)[2], 3);
    assert_eq!(plane(&reader, 0, 0, 2).unwrap().as_ref().bytes()[0], 1);
    assert!(plane(&reader, 0, 0, 1).unwrap_err().to_string().contains("names no page"));
}

fn set_of_two(dir: &Dir) -> PathBuf {
    let data = "<TiffData FirstZ='0' IFD='0'><UUID FileName='a.ome.tif'>urn:a</UUID></TiffData>\
                <TiffData FirstZ='1' IFD='1'><UUID FileName='b.ome.tif'>urn:b</UUID></TiffData>";
    let text = ome("DimensionOrder='XYZCT' SizeZ='2' SizeC='1' SizeT='1'", data);
    dir.write("b.ome.tif", &tiff(&[page(4, 4, 10), page(4, 4, 20)]));
    dir.write("a.ome.tif", &described(text, 1))
}

#[test]
fn a_set_of_files_is_read_as_one_image() {
    let dir = Dir::new();
    let reader = open(&set_of_two(&dir), &Limits::default()).unwrap();
    assert_eq!(first_values(&reader), [0, 20]);
    assert_eq!(reader.info().files.len(), 2);
    contract::reader(&reader, 3);
}

#[test]
fn a_missing_file_of_a_set_is_listed_and_its_planes_are_errors() {
    let dir = Dir::new();
    let path = set_of_two(&dir);
    std::fs::remove_file(dir.0.path().join("b.ome.tif")).unwrap();
    let reader = open(&path, &Limits::default()).unwrap();
    assert_eq!(reader.info().missing_files, [dir.0.path().join("b.ome.tif")]);
    assert_eq!(extents(&reader)[2], 2);
    assert!(plane(&reader, 0, 0, 0).is_ok());
    assert!(plane(&reader, 0, 0, 1).unwrap_err().to_string().contains("b.ome.tif, which is missing"));
}

#[test]
fn a_renamed_file_still_knows_itself_by_its_uuid() {
    let dir = Dir::new();
    let data = "<TiffData IFD='0'><UUID FileName='before.ome.tif'>urn:a</UUID></TiffData>";
    let text = ome("DimensionOrder='XYZCT' SizeZ='1' SizeC='1' SizeT='1'", data);
    let reader = dir.open("after.ome.tif", &described(text, 1));
    assert!(reader.info().missing_files.is_empty());
    assert_eq!(first_values(&reader), [0]);
}

#[test]
fn binary_only_files_follow_their_companion_or_say_that_it_is_missing() {
    let dir = Dir::new();
    let text = "<OME UUID='urn:b'><BinaryOnly MetadataFile='m.companion.ome' UUID='urn:m'/></OME>";
    let path = dir.write("z0.ome.tif", &described(text.to_owned(), 1));
    dir.write("z1.ome.tif", &tiff(&[page(4, 4, 9)]));
    let reader = open(&path, &Limits::default()).unwrap();
    assert_eq!(reader.info().missing_files, [dir.0.path().join("m.companion.ome")]);
    assert_eq!((extents(&reader), reader.info().warnings.len()), ([1, 1, 1, 4, 4, 1], 1));

    let data = "<TiffData FirstZ='0'><UUID FileName='z0.ome.tif'>urn:b</UUID></TiffData>\
                <TiffData FirstZ='1'><UUID FileName='z1.ome.tif'>urn:c</UUID></TiffData>";
    dir.write("m.companion.ome", ome("DimensionOrder='XYZCT' SizeZ='2' SizeC='1' SizeT='1'", data).as_bytes());
    let reader = open(&path, &Limits::default()).unwrap();
    assert_eq!(first_values(&reader), [0, 9]);
    assert_eq!(reader.info().files.len(), 3);
}

#[test]
fn sub_ifds_that_shrink_are_levels() {
    let dir = Dir::new();
    let with = |fill| PageSpec { subs: vec![page(4, 3, fill + 1), page(2, 1, fill + 2)], ..page(8, 6, fill) };
    let reader = dir.open("pyramid.tif", &tiff(&[with(10), with(20)]));
    let levels = &reader.info().scenes[0].levels;
    assert_eq!(levels.len(), 3);
    assert_eq!(levels[1].shape.extents(), [2, 1, 1, 3, 4, 1]);
    assert_eq!(levels[2].downsample, [1.0, 1.0, 1.0, 6.0, 4.0, 1.0]);
    let small = read_region(&reader, Place { scene: 0, level: 2 }, &levels[2].shape.region()).unwrap();
    assert_eq!(small.as_ref().bytes(), [12, 12, 22, 22]);
    contract::reader(&reader, 4);
}

#[test]
fn reduced_pages_are_levels_and_other_pages_are_other_scenes() {
    let dir = Dir::new();
    let reduced = |p: PageSpec| PageSpec { tags: vec![(254, vec![1])], ..p };
    let pages =
        [page(8, 8, 1), reduced(page(4, 4, 2)), reduced(page(2, 2, 3)), page(50, 40, 4), reduced(page(40, 9, 5))];
    let reader = dir.open("plain.tif", &tiff(&pages));
    let shapes: Vec<(usize, u64)> =
        reader.info().scenes.iter().map(|s| (s.levels.len(), s.shape().get(Axis::X))).collect();
    assert_eq!(shapes, [(3, 8), (1, 50), (1, 40)]);
}

#[test]
fn a_tile_that_was_never_written_is_zero() {
    let dir = Dir::new();
    let tags = vec![(322, vec![16]), (323, vec![16])];
    let strips = vec![vec![], vec![9; 256], vec![8; 256], vec![]];
    let reader = dir.open("sparse.tif", &tiff(&[PageSpec { tags, strips, ..page(20, 20, 0) }]));
    let pixels = read_all(&reader, 0).unwrap();
    let at = |y: usize, x: usize| pixels.as_ref().bytes()[y * 20 + x];
    assert_eq!([at(0, 0), at(0, 19), at(19, 0), at(19, 19)], [0, 9, 8, 0]);
    contract::reader(&reader, 5);
}

#[test]
fn a_short_strip_names_plane_page_offset_and_sizes() {
    let dir = Dir::new();
    let strips = vec![vec![1; 8], vec![2; 5]];
    let short = PageSpec { tags: vec![(278, vec![2])], strips, ..page(4, 4, 0) };
    let error = read_all(&dir.open("short.tif", &tiff(&[page(4, 4, 0), short])), 0).unwrap_err().to_string();
    for part in ["strip 1 at offset", "(5 bytes)", "plane t=1 c=0 z=0, page 1", "has 5 bytes of pixels, expected 8"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn small_files_that_claim_huge_tiles_are_refused_before_they_take_memory() {
    let dir = Dir::new();
    let tile = |width: u32, compression: u32| {
        let tags = vec![(322, vec![width]), (323, vec![1024]), (259, vec![compression])];
        tiff(&[PageSpec { tags, strips: vec![vec![1; 16]], ..page(4, 4, 0) }])
    };
    for (width, compression) in [(1 << 31, 1), (1 << 31, 8)] {
        let found = open(&dir.write("huge.tif", &tile(width, compression)), &Limits::default());
        assert!(matches!(found, Err(ReadError::OverLimit { .. })), "{found:?}");
    }
    for compression in [1, 5, 8, 32773, 50000] {
        let error = read_all(&dir.open("large.tif", &tile(1 << 19, compression)), 0).unwrap_err().to_string();
        assert!(error.contains("bytes expected") || error.contains("expected 2097152"), "{compression}: {error}");
    }
}

#[test]
fn a_file_that_ends_early_is_truncated_and_one_that_shrinks_later_has_changed() {
    let dir = Dir::new();
    let bytes = tiff(&[page(4, 4, 1), page(4, 4, 2)]);
    let cut = dir.open("cut.tif", &bytes[..bytes.len() - 1]);
    assert!(matches!(read_all(&cut, 0), Err(ReadError::Truncated { .. })));
    let whole = dir.open("whole.tif", &bytes);
    dir.write("whole.tif", &bytes[..bytes.len() - 1]);
    assert!(matches!(read_all(&whole, 0), Err(ReadError::Changed { .. })));
}

#[test]
fn a_read_borrows_no_more_scratch_than_it_says() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    for name in ["plain.tif", "cells.ome.tif", "tiled-big.tif", "imagej.tif", "rgb.tif"] {
        let reader = open(&fixtures.join(name), &Limits::default()).unwrap();
        let shape = reader.info().scenes[0].shape();
        let dtype = reader.info().scenes[0].dtype;
        let narrow = Region::new(PerAxis::splat(0), PerAxis(shape.extents()).with(Axis::X, 3)).unwrap();
        for region in [shape.region(), narrow] {
            let pool = BufferPool::new(0);
            let mut out = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype });
            reader.read(Place::default(), &region, &mut out.as_mut(), &ReadContext { pool: &pool }).unwrap();
            let (used, said) = (pool.stats().peak_lent, reader.scratch_bytes(Place::default(), &region));
            assert!(used <= said, "{name}: {used} > {said}");
        }
    }
}

#[test]
fn axes_of_a_manifest_hash_in_their_own_order() {
    let dir = Dir::new();
    let reader = dir.open("two.tif", &tiff(&[page(2, 1, 1), page(2, 1, 2)]));
    let pixels = read_all(&reader, 0).unwrap();
    assert_ne!(sha256(&pixels, &[Axis::T, Axis::Y, Axis::X]), sha256(&pixels, &[Axis::Y, Axis::X, Axis::T]));
}
