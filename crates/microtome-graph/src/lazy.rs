//! Lazy arrays: what users build.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, ChunkDims, ChunkGrid, PerAxis, PixelType, Region, Shape};
use microtome_io::{Place, Reader};
use microtome_ops::{Body, Cast, Crop, Downsample, Factors, Gaussian, Op, Project, Projection, Shrink, Sigma, Summary};

use crate::layer::{AxisMap, Layer, LayerKind};
use crate::{Estimate, Fusing, GraphError, Stage, StageOptions, TaskGraph};

/// An array that is described and not yet computed: a small immutable DAG of layers. Cloning shares it.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
/// use microtome_graph::{LazyArray, Selection};
/// use microtome_io::SyntheticReader;
/// use microtome_ops::Projection;
///
/// let shape = Shape::new([2, 3, 20, 512, 512, 1])?; // T C Z Y X S
/// let image = Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 }));
/// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
/// let mip = stack.project(Axis::Z, Projection::Max)?;
/// let estimate = mip.estimate();
/// assert_eq!(estimate.tasks, 2 * 3 * 20 + 2 * 3); // a read for each plane, a fold for each result
/// assert_eq!(estimate.fused, 2 * 3); // reads are streamed into the folds
/// # Ok::<(), microtome_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LazyArray(pub(crate) Arc<Node>);

/// A layer with its inputs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) layer: Layer,
    pub(crate) inputs: Vec<LazyArray>,
}

/// Which part of an image an array is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Scene and level.
    pub at: Place,
    /// Pixels of that level; all of it if `None`. Whole along S.
    pub region: Option<Region>,
}

impl LazyArray {
    /// The pixels of an image, cut into chunks by `dims`. A selected region has its own grid, from its first pixel.
    ///
    /// # Errors
    /// [`GraphError`] if scene, level or region do not exist.
    pub fn source(reader: Arc<dyn Reader>, selection: &Selection, dims: &ChunkDims) -> Result<LazyArray, GraphError> {
        let (scene, level) = reader.level(selection.at)?;
        let whole = level.shape.region();
        let region = selection.region.unwrap_or(whole).with(Axis::S, 0, level.shape.get(Axis::S));
        region.check_inside(&level.shape)?;
        let spec = ArraySpec { shape: region.shape(), dtype: scene.dtype };
        let grid = dims.grid(&spec)?;
        let kind = LayerKind::Source { at: selection.at, origin: region.origin(), reader };
        Ok(LazyArray::node(Layer { kind, spec, grid }, Vec::new()))
    }

    fn node(layer: Layer, inputs: Vec<LazyArray>) -> LazyArray {
        LazyArray(Arc::new(Node { layer, inputs }))
    }

    /// Shape and pixel type.
    pub fn spec(&self) -> ArraySpec {
        self.0.layer.spec
    }

    /// Extents, T C Z Y X S.
    pub fn shape(&self) -> Shape {
        self.spec().shape
    }

    /// Type of the values.
    pub fn dtype(&self) -> PixelType {
        self.spec().dtype
    }

    /// How it is cut into chunks.
    pub fn grid(&self) -> ChunkGrid {
        self.0.layer.grid
    }

    /// Applies an operation.
    ///
    /// # Errors
    /// [`GraphError::Op`] if the operation does not fit this array.
    pub fn apply(&self, op: Arc<dyn Op>) -> Result<LazyArray, GraphError> {
        let spec = op.output(&self.spec())?;
        let chunk = match op.body() {
            Body::Map(_) | Body::Index => self.grid().chunk(),
            Body::Fold(fold) => self.grid().chunk().with(fold.axis(), 1)?,
            Body::Neighbourhood(op) => {
                // Where a chunk is no multiple of the stride, chunks of the result start inside chunks of the input.
                let chunk = self.grid().chunk();
                Shape::new(Axis::ALL.map(|a| chunk.get(a).div_ceil(op.reach(a).stride)))?
            }
        };
        let grid = ChunkGrid::new(spec.shape, chunk)?;
        Ok(LazyArray::node(Layer { kind: LayerKind::Op(op), spec, grid }, vec![self.clone()]))
    }

    /// Projects along an axis (T, C or Z), which then has extent 1.
    ///
    /// # Errors
    /// [`GraphError::Op`] for another axis or a pixel type that has no such projection.
    pub fn project(&self, axis: Axis, method: Projection) -> Result<LazyArray, GraphError> {
        self.apply(Arc::new(Project { axis, method, dtype: None }))
    }

    /// A region of this array.
    ///
    /// # Errors
    /// [`GraphError::Op`] if it is empty or reaches outside.
    pub fn crop(&self, region: Region) -> Result<LazyArray, GraphError> {
        self.apply(Arc::new(Crop { region }))
    }

    /// Converts to another pixel type: clamped to its range, rounded half to even.
    ///
    /// # Errors
    /// [`GraphError::Op`] for complex pixels.
    pub fn cast(&self, dtype: PixelType) -> Result<LazyArray, GraphError> {
        if dtype == self.dtype() { Ok(self.clone()) } else { self.apply(Arc::new(Cast { dtype })) }
    }

    /// The same pixels in other chunks.
    ///
    /// # Errors
    /// [`GraphError::Array`] for a chunk of extent 0.
    pub fn rechunk(&self, dims: &ChunkDims) -> Result<LazyArray, GraphError> {
        let grid = dims.grid(&self.spec())?;
        if grid == self.grid() {
            return Ok(self.clone());
        }
        let layer = Layer { kind: LayerKind::Rechunk, spec: self.spec(), grid };
        Ok(LazyArray::node(layer, vec![self.clone()]))
    }

    /// This array given to a sink in write units of the grid.
    pub(crate) fn stored(&self, units: ChunkGrid) -> LazyArray {
        let layer = Layer { kind: LayerKind::Store, spec: self.spec(), grid: units };
        LazyArray::node(layer, vec![self.clone()])
    }

    /// This array given to a summary, chunk by chunk.
    pub(crate) fn summarised(&self, summary: &Arc<dyn Summary>) -> LazyArray {
        let kind = LayerKind::Summarise(Arc::clone(summary));
        LazyArray::node(Layer { kind, spec: self.spec(), grid: self.grid() }, vec![self.clone()])
    }

    /// The first operation, from the source on, that asks for a summary: what it asks, and of which pixels.
    pub fn asking(&self) -> Option<(LazyArray, Arc<dyn Summary>)> {
        let below = self.0.inputs.iter().find_map(LazyArray::asking);
        below.or_else(|| {
            let LayerKind::Op(op) = &self.0.layer.kind else { return None };
            Some((self.0.inputs.first()?.clone(), op.asks()?))
        })
    }

    /// All operations that ask for a summary, from the source on, as [`asking`](LazyArray::asking) gives the first: later ones
    /// ask of pixels that wait for the answers before them.
    pub fn all_asking(&self) -> Vec<(LazyArray, Arc<dyn Summary>)> {
        let mut all: Vec<_> = self.0.inputs.iter().flat_map(LazyArray::all_asking).collect();
        if let LayerKind::Op(op) = &self.0.layer.kind {
            all.extend(self.0.inputs.first().cloned().zip(op.asks()));
        }
        all
    }

    /// This array with the answer to what [`asking`](LazyArray::asking) gave.
    ///
    /// # Errors
    /// [`GraphError::Op`] if nothing was asked, or the answer is none to it.
    pub fn answered(&self, answer: &serde_json::Value) -> Result<LazyArray, GraphError> {
        let mut layer = self.0.layer.clone();
        let mut inputs = self.0.inputs.clone();
        if let Some(input) = inputs.iter_mut().find(|input| input.asking().is_some()) {
            *input = input.answered(answer)?;
        } else if let LayerKind::Op(op) = &layer.kind {
            layer.kind = LayerKind::Op(op.answered(answer)?);
        }
        Ok(LazyArray::node(layer, inputs))
    }

    /// Smoothed by a Gaussian of standard deviations in pixels, cut off after four of them; edges are mirrored.
    ///
    /// # Errors
    /// [`GraphError::Op`] for a standard deviation that is none, and for complex and bool pixels.
    pub fn gaussian(&self, sigma: Sigma) -> Result<LazyArray, GraphError> {
        self.apply(Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None }))
    }

    /// Made smaller by whole factors: each pixel is the mean of a block.
    ///
    /// # Errors
    /// [`GraphError::Op`] for a factor of 0 and for complex pixels.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_ops::Factors;
    /// let shape = Shape::new([1, 1, 4, 101, 64, 1])?;
    /// let image = Arc::new(microtome_io::SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U8 }));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let half = stack.downsample(Factors { y: 2, x: 2, ..Factors::default() })?;
    /// assert_eq!(half.shape().extents(), [1, 1, 4, 51, 32, 1]); // the last row has no partner
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn downsample(&self, factor: Factors) -> Result<LazyArray, GraphError> {
        self.apply(Arc::new(Downsample { factor, method: Shrink::Mean }))
    }

    /// The image this array is read from, if it has just one.
    pub fn reader(&self) -> Option<(Arc<dyn Reader>, Place, PerAxis<u64>)> {
        match &self.0.layer.kind {
            LayerKind::Source { reader, at, origin } => Some((Arc::clone(reader), *at, *origin)),
            _ if self.0.inputs.len() == 1 => self.0.inputs[0].reader(),
            _ => None,
        }
    }

    /// The arrays this one is made from, the source first, itself last; just itself where one of them has several inputs.
    pub fn chain(&self) -> Vec<LazyArray> {
        let mut chain = vec![self.clone()];
        while let Some(last) = chain.last() {
            match &last.0.inputs[..] {
                [] => break,
                [input] => chain.push(input.clone()),
                _ => return vec![self.clone()],
            }
        }
        chain.reverse();
        chain
    }

    /// This array made from `pixels` in the place of one of its [`chain`](LazyArray::chain): the same pixels from elsewhere.
    ///
    /// # Errors
    /// [`GraphError`] if they have another shape or type.
    pub fn made_from(&self, below: &LazyArray, pixels: &LazyArray) -> Result<LazyArray, GraphError> {
        if Arc::ptr_eq(&self.0, &below.0) {
            return Ok(pixels.clone());
        }
        let [input] = &self.0.inputs[..] else { return Ok(self.clone()) };
        let input = input.made_from(below, pixels)?;
        match &self.0.layer.kind {
            LayerKind::Op(op) => input.apply(Arc::clone(op)),
            _ => Ok(LazyArray::node(self.0.layer.clone(), vec![input])),
        }
    }

    /// What is done to the source of this array, done to other pixels, of another shape even. What cuts a region out that the
    /// other pixels do not have is left out.
    ///
    /// # Errors
    /// [`GraphError`] if an operation does not fit them.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    /// let stack = |extents| -> Result<LazyArray, Box<dyn std::error::Error>> {
    ///     let spec = ArraySpec { shape: Shape::new(extents)?, dtype: PixelType::U8 };
    ///     let image = Arc::new(SyntheticReader::new(spec));
    ///     Ok(LazyArray::source(image, &Selection::default(), &ChunkDims::default())?)
    /// };
    /// let mip = stack([9, 1, 50, 64, 64, 1])?.project(Axis::Z, Projection::Max)?;
    /// assert_eq!(mip.over(&stack([1, 1, 8, 64, 64, 1])?)?.shape().extents(), [1, 1, 1, 64, 64, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn over(&self, pixels: &LazyArray) -> Result<LazyArray, GraphError> {
        self.chain()[1..].iter().try_fold(pixels.clone(), |below, step| match &step.0.layer.kind {
            LayerKind::Op(op) if matches!(op.body(), Body::Index) => Ok(below.apply(Arc::clone(op)).unwrap_or(below)),
            LayerKind::Op(op) => below.apply(Arc::clone(op)),
            LayerKind::Rechunk => below.rechunk(&ChunkDims::Shape(step.grid().chunk())),
            LayerKind::Source { .. } | LayerKind::Store | LayerKind::Summarise(_) => Ok(below),
        })
    }

    /// How far into its image's level this array starts on an axis, in pixels; `None` if the axis was folded away or the
    /// array has several inputs.
    pub fn offset(&self, axis: Axis) -> Option<u64> {
        if let LayerKind::Source { origin, .. } = &self.0.layer.kind {
            return Some(origin[axis]);
        }
        let [input] = &self.0.inputs[..] else { return None };
        match self.0.layer.axis_map(axis, &input.spec()) {
            AxisMap::Shift(offset) => Some(offset + input.offset(axis)?),
            AxisMap::Reach(reach) if reach.stride == 1 => input.offset(axis),
            AxisMap::Reach(_) | AxisMap::Whole => None,
        }
    }

    /// The plan of computing this array, fused, with no sink.
    pub fn stage(&self) -> Stage {
        Stage::new(self, &StageOptions::default())
    }

    /// Exact counts and sizes of computing this array, before anything runs. O(layers).
    pub fn estimate(&self) -> Estimate {
        Estimate::of(&self.stage())
    }

    /// The whole unfused task graph as a petgraph `DiGraph`. O(tasks).
    ///
    /// # Errors
    /// [`GraphError::TooManyTasks`] above 2^28 tasks.
    ///
    /// # Examples
    /// All of petgraph works on it, for example an order to run in and the longest chain, which bounds what any number of
    /// threads can do:
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    /// use petgraph::{Direction::Incoming, algo::toposort};
    ///
    /// let spec = ArraySpec { shape: Shape::new([2, 1, 20, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let mip = stack.project(Axis::Z, Projection::Max)?.cast(PixelType::F32)?;
    /// let tasks = mip.task_graph()?;
    /// let graph = tasks.graph();
    ///
    /// let order = toposort(graph, None).expect("a task graph has no circle");
    /// assert_eq!(order.len() as u64, mip.estimate().tasks); // 40 reads, 2 folds, 2 casts
    /// let mut chain = vec![1; graph.node_count()];
    /// for &task in &order {
    ///     let inputs = graph.neighbors_directed(task, Incoming);
    ///     chain[task.index()] = 1 + inputs.map(|input| chain[input.index()]).max().unwrap_or(0);
    /// }
    /// assert_eq!(chain.iter().max(), Some(&3)); // read, fold, cast: 44 tasks, 3 after each other
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn task_graph(&self) -> Result<TaskGraph, GraphError> {
        let options = StageOptions { fusing: Fusing::None, ..StageOptions::default() };
        TaskGraph::whole(&Stage::new(self, &options))
    }
}
