#![doc = include_str!("../../../README.md")]
//!
//! # Map of this crate
//!
//! - [`Image`], [`Scene`]: open a file from its headers.
//! - [`LazyArray`]: what is to be computed; `estimate()` before, [`Compute::compute`] or [`Compute::store`] to run.
//! - [`Handler`], [`function`](macro@function), [`init`]: run functions of your own on threads or on a Dask cluster.
//! - [`LocalCluster`]: a real Dask cluster on this machine, to try things out.
//! - [`checksum`]: a hash of pixels that other tools can make too.
//! - [`verify()`], [`compare()`]: an output against its own record; two images pixel by pixel.
//!
//! *Invariant:* this crate joins the others and computes nothing itself; `open.rs` alone names the formats that are
//! read, and `target.rs` those that are written.

mod bench;
pub mod checksum;
mod cluster;
mod collection;
mod compare;
mod compute;
mod describe;
mod forecast;
mod gathered;
mod image;
mod levels;
mod losses;
mod measure;
mod naming;
mod open;
mod plate;
mod project_as;
mod renamed;
mod scene_choice;
mod target;
mod thumbnail;
mod verify;

pub use bench::{BenchLimit, BenchOptions, BenchReport, BenchStep, bench};
pub use cluster::path_on_workers;
pub use collection::{Collection, Part, series, survey};
pub use compare::{Comparison, compare};
pub use compute::{Compute, Store};
pub use describe::describe;
pub use forecast::{CalibrationLimits, Forecaster};
pub use image::{Image, Scene};
pub use levels::{Levels, StoreOptions};
pub use losses::{Loss, Lost};
pub use measure::{MeasureOptions, MeasureReport, PlaneRow, Repeated, TableFormat, Unmeasured, images_of, measure};
pub use naming::{Naming, NamingError};
pub use open::{FORMATS, Format, OpenFn};
pub use plate::{PlateError, plate};
pub use project_as::project_as;
pub use renamed::AxesError;
pub use scene_choice::SceneError;
pub use target::OutputFormat;
pub use thumbnail::{MOST_CHANNELS, ShownChannel, Thumbnail, ThumbnailOptions, thumbnail};
pub use verify::verify;

pub use microtome_array::{
    ArrayError, ArraySpec, Axis, BufferPool, ChunkDims, ChunkGrid, PerAxis, Pixel, PixelType, Pixels, PixelsMut,
    PixelsRef, Region, Shape, dispatch, format_count, format_size, parse_size,
};
pub use microtome_exec::trace::TARGET as TRACE_TARGET;
pub use microtome_exec::{
    AtOnce, BadPlane, BadPlanes, CancelToken, Command, Counters, End, Event, Explanation, FaultKind, Intermediate,
    Intermediates, Job, LayerReason, MOST_THREADS, MemoryReason, MostBad, OnCluster, OnError, Pass, PassLimit,
    PassReason, Plan, Resume, RunError, RunOptions, RunReport, Scheduler, Setup, Snapshot, Ticket, Window,
    default_memory,
};
pub use microtome_graph::{
    Activity, Admission, Amount, Card, Drawing, Estimate, Flow, Forecast, Fusing, GraphError, Layer, LayerEstimate,
    LayerId, LayerKind, LazyArray, Learnt, Look, MOST_SHOWN, Panel, PassWork, Rate, Rates, Relation, Selection, Stage,
    StageOptions, Task, TaskGraph, Work, WorkKind, rule_of_thumb,
};
pub use microtome_handler::{
    self as handler, ConnectError, Event as HandlerEvent, Future, Handler, LocalCluster, LocalClusterOptions,
    LocalHandler, TaskError, TaskErrorKind, function, init, zip,
};
pub use microtome_io::{
    Channel, Difference, Durability, HowDifferent, ImageInfo, Io, LevelInfo, Limits, MemoryReader, MemorySink,
    Objective, Output, PartDifference, PixelSize, Place, PlaneTaken, Position, Quantity, ReadContext, ReadCount,
    ReadError, Reader, SceneInfo, SceneKind, ShownRange, Sink, SourceSpec, StagePosition, Standing, StorageInfo,
    StorageKind, SyntheticReader, Verification, Well, WriteError, read_region,
};
pub use microtome_ops::{
    self as ops, Cast, Crop, Downsample, Ends, Factors, Gaussian, Histogram, Op, OpError, Percentiles, Project,
    Projection, Rescale, Shrink, Sigma, Summary, summarise,
};
pub use microtome_picture::{Picture, PngOptions, PngOutput};
pub use microtome_tiff::{TiffCompression, TiffOptions, TiffOutput, create as create_tiff};
pub use microtome_zarr::{
    Compression, LevelSpec, Member, NgffVersion, OmeXml, OutputMeta, ShardChoice, Survey, ZarrOptions, ZarrOutput,
    create as create_zarr,
};

/// What most programs import.
pub mod prelude {
    pub use crate::{
        Axis, ChunkDims, Compute, Handler, Image, LazyArray, PixelType, Projection, Region, RunOptions, Scene, Shape,
        TaskError, TiffOptions, ZarrOptions,
    };
}
