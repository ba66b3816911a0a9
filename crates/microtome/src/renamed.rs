//! Another reading of an image's axes: T, C and Z exchanged, as the user says.
//!
//! *Invariant:* Y, X and S stay; pixels are those of the image, in another order of planes.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, PixelsMut, Region, Shape};
use microtome_io::{
    Channel, ImageInfo, LevelInfo, Place, Position, ReadContext, ReadCount, ReadError, Reader, SceneInfo, SourceSpec,
};

use crate::Image;

/// Axes that cannot be renamed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--axes {wanted} does not fit: {scene} has the axes {found} of more than one pixel; give as many letters, of T, C and Z each once, and leave Y, X and S where they are"
)]
pub struct AxesError {
    wanted: String,
    scene: String,
    found: String,
}

impl Image {
    /// The same image with other names of its axes: a letter for each axis of the scene that is longer than 1, in the order
    /// T C Z Y X S of what [`info`](Image::info) says.
    ///
    /// # Errors
    /// [`AxesError`] if the letters do not fit the scene.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome::{ArraySpec, Image, PixelType, Shape, SyntheticReader};
    /// let spec = ArraySpec { shape: Shape::new([7, 1, 1, 4, 5, 1])?, dtype: PixelType::U8 };
    /// let stack = Image::of(Arc::new(SyntheticReader::new(spec))).with_axes(0, "ZYX")?;
    /// assert_eq!(stack.scene(0)?.info().shape().extents(), [1, 1, 7, 4, 5, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_axes(&self, scene: usize, letters: &str) -> Result<Image, AxesError> {
        let info = self.info().scenes.get(scene);
        let is_long = |axis: &Axis| info.is_some_and(|info| info.shape().get(*axis) > 1);
        let long: Vec<Axis> = Axis::ALL.into_iter().filter(is_long).collect();
        let wanted: Option<Vec<Axis>> = letters.chars().map(|letter| Axis::parse(letter).ok()).collect();
        let renamed = wanted.and_then(|wanted| permutation(&long, &wanted));
        let Some(old) = renamed else {
            let found = long.iter().map(|axis| axis.letter()).collect();
            let name = info.map(|info| info.name.clone()).filter(|name| !name.is_empty());
            let scene = name.unwrap_or_else(|| "the scene".to_owned());
            return Err(AxesError { wanted: letters.to_owned(), scene, found });
        };
        let inner = self.reader();
        let mut info = inner.info().clone();
        info.scenes.iter_mut().for_each(|scene| rename(scene, old));
        Ok(Image::of(Arc::new(Renamed { inner, info, old })))
    }
}

/// An image read as another process read it, by what its [`Reader::reading`] says; `None` if that says nothing that can be.
pub(crate) fn reread(inner: Arc<dyn Reader>, reading: Option<&str>) -> Option<Arc<dyn Reader>> {
    let Some(reading) = reading else { return Some(inner) };
    let letters: Option<Vec<Axis>> =
        reading.strip_prefix(AXES)?.chars().map(|letter| Axis::parse(letter).ok()).collect();
    let old: [Axis; 6] = letters?.try_into().ok()?;
    let is_exchange = Axis::ALL.iter().all(|axis| old.contains(axis));
    let stays = [Axis::Y, Axis::X, Axis::S].iter().all(|axis| old[axis.index()] == *axis);
    let old = (is_exchange && stays).then_some(PerAxis(old))?;
    let mut info = inner.info().clone();
    info.scenes.iter_mut().for_each(|scene| rename(scene, old));
    Some(Arc::new(Renamed { inner, info, old }))
}

/// How the names of axes are told to another process.
const AXES: &str = "axes ";

/// For each axis the one that it was; `None` if the letters are no exchange of T, C and Z.
fn permutation(long: &[Axis], wanted: &[Axis]) -> Option<PerAxis<Axis>> {
    let moves = |axis: Axis| matches!(axis, Axis::T | Axis::C | Axis::Z);
    let fits =
        long.len() == wanted.len() && long.iter().zip(wanted).all(|(&was, &is)| was == is || (moves(was) && moves(is)));
    let twice = (1..wanted.len()).any(|n| wanted[..n].contains(&wanted[n]));
    if !fits || twice {
        return None;
    }
    let mut old: [Option<Axis>; 6] = [None; 6];
    for (&was, &is) in long.iter().zip(wanted) {
        old[is.index()] = Some(was);
    }
    // The axes of one pixel take what is left, their own places first.
    for keeps in [true, false] {
        for axis in Axis::ALL {
            let free = |other: Axis| !old.contains(&Some(other)) && !long.contains(&other) && (!keeps || other == axis);
            if old[axis.index()].is_none() {
                old[axis.index()] = Axis::ALL.into_iter().find(|&other| free(other));
            }
        }
    }
    Some(PerAxis::from_fn(|axis| old[axis.index()].unwrap_or(axis)))
}

fn renamed_shape(shape: &Shape, old: PerAxis<Axis>) -> Shape {
    Shape::new(PerAxis::from_fn(|axis| shape.get(old[axis])).0).unwrap_or(*shape)
}

fn rename(scene: &mut SceneInfo, old: PerAxis<Axis>) {
    let kept = |axis: Axis| old[axis] == axis;
    for LevelInfo { shape, downsample, origin, storage } in &mut scene.levels {
        *shape = renamed_shape(shape, old);
        for along in [downsample, origin] {
            *along = Axis::ALL.map(|axis| along[old[axis].index()]);
        }
        for part in [&mut storage.tile, &mut storage.granule].into_iter().chain(&mut storage.shard) {
            *part = renamed_shape(part, old);
        }
    }
    let channels = scene.shape().get(Axis::C).min(1 << 16) as usize;
    if !kept(Axis::C) {
        scene.channels = vec![Channel::default(); channels];
    }
    scene.pixel_size.z = scene.pixel_size.z.filter(|_| kept(Axis::Z));
    scene.time_increment = scene.time_increment.take().filter(|_| kept(Axis::T));
    let Position { t, z, .. } = scene.position;
    scene.position.z = if kept(Axis::Z) { z } else { 0.0 };
    scene.position.t = if kept(Axis::T) { t } else { 0.0 };
    let new = |was: Axis| Axis::ALL.into_iter().find(|&axis| old[axis] == was).unwrap_or(was);
    scene.page_order = scene.page_order.map(new);
}

/// A reader whose axes have other names.
#[derive(Debug)]
struct Renamed {
    inner: Arc<dyn Reader>,
    info: ImageInfo,
    /// For each axis the one that it is in the file.
    old: PerAxis<Axis>,
}

impl Renamed {
    fn letters(&self) -> String {
        self.old.0.iter().map(|axis| axis.letter()).collect()
    }

    fn in_file(&self, region: &Region) -> Region {
        Axis::ALL
            .into_iter()
            .fold(*region, |inside, axis| inside.with(self.old[axis], region.start(axis), region.end(axis)))
    }

    /// Copies planes from the file's order into ours.
    fn reorder(&self, from: &[u8], stored: &Shape, out: &mut PixelsMut<'_>) {
        let ours = out.shape();
        let planes: u64 = [Axis::T, Axis::C, Axis::Z].iter().map(|&axis| ours.get(axis)).product();
        let bytes = from.len() / planes.max(1) as usize;
        for (n, plane) in out.bytes().chunks_exact_mut(bytes.max(1)).enumerate() {
            let n = n as u64;
            let [c, z] = [Axis::C, Axis::Z].map(|axis| ours.get(axis));
            let mut index = PerAxis::splat(0);
            index[self.old[Axis::T]] = n / (c * z);
            index[self.old[Axis::C]] = n / z % c;
            index[self.old[Axis::Z]] = n % z;
            let at = (index[Axis::T] * stored.get(Axis::C) + index[Axis::C]) * stored.get(Axis::Z) + index[Axis::Z];
            plane.copy_from_slice(&from[at as usize * bytes..(at as usize + 1) * bytes]);
        }
    }
}

impl Reader for Renamed {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        let inner = self.inner.source();
        SourceSpec { digest: format!("{}, axes {}", inner.digest, self.letters()), ..inner }
    }

    fn reading(&self) -> Option<String> {
        Some(AXES.to_owned() + &self.letters())
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        let array = |source| ReadError::Array { path: self.info.path.clone(), source };
        let stored = self.in_file(region);
        let spec = ArraySpec { shape: stored.shape(), dtype: out.dtype() };
        let mut scratch = context.pool.take(spec.bytes() as usize);
        let mut pixels = PixelsMut::new(spec, scratch.bytes_mut()).map_err(array)?;
        let count = self.inner.read(at, &stored, &mut pixels, context)?;
        if out.bytes().len() as u64 != spec.bytes() {
            let source = microtome_array::ArrayError::Length { expected: spec.bytes(), found: out.spec().bytes() };
            return Err(array(source));
        }
        self.reorder(scratch.bytes(), &spec.shape, out);
        Ok(count)
    }

    fn unchanged(&self) -> Result<(), ReadError> {
        self.inner.unchanged()
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        let stored = self.in_file(region);
        let dtype = self.info.scenes.get(at.scene).map_or(0, |scene| scene.dtype.size() as u64);
        BufferPool::charged(stored.shape().pixels() * dtype) + self.inner.scratch_bytes(at, &stored)
    }
}
