//! ZIP archives that are rare, wrong or meant to hurt, each built here byte by byte.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod manifest;

use std::path::{Path, PathBuf};
use std::time::Instant;

use microtome_array::{ArraySpec, BufferPool, Pixels};
use microtome_io::{Limits, Place, ReadContext, ReadError, Reader, contract, read_region};
use microtome_zarr::{ZarrReader, open};
use serde_json::json;

/// A file of an archive with what its records say of it.
struct Member {
    name: String,
    stored: Vec<u8>,
    decoded: u64,
    method: u16,
    flags: u16,
}

impl Member {
    fn plain(name: &str, bytes: impl AsRef<[u8]>) -> Member {
        let stored = bytes.as_ref().to_vec();
        Member { name: name.to_owned(), decoded: stored.len() as u64, stored, method: 0, flags: 0 }
    }

    fn deflated(name: &str, bytes: impl AsRef<[u8]>) -> Member {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
        let mut stored = vec![0; compressor.deflate_compress_bound(bytes.as_ref().len())];
        let len = compressor.deflate_compress(bytes.as_ref(), &mut stored).unwrap();
        stored.truncate(len);
        Member { stored, method: 8, ..Member::plain(name, bytes) }
    }
}

/// The archive, and where its directory begins.
fn archive(members: &[Member]) -> (Vec<u8>, usize) {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let sizes = [member.stored.len() as u32, member.decoded as u32];
        let mut middle = [20, member.flags, member.method, 0, 0].map(u16::to_le_bytes).concat();
        middle.extend([[0, sizes[0], sizes[1]].map(u32::to_le_bytes).concat()].concat());
        middle.extend([member.name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let at = out.len() as u32;
        out.extend([b"PK\x03\x04", &middle[..], member.name.as_bytes(), &member.stored].concat());
        directory.extend([b"PK\x01\x02\x14\0", &middle[..], &[0; 10], &at.to_le_bytes()].concat());
        directory.extend(member.name.as_bytes());
    }
    let at = out.len();
    let count = (members.len() as u16).to_le_bytes();
    let place = [directory.len() as u32, at as u32].map(u32::to_le_bytes).concat();
    out.extend(&directory);
    out.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &place, &[0, 0]].concat());
    (out, at)
}

fn metadata() -> String {
    json!({"zarr_format": 2, "shape": [4, 4], "chunks": [2, 4], "dtype": "|u1", "compressor": null, "fill_value": 7,
           "order": "C", "filters": null})
    .to_string()
}

struct Archive(tempfile::TempDir);

impl Archive {
    fn of(bytes: impl AsRef<[u8]>) -> Archive {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("image.zip"), bytes).unwrap();
        Archive(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("image.zip")
    }

    fn open(&self) -> Result<ZarrReader, ReadError> {
        open(&self.path(), &Limits::default())
    }
}

fn whole(reader: &dyn Reader) -> Result<Vec<u8>, ReadError> {
    let region = reader.info().scenes[0].shape().region();
    read_region(reader, Place::default(), &region).map(|p: Pixels| p.as_ref().bytes().to_vec())
}

#[test]
fn stored_and_deflated_chunks_are_read_and_missing_ones_filled() {
    for (first, second) in [
        (Member::plain("0.0", [1, 2, 3, 4, 5, 6, 7, 8]), None),
        (Member::deflated("0.0", [1, 2, 3, 4, 5, 6, 7, 8]), Some(Member::deflated("1.0", [9; 8]))),
    ] {
        let last = if second.is_some() { 9 } else { 7 };
        let members: Vec<Member> = [Member::deflated(".zarray", metadata()), first].into_iter().chain(second).collect();
        let archive = Archive::of(archive(&members).0);
        let reader = archive.open().unwrap();
        assert_eq!(whole(&reader).unwrap(), [[1, 2, 3, 4], [5, 6, 7, 8], [last; 4], [last; 4]].concat());
        assert!(reader.source().stamp.is_some());
        contract::reader(&reader, 3);
    }
}

/// Every file below a folder.
fn pack(root: &Path, below: &str, deflate: bool, members: &mut Vec<Member>) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().to_string_lossy().into_owned();
        let name = if below.is_empty() { own } else { format!("{below}/{own}") };
        if entry.path().is_dir() {
            pack(root, &name, deflate, members);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            members.push(if deflate { Member::deflated(&name, bytes) } else { Member::plain(&name, bytes) });
        }
    }
}

/// The bundled images, and those of a corpus if there is one.
fn images() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let mut found = vec![fixtures.join("ome-zarr-0.4.zarr"), fixtures.join("ome-zarr-0.5-sharded.zarr")];
    if let Some(corpus) = manifest::corpus() {
        let entries = std::fs::read_dir(corpus.join("zarr")).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    found
}

#[test]
fn an_archive_is_what_its_folder_is() {
    for path in images() {
        for deflate in [false, true] {
            let mut members = Vec::new();
            pack(&path, "", deflate, &mut members);
            let archive = Archive::of(archive(&members).0);
            let (packed, folder) = (archive.open().unwrap(), open(&path, &Limits::default()).unwrap());
            assert_eq!(packed.info().scenes, folder.info().scenes, "{}", path.display());
            assert_eq!(packed.source().digest, folder.source().digest, "{}", path.display());
            for scene in 0..folder.info().scenes.len() {
                let all = |reader: &ZarrReader| manifest::whole(reader, Place { scene, level: 0 }).unwrap();
                let (one, other) = (all(&packed), all(&folder));
                assert!(one.as_ref().bytes() == other.as_ref().bytes(), "{} scene {scene}", path.display());
            }
        }
    }
}

#[test]
fn an_archive_is_noticed_when_it_changes() {
    let archive_bytes = archive(&[Member::plain(".zarray", metadata())]).0;
    let archive = Archive::of(&archive_bytes);
    let reader = archive.open().unwrap();
    reader.unchanged().unwrap();
    std::fs::write(archive.path(), [&archive_bytes[..], b"x"].concat()).unwrap();
    assert!(matches!(reader.unchanged(), Err(ReadError::Changed { .. })));
}

#[test]
fn scratch_counts_what_is_inflated() {
    let deflated = Member::deflated("0.0", [1; 8]);
    let archive = Archive::of(archive(&[Member::plain(".zarray", metadata()), deflated]).0);
    let reader = archive.open().unwrap();
    let region = reader.info().scenes[0].shape().region();
    let (pool, spec) = (BufferPool::new(0), ArraySpec { shape: region.shape(), dtype: reader.info().scenes[0].dtype });
    let mut out = Pixels::zeroed(spec);
    reader.read(Place::default(), &region, &mut out.as_mut(), &ReadContext { pool: &pool }).unwrap();
    assert!(pool.stats().peak_lent >= 8 && pool.stats().peak_lent <= reader.scratch_bytes(Place::default(), &region));
}

#[test]
fn names_that_lead_out_are_not_files_of_the_image() {
    let members = ["../.zarray", "/.zarray", "a/../.zarray", "a\\.zarray", "./.zarray"];
    let members: Vec<Member> = members.iter().map(|name| Member::plain(name, metadata())).collect();
    let error = Archive::of(archive(&members).0).open().unwrap_err();
    assert!(matches!(error, ReadError::NotAnImage { .. }), "{error}");
}

#[test]
fn bombs_and_lies_end_in_a_typed_error_at_once() {
    let start = Instant::now();
    let zarray = || Member::plain(".zarray", metadata());
    let bomb = Member::deflated("0.0", vec![0; 64 << 20]);
    let lies = |decoded| Member { decoded, ..Member::deflated("0.0", [1; 8]) };
    let method = |method| Member { method, ..Member::plain("0.0", [1; 8]) };
    for (what, member) in [
        ("longer than the chunk", bomb),
        ("4 GiB of a few bytes", lies(u64::from(u32::MAX) - 1)),
        ("less than it is", lies(7)),
        ("more than it is", lies(9)),
        ("no deflate", method(8)),
        ("an unknown method", method(93)),
        ("encrypted", Member { flags: 1, ..Member::plain("0.0", [1; 8]) }),
        ("stored with two lengths", Member { decoded: 9, ..Member::plain("0.0", [1; 8]) }),
    ] {
        let archive = Archive::of(archive(&[zarray(), member]).0);
        let error = whole(&archive.open().unwrap()).unwrap_err();
        let typed =
            matches!(error, ReadError::OverLimit { .. } | ReadError::Corrupt { .. } | ReadError::Unsupported { .. });
        assert!(typed, "{what}: {error:?}");
    }
    assert!(start.elapsed().as_secs() < 10);
}

#[test]
fn every_byte_of_the_records_may_be_anything() {
    let members = [Member::plain(".zarray", metadata()), Member::deflated("0.0", [1; 8])];
    let (bytes, directory) = archive(&members);
    let records = (0..40).chain(directory..bytes.len());
    for at in records {
        for value in [0x00, 0x01, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(reader) = Archive::of(changed).open() {
                drop(whole(&reader));
            }
        }
    }
    for len in 0..bytes.len() {
        drop(Archive::of(&bytes[..len]).open().map(|reader| whole(&reader)));
    }
}

#[test]
fn an_archive_without_a_zarr_is_no_image() {
    let error = Archive::of(archive(&[Member::plain("readme.txt", "hello")]).0).open().unwrap_err();
    assert!(matches!(error, ReadError::NotAnImage { .. }), "{error}");
    let error = Archive::of(b"PK\x03\x04 and nothing more").open().unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
}

#[test]
fn records_of_zip64_that_point_anywhere_are_errors() {
    let (plain, directory) = archive(&[Member::plain(".zarray", metadata())]);
    let end = plain.len() - 22;
    let build = |place: [u64; 3], at: u64| {
        let mut out = plain[..end].to_vec();
        out.extend([b"PK\x06\x06", &44u64.to_le_bytes()[..], &[45, 0, 45, 0], &[0; 8]].concat());
        out.extend([place[0], place[0], place[1], place[2]].map(u64::to_le_bytes).concat());
        out.extend([b"PK\x06\x07", &[0; 4][..], &at.to_le_bytes(), &[1, 0, 0, 0]].concat());
        out.extend([b"PK\x05\x06\0\0\0\0", &[0xff; 12][..], &[0, 0]].concat());
        Archive::of(out)
    };
    let good = [1, (end - directory) as u64, directory as u64];
    let archive = build(good, end as u64);
    assert_eq!(whole(&archive.open().unwrap()).unwrap(), [7; 16]);
    for place in [[2, good[1], good[2]], [u64::MAX, good[1], good[2]], [1, u64::MAX, 0], [1, good[1], u64::MAX]] {
        assert!(build(place, end as u64).open().is_err(), "{place:?}");
    }
    for at in [0, end as u64 + 1, u64::MAX, u64::MAX - 56] {
        assert!(build(good, at).open().is_err(), "{at}");
    }
}
