//! Images behind URLs, read by the library from a server that counts: pixels as in the local file, few requests, bounded
//! memory, and typed errors for servers that misbehave.

mod cli;
mod served;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cli::{Bench, repository};
use microtome::checksum::{AxisOrder, checksum};
use microtome::{
    ArraySpec, Axis, BufferPool, ChunkDims, Compression, Compute, Image, LazyArray, Levels, NgffVersion, PixelType,
    Place, ReadContext, ReadError, Region, RunOptions, Selection, Shape, ShardChoice, StoreOptions, SyntheticReader,
    ZarrOptions,
};
use served::{Request, Server, Trick};
use tempfile::TempDir;

const V2: &str = "ome-zarr-0.4.zarr";
const V3: &str = "ome-zarr-0.5-sharded.zarr";

fn fixtures() -> PathBuf {
    repository().join("fixtures")
}

fn open(url: &str) -> Image {
    Image::open(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// What each level of each scene holds.
fn pixels(image: &Image) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for scene in image.scenes() {
        for level in 0..scene.info().levels.len() {
            let array = scene.level(level).unwrap().array(&ChunkDims::default()).unwrap();
            all.push(
                array.compute(&RunOptions { threads: 2, ..RunOptions::default() }).unwrap().as_ref().bytes().to_vec(),
            );
        }
    }
    all
}

/// An image of some planes, written by us: chunks of 64 × 64.
fn written(version: NgffVersion, shard: ShardChoice, shape: [u64; 5]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [t, c, z, y, x] = shape;
    let spec = ArraySpec { shape: Shape::new([t, c, z, y, x, 1]).unwrap(), dtype: PixelType::U16 };
    let array = LazyArray::source(Arc::new(SyntheticReader::new(spec)), &Selection::default(), &ChunkDims::default());
    let chunk = Some(Shape::new([1, 1, 1, 64, 64, 1]).unwrap());
    let zarr =
        ZarrOptions { version, chunk, shard, compression: Compression::parse("zstd", None).unwrap(), overwrite: false };
    let options = StoreOptions { zarr, levels: Levels::Count(3), ..StoreOptions::default() };
    let run = RunOptions { threads: 2, ..RunOptions::default() };
    array.unwrap().store(folder.path().join("a.zarr"), options).unwrap().run(&run).unwrap();
    folder
}

fn shards() -> ShardChoice {
    ShardChoice::Shape(Shape::new([1, 1, 4, 256, 256, 1]).unwrap())
}

/// One plane of level 0, read at once.
fn plane(image: &Image, z: u64) -> Vec<u8> {
    let reader = image.reader();
    let (scene, level) = reader.level(Place::default()).unwrap();
    let region = Region::of(level.shape).with(Axis::T, 0, 1).with(Axis::C, 0, 1).with(Axis::Z, z, z + 1);
    let pool = BufferPool::new(u64::MAX);
    let mut out = microtome::Pixels::from_pool(ArraySpec { shape: region.shape(), dtype: scene.dtype }, &pool);
    reader.read(Place::default(), &region, &mut out.as_mut(), &ReadContext { pool: &pool }).unwrap();
    out.as_ref().bytes().to_vec()
}

fn methods(requests: &[Request]) -> (usize, usize) {
    let gets = requests.iter().filter(|request| request.method == "GET").count();
    (gets, requests.len() - gets)
}

#[test]
fn bundled_images_are_read_over_http_as_they_are_here() {
    let server = Server::of(&fixtures());
    for name in [V2, V3] {
        let (here, there) = (open(fixtures().join(name).to_str().unwrap()), open(&server.at(name)));
        assert_eq!(there.info().path, Path::new(&server.at(name)));
        assert_eq!(there.reader().source().uri, Some(server.at(name)));
        assert_eq!((&here.info().scenes, &here.info().format), (&there.info().scenes, &there.info().format));
        assert_eq!(pixels(&here), pixels(&there), "{name}");
    }
}

#[test]
fn opening_costs_two_requests_and_one_a_level_and_one_more_of_zarr_v2_unless_the_url_says_it() {
    for (version, under, more) in [(NgffVersion::V05, "", 2), (NgffVersion::V04, "", 3), (NgffVersion::V04, "v0.4/", 2)]
    {
        let folder = written(version, ShardChoice::None, [1, 1, 2, 300, 300]);
        if !under.is_empty() {
            std::fs::create_dir(folder.path().join(under)).unwrap();
            std::fs::rename(folder.path().join("a.zarr"), folder.path().join(under).join("a.zarr")).unwrap();
        }
        let server = Server::of(folder.path());
        let image = open(&server.at(&format!("{under}a.zarr")));
        let levels = image.info().scenes[0].levels.len();
        assert_eq!(levels, 3);
        let requests = server.requests();
        let asked: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(requests.len(), more + levels, "{asked:?}");
        let labels = ["zarr.json", ".zattrs"].map(|name| format!("/{under}a.zarr/labels/{name}"));
        assert!(labels.iter().any(|labels| asked.contains(&labels.as_str())), "{asked:?}");
    }
}

#[test]
fn consolidated_metadata_tell_all_at_once() {
    let Some(bench) = Bench::new() else { return };
    for (version, most) in [("v3", 1), ("v2", 3)] {
        let Some(_) = bench.python("write_consolidated.py", &[version, version]) else { return };
        let server = Server::of(&bench.path(version));
        let here = open(bench.path(version).join("plain").to_str().unwrap());
        let there = open(&server.at("plain"));
        let requests = server.requests();
        assert!(requests.len() <= most + 1, "{requests:?}");
        assert_eq!(here.info().scenes, there.info().scenes);
        assert_eq!(here.info().scenes.len(), 4, "arrays of groups in groups");
        assert_eq!(pixels(&here), pixels(&there));
    }
}

#[test]
fn images_of_others_plates_and_labels_are_found_as_in_a_folder() {
    let Some(corpus) = std::env::var_os("MICROTOME_CORPUS").map(|corpus| PathBuf::from(corpus).join("zarr")) else {
        return cli::skip("images of others behind URLs", "MICROTOME_CORPUS is not set; `cargo xtask test` sets it");
    };
    let server = Server::of(&corpus);
    let (mut read, mut unlisted) = (0, Vec::new());
    for entry in std::fs::read_dir(&corpus).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(here) = Image::open(entry.path()) else { continue };
        let there = match Image::open(server.at(&name)) {
            Err(ReadError::Unsupported { what, .. }) if what.contains("only a list of its folders") => {
                unlisted.push(name);
                continue;
            }
            // A folder that lacks a document of its own.
            Err(ReadError::NotAnImage { why, .. }) if why.contains("none of zarr.json") => {
                assert!(["zarr.json", ".zgroup", ".zattrs"].iter().all(|mark| !entry.path().join(mark).exists()));
                unlisted.push(name);
                continue;
            }
            there => there.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        assert_eq!(here.info().scenes, there.info().scenes, "{name}");
        assert_eq!(here.info().ome_xml, there.info().ome_xml, "{name}");
        for scene in 0..here.info().scenes.len().min(3) {
            let sum = |image: &Image| checksum(image.reader().as_ref(), scene, &AxisOrder::default()).unwrap();
            assert_eq!(sum(&here), sum(&there), "{name} scene {scene}");
        }
        let asked = server.requests().len();
        println!("{name}: {} scenes, {asked} requests", here.info().scenes.len());
        read += 1;
    }
    println!("not listed over http: {unlisted:?}");
    assert!(read >= 10, "{read} were read, {unlisted:?} not");
}

#[test]
fn a_plane_costs_at_most_a_request_and_a_fifth_a_chunk_with_the_indexes_of_its_shards() {
    let cases = [
        ("chunks of 0.4", NgffVersion::V04, ShardChoice::None, 1.0),
        ("chunks of 0.5", NgffVersion::V05, ShardChoice::None, 1.0),
        ("shards", NgffVersion::V05, shards(), 1.2),
    ];
    for (what, version, shard, most) in cases {
        let folder = written(version, shard, [1, 1, 4, 512, 640]);
        let server = Server::of(folder.path());
        let here = open(folder.path().join("a.zarr").to_str().unwrap());
        let image = open(&server.at("a.zarr"));
        server.requests();
        let chunks = 8.0 * 10.0;
        for z in 0..4 {
            assert_eq!(plane(&image, z), plane(&here, z), "{what} {z}");
            let (gets, others) = methods(&server.requests());
            assert_eq!(others, 0);
            let each = gets as f64 / chunks;
            assert!(each <= most, "{what}: {each} requests a chunk of plane {z}");
            if shard != ShardChoice::None {
                // Chunks that lie side by side come together; of the indexes of six shards nothing is asked for again.
                let asked = if z == 0 { 6..=24 } else { 6..=18 };
                assert!(asked.contains(&gets), "{gets} requests of plane {z}");
            }
        }
    }
}

#[test]
fn what_is_not_there_is_the_fill_value_and_whatever_else_is_answered_is_not() {
    let folder = written(NgffVersion::V04, ShardChoice::None, [1, 1, 1, 128, 128]);
    let there = folder.path().join("a.zarr");
    std::fs::remove_file(there.join("0/0/0/0/1/1")).unwrap();
    let here = plane(&open(there.to_str().unwrap()), 0);
    let server = Server::of(folder.path());
    let image = open(&server.at("a.zarr"));
    assert_eq!(plane(&image, 0), here);
    for status in [400, 401, 403, 405, 410, 500, 503] {
        let server = Server::playing(folder.path(), move |request| {
            request.path.ends_with("/1/1").then_some(Trick::Status(status))
        });
        let image = open(&server.at("a.zarr"));
        let array = image.scene(0).unwrap().array(&ChunkDims::default()).unwrap();
        let error = array.compute(&RunOptions::default()).unwrap_err().to_string();
        assert!(error.contains(&format!("HTTP status {status}")), "{error}");
        assert!(error.contains("/a.zarr/0/0/0/0/1/1"), "{error}");
    }
}

#[test]
fn an_array_that_is_gone_is_no_array_of_fill_values() {
    let folder = written(NgffVersion::V05, ShardChoice::None, [1, 1, 1, 128, 128]);
    let server = Server::of(folder.path());
    let image = open(&server.at("a.zarr"));
    std::fs::remove_dir_all(folder.path().join("a.zarr/0")).unwrap();
    let error = image.scene(0).unwrap().array(&ChunkDims::default()).unwrap().compute(&RunOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("changed while it was being read"), "{error}");
}

/// The error of reading all pixels of an image that is served with a trick.
fn trouble(folder: &Path, tricks: impl Fn(&Request) -> Option<Trick> + Send + Sync + 'static) -> String {
    let server = Server::playing(folder, tricks);
    let image = match Image::open(server.at("a.zarr")) {
        Ok(image) => image,
        Err(error) => return error.to_string(),
    };
    let array = image.scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    array.compute(&RunOptions::default()).map_or_else(|error| error.to_string(), |_| "none".to_owned())
}

fn is_chunk(request: &Request) -> bool {
    request.path.contains("/0/c/")
}

#[test]
fn what_fails_for_the_moment_is_tried_again() {
    let folder = written(NgffVersion::V05, shards(), [1, 1, 4, 300, 300]);
    let expected = pixels(&open(folder.path().join("a.zarr").to_str().unwrap()));
    let tricks: [fn(&Request) -> Option<Trick>; 3] = [
        |request| (request.before < 2).then_some(Trick::Status(503)),
        |request| (is_chunk(request) && request.before == 0).then_some(Trick::BreakOff(7)),
        |request| (request.before == 0).then_some(Trick::Late(Duration::from_millis(50))),
    ];
    for (n, trick) in tricks.into_iter().enumerate() {
        let server = Server::playing(folder.path(), trick);
        assert_eq!(pixels(&open(&server.at("a.zarr"))), expected, "trick {n}");
    }
}

#[test]
fn servers_that_misbehave_end_in_an_error_that_says_how() {
    let folder = written(NgffVersion::V05, shards(), [1, 1, 4, 300, 300]);
    let path = folder.path();
    let error = trouble(path, |request| is_chunk(request).then_some(Trick::NoRanges));
    assert!(error.contains("gives the whole object where a part of it was asked for"), "{error}");
    let error = trouble(path, |_| Some(Trick::Redirect("http://127.0.0.1:1/elsewhere".to_owned())));
    assert!(error.contains("HTTP status 302") && error.contains("as http://127.0.0.1:1/elsewhere may be"), "{error}");
    let error = trouble(path, |request| is_chunk(request).then_some(Trick::BreakOff(3)));
    assert!(error.contains("cannot read http://") && error.contains("/0/c/"), "{error}");
    let error = trouble(path, |request| request.path.ends_with("/zarr.json").then_some(Trick::Announce(1 << 40)));
    assert!(error.contains("over the limit"), "{error}");
    let error = trouble(path, |request| request.path.ends_with("/zarr.json").then_some(Trick::Announce(5)));
    assert!(error.contains("no valid JSON"), "{error}");
    let error = trouble(path, |request| is_chunk(request).then_some(Trick::Instead(vec![7; 100_000])));
    assert!(error.contains("the shard index"), "{error}");
}

#[test]
fn a_shard_that_is_exchanged_is_noticed_by_its_tag() {
    let folder = written(NgffVersion::V05, shards(), [1, 1, 4, 256, 256]);
    let server = Server::of(folder.path());
    let image = open(&server.at("a.zarr"));
    let first = plane(&image, 0);
    assert!(server.requests().iter().any(|request| request.if_match.is_some()), "the index is followed by its tag");
    let shard = folder.path().join("a.zarr/0/c/0/0/0/0/0");
    let bytes = std::fs::read(&shard).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(&shard, bytes).unwrap();
    assert!(!first.is_empty());
    let array = image.scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let error = array.compute(&RunOptions::default()).unwrap_err().to_string();
    assert!(error.contains("changed while it was being read"), "{error}");
}

#[test]
fn nothing_is_asked_for_outside_of_the_image() {
    let folder = written(NgffVersion::V05, ShardChoice::None, [1, 1, 1, 64, 64]);
    let ome = |paths: &str| {
        format!(
            r#"{{"zarr_format": 3, "node_type": "group", "attributes": {{"ome": {{"version": "0.5", "labels": [{paths}],
            "plate": {{"wells": [{{"path": "../../x"}}]}}, "multiscales": [{{"axes": ["y", "x"], "datasets": [{{"path": "../0"}}]}}]}}}}}}"#
        )
    };
    let text = ome(r#""../../secret", "/etc", "a//b", "..", "a\\b""#);
    std::fs::write(folder.path().join("a.zarr/zarr.json"), text).unwrap();
    let server = Server::of(folder.path());
    assert!(Image::open(server.at("a.zarr")).is_err());
    for request in server.requests() {
        assert!(request.path.starts_with("/a.zarr/") && !request.path.contains(".."), "{request:?}");
    }
}

#[test]
fn a_server_that_answers_everything_is_not_followed_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let plate = r#"{"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5",
        "plate": {"wells": [{"path": "A/1"}, {"path": "A/2"}]}}}}"#;
    let server = Server::playing(folder.path(), move |_| Some(Trick::Instead(plate.as_bytes().to_vec())));
    let error = Image::open(server.at("a.zarr")).unwrap_err().to_string();
    assert!(error.contains("names no image and no array"), "{error}");
    assert!(server.requests().len() < 2000);
}

#[test]
fn tiles_of_a_plane_are_waited_for_together() {
    let folder = written(NgffVersion::V04, ShardChoice::None, [1, 1, 1, 256, 256]);
    let late = Duration::from_millis(100);
    let server = Server::playing(folder.path(), move |request| {
        request.path.starts_with("/a.zarr/0/0/").then_some(Trick::Late(late))
    });
    let image = open(&server.at("a.zarr"));
    let start = Instant::now();
    plane(&image, 0);
    let took = start.elapsed();
    assert_eq!(server.requests().iter().filter(|r| r.path.starts_with("/a.zarr/0/0/")).count(), 16);
    assert!(took < late * 8, "16 tiles of 100 ms each took {took:?}");
}

#[test]
fn what_is_held_of_a_window_is_declared() {
    for shard in [ShardChoice::None, shards()] {
        let folder = written(NgffVersion::V05, shard, [1, 1, 4, 2000, 2000]);
        let server = Server::of(folder.path());
        let reader = open(&server.at("a.zarr")).reader();
        let (scene, level) = reader.level(Place::default()).unwrap();
        let region = Region::of(level.shape).with(Axis::Z, 1, 2);
        let declared = reader.scratch_bytes(Place::default(), &region);
        let pool = BufferPool::new(u64::MAX);
        let spec = ArraySpec { shape: region.shape(), dtype: scene.dtype };
        let mut out = microtome::Pixels::zeroed(spec);
        reader.read(Place::default(), &region, &mut out.as_mut(), &ReadContext { pool: &pool }).unwrap();
        let peak = pool.stats().peak_lent;
        assert!(peak <= declared, "{peak} bytes were taken, {declared} declared");
        assert!(declared < 64 << 20, "{declared}");
    }
}

#[test]
fn urls_that_cannot_be_are_refused_without_telling_secrets() {
    for (url, words) in [
        ("https://me:hunter2@host/a.zarr", "a user in a URL"),
        ("https://host/a.zarr?sig=hunter2", "a URL with a query"),
        ("ftp://host/a.zarr", "a URL of this kind"),
        ("https://host/cells.ome.tif", "reading a TIFF behind a URL is not supported"),
        ("https://me:hunter2@host/cells.ome.tif", "a user in a URL"),
        ("s3://bucket/a.zarr.zip", "reading a ZIP archive behind a URL is not supported"),
    ] {
        let error = Image::open(url).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn nobody_there_and_nothing_there_are_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/a.zarr", listener.local_addr().unwrap());
    drop(listener);
    let error = Image::open(&nobody).unwrap_err();
    assert!(matches!(error, ReadError::Remote { .. }));
    let error = error.to_string();
    assert!(error.contains("refused") && error.contains("does a server listen there"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of(folder.path());
    let error = Image::open(server.at("a.zarr")).unwrap_err();
    assert!(matches!(error, ReadError::NotAnImage { .. }) && error.to_string().contains("404"), "{error}");
}

#[test]
fn a_document_that_is_exchanged_is_noticed() {
    let folder = written(NgffVersion::V05, ShardChoice::None, [1, 1, 1, 64, 64]);
    let server = Server::of(folder.path());
    let reader = open(&server.at("a.zarr")).reader();
    reader.unchanged().unwrap();
    let document = folder.path().join("a.zarr/0/zarr.json");
    let bytes = std::fs::read(&document).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(&document, bytes).unwrap();
    assert!(matches!(reader.unchanged(), Err(ReadError::Changed { .. })));
    std::fs::remove_file(&document).unwrap();
    assert!(matches!(reader.unchanged(), Err(ReadError::Changed { .. })));
}
