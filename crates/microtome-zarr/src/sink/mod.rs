//! The sink: one array as OME-Zarr 0.5, sharded or not.
//!
//! *Invariant:* a file of the output is a write unit, so every file has one owner; the documents that make the folder an
//! image are written last, in a folder that gets its name after them.

mod document;
mod file;
mod publish;
mod scratch;
mod unit;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use microtome_array::{ArraySpec, ChunkGrid, ChunkIndex, Shape};
use microtome_io::{Sink, SinkSpec, UnitWriter, WriteContext, WriteError};
use serde_json::{Value, json};

use self::document::Dataset;
use self::file::UnitFile;
use self::publish::Partial;
pub use self::publish::check_output;
use self::unit::ZarrUnit;
use crate::codec::{Codec, Shelf};
use crate::layout::Layout;
use crate::{OutputMeta, ZarrOptions};

/// Folder of the array of level 0 in the group.
const LEVEL_0: &str = "0";
/// Most bytes in one stored chunk: what every codec and reader takes.
const MOST_CHUNK_BYTES: u64 = 1 << 30;
/// Most stored chunks in a shard: an index of 16 MiB.
const MOST_PARTS: u64 = 1 << 20;

/// An OME-Zarr 0.5 image of one level being written.
pub struct ZarrSink {
    path: PathBuf,
    layout: Layout,
    spec: SinkSpec,
    codec: Option<Box<dyn Codec>>,
    shelf: Shelf,
    group: Value,
    array: Value,
    overwrite: bool,
    partial: OnceLock<Partial>,
}

/// Describes an output; nothing is touched on disk before [`Sink::prepare`].
///
/// NGFF has five axes and no samples: an image whose pixels have samples (RGB) is stored with `C × S` channels, named
/// R, G, B where it has one channel, all samples of a pixel in one stored chunk.
///
/// # Errors
/// [`WriteError::Unsupported`] for a shard that parts a chunk, a chunk over 1 GiB, a shard of more than 2^20 chunks, or a
/// compression level that there is not.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, BufferPool, PixelType, PixelsRef, Shape};
/// use microtome_io::{Sink, WriteContext};
/// use microtome_zarr::{OutputMeta, ZarrOptions, create};
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("out.ome.zarr");
/// let array = ArraySpec { shape: Shape::new([1, 1, 2, 3, 4, 1])?, dtype: PixelType::U8 };
/// let sink = create(&out, array, &OutputMeta::default(), &ZarrOptions::default())?;
/// assert_eq!(sink.spec().units.count(), 1); // both planes in one shard
///
/// sink.prepare("0123456789ab")?;
/// let pool = BufferPool::new(1 << 20);
/// for unit in sink.spec().units.all().iter() {
///     let region = sink.spec().units.region(&unit).unwrap();
///     let mut writer = sink.begin(unit, &WriteContext { pool: &pool })?;
///     writer.write(&region, PixelsRef::new(array, &[7; 24])?)?;
///     assert_eq!(writer.finish()?.pixel_bytes, 24);
/// }
/// sink.finish()?;
/// assert!(out.join("0/c/0/0/0/0/0").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(path: &Path, array: ArraySpec, meta: &OutputMeta, options: &ZarrOptions) -> Result<ZarrSink, WriteError> {
    let refused = |why: String| WriteError::Unsupported { path: path.to_owned(), why };
    if let Some(why) = options.compression.complaint() {
        return Err(refused(why));
    }
    let layout = Layout::new(array, options).map_err(refused)?;
    check_sizes(&layout).map_err(refused)?;
    let units = ChunkGrid::new(array.shape, layout.unit()).map_err(|e| refused(e.to_string()))?;
    let dataset = Dataset { path: LEVEL_0, downsample: [1.0; 6] };
    Ok(ZarrSink {
        path: path.to_owned(),
        spec: SinkSpec { array, units, part: layout.chunk },
        codec: options.compression.codec(array.dtype.size()).map(|(codec, _)| codec),
        shelf: Shelf::default(),
        group: document::group(&layout, meta, &[dataset]),
        array: document::array(&layout, options.compression),
        overwrite: options.overwrite,
        partial: OnceLock::new(),
        layout,
    })
}

fn check_sizes(layout: &Layout) -> Result<(), String> {
    let bytes = layout.chunk.bytes(layout.array.dtype);
    if bytes > MOST_CHUNK_BYTES {
        return Err(format!("a chunk of {} pixels has {bytes} bytes, at most {MOST_CHUNK_BYTES}", layout.chunk));
    }
    let parts = layout.parts().0.iter().product::<u64>();
    if parts > MOST_PARTS {
        return Err(format!("a shard of {parts} chunks; give larger chunks or shards of at most {MOST_PARTS} chunks"));
    }
    Ok(())
}

impl ZarrSink {
    fn partial(&self) -> Result<&Partial, WriteError> {
        let why = "it is not prepared: a bug in the caller".to_owned();
        self.partial.get().ok_or_else(|| WriteError::Unsupported { path: self.path.clone(), why })
    }
}

fn write_document(path: &Path, document: &Value) -> Result<(), WriteError> {
    std::fs::write(path, document::text(document)).map_err(|e| WriteError::os(path, "write", e))
}

impl Sink for ZarrSink {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn parameters(&self) -> Value {
        json!({"sink": "ome-zarr", "group": self.group, "array": self.array})
    }

    fn scratch_bytes(&self, box_shape: &Shape) -> u64 {
        scratch::bytes(&self.layout, self.codec.as_deref(), box_shape)
    }

    fn prepare(&self, plan_hash: &str) -> Result<(), WriteError> {
        let partial = Partial::create(&self.path, plan_hash, self.overwrite)?;
        let level = partial.dir().join(LEVEL_0);
        std::fs::create_dir(&level).map_err(|e| WriteError::os(&level, "create", e))?;
        let why = "it is prepared twice: a bug in the caller".to_owned();
        self.partial.set(partial).map_err(|_| WriteError::Unsupported { path: self.path.clone(), why })
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        let path = self.partial()?.dir().join(LEVEL_0).join(Layout::key(&unit));
        let unit = ZarrUnit::new(self, unit, UnitFile::new(path.clone()), context.pool);
        Ok(Box::new(unit.map_err(|source| WriteError::Array { path, source })?))
    }

    fn finish(&self) -> Result<(), WriteError> {
        let partial = self.partial()?;
        write_document(&partial.dir().join(LEVEL_0).join("zarr.json"), &self.array)?;
        write_document(&partial.dir().join("zarr.json"), &self.group)?;
        partial.publish()
    }

    fn abandon(&self) {
        if let Some(partial) = self.partial.get() {
            partial.abandon();
        }
    }
}

impl std::fmt::Debug for ZarrSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZarrSink").field("path", &self.path).field("spec", &self.spec).finish_non_exhaustive()
    }
}
