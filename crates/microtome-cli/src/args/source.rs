//! Flags that say which part of an image is read, and in which chunks.

use clap::Args;
use microtome::{ArrayError, ChunkDims, Shape};

use super::{PartialRegion, PatternArgs};

/// Which pixels.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is read")]
pub(crate) struct SourceArgs {
    #[command(flatten)]
    pub(crate) pattern: PatternArgs,
    /// The scene: its number, identity or name; needed where there are several
    #[arg(long, value_name = "SCENE", env = "MICROTOME_SCENE", hide_env = true)]
    pub(crate) scene: Option<String>,
    /// The level of resolution, 0 is full
    #[arg(long, value_name = "N", env = "MICROTOME_LEVEL", hide_env = true, default_value_t = 0)]
    pub(crate) level: usize,
    /// Other names of its axes: a letter for each axis of more than one pixel, in the order in which `inspect` shows them, as
    /// ZYX for a stack that was taken for a time series
    #[arg(long, value_name = "AXES", env = "MICROTOME_AXES", hide_env = true)]
    pub(crate) axes: Option<String>,
    /// A part of it in pixels of that level, half-open: t=0:10,z=5,y=0:512
    #[arg(long, value_name = "RANGES", env = "MICROTOME_REGION", hide_env = true)]
    pub(crate) region: Option<PartialRegion>,
    /// The unit of computation: YX, ZYX, a shape T,C,Z,Y,X or a size; changes tasks and memory, never the result
    #[arg(long, value_name = "DIMS", env = "MICROTOME_CHUNK_DIMS", hide_env = true)]
    pub(crate) chunk_dims: Option<ChunkDims>,
}

/// The chunks that are counted.
#[derive(Debug, Args)]
pub(crate) struct ChunkArgs {
    /// Chunks to count, whole along these axes: YX, ZYX …; or of a size as 16MiB [default: planes, less of giant ones]
    #[arg(long, value_name = "DIMS", env = "MICROTOME_CHUNK_DIMS", hide_env = true)]
    chunk_dims: Option<ChunkDims>,
    /// Chunks to count, of this shape: 1,1,1,512,512 (T,C,Z,Y,X)
    #[arg(long, value_name = "SHAPE", env = "MICROTOME_CHUNK_SHAPE", hide_env = true, value_parser = shape)]
    #[arg(conflicts_with = "chunk_dims")]
    chunk_shape: Option<Shape>,
}

impl ChunkArgs {
    /// What was asked for, if anything.
    pub(crate) fn dims(&self) -> Option<ChunkDims> {
        self.chunk_shape.map(ChunkDims::Shape).or_else(|| self.chunk_dims.clone())
    }
}

/// A shape of five or six extents.
pub(super) fn shape(text: &str) -> Result<Shape, ArrayError> {
    match ChunkDims::parse(text)? {
        ChunkDims::Shape(shape) => Ok(shape),
        ChunkDims::Axes(_) | ChunkDims::Bytes(_) => Err(ArrayError::ChunkText { text: text.to_owned() }),
    }
}
