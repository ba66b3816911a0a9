//! Folders of Zarr files under construction, and what tests write into them.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(clippy::needless_pass_by_value, reason = "JSON that is written in the call is given away")]
#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::fs;
use std::path::PathBuf;

use microtome_array::Pixels;
use microtome_io::{Limits, Place, ReadError, Reader, read_region};
use microtome_zarr::{ZarrReader, open};
use serde_json::{Value, json};

/// A folder of files under construction.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("image.zarr")
    }

    pub(crate) fn put(self, name: &str, bytes: impl AsRef<[u8]>) -> Folder {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn json(self, name: &str, value: &Value) -> Folder {
        self.put(name, value.to_string())
    }

    pub(crate) fn open(&self) -> Result<ZarrReader, ReadError> {
        open(&self.path(), &Limits::default())
    }
}

pub(crate) fn v2(shape: Value, chunks: Value) -> Value {
    json!({"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "compressor": null, "fill_value": 7,
           "order": "C", "filters": null})
}

pub(crate) fn v3(shape: Value, chunks: Value, codecs: Value) -> Value {
    json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8", "fill_value": 7,
           "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
           "chunk_key_encoding": {"name": "default"}, "codecs": codecs})
}

pub(crate) fn with(mut value: Value, key: &str, entry: Value) -> Value {
    value[key] = entry;
    value
}

pub(crate) fn sharded(inner: Value, more: Value) -> Value {
    let mut configuration = json!({"chunk_shape": inner, "codecs": [{"name": "bytes"}],
                                   "index_codecs": [{"name": "bytes"}]});
    for (key, value) in more.as_object().unwrap() {
        configuration[key] = value.clone();
    }
    json!([{"name": "sharding_indexed", "configuration": configuration}])
}

pub(crate) fn shards_in_shards(depth: u32) -> Value {
    (0..depth).fold(json!([{"name": "bytes"}]), |inner, _| sharded(json!([1, 1]), json!({"codecs": inner})))
}

pub(crate) fn multiscales(axes: Value, datasets: Value) -> Value {
    json!({"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]})
}

pub(crate) fn whole(reader: &dyn Reader, scene: usize) -> Result<Vec<u8>, ReadError> {
    let region = reader.info().scenes[scene].shape().region();
    read_region(reader, Place { scene, level: 0 }, &region).map(|p: Pixels| p.as_ref().bytes().to_vec())
}

pub(crate) fn extents(reader: &ZarrReader) -> [u64; 6] {
    reader.info().scenes[0].shape().extents()
}
