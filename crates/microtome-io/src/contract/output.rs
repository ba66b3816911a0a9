//! What every [`Output`] and every [`Sink`] of it keeps.

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkGrid, PerAxis, Pixels, PixelsRef, Region, Shape, copy_region};

use crate::{
    Check, Completion, Durability, Output, Prepare, Receipt, Sink, Standing, StoredUnit, SyntheticReader, WriteContext,
    read_region,
};

/// Checks that an output keeps the pixels it is given, whatever the boxes they come in and the order of its units; that
/// its receipts do not depend on either and are of what is stored; that its arrays can be read back before it is
/// published; that a unit takes no more scratch than announced; that misuse is an error.
///
/// `make` gives a fresh output of the same arrays each time; `read_back` finishes with it and gives the pixels of an
/// array. Meant for arrays up to some megabytes.
///
/// # Panics
/// If the output breaks the contract: the message says how.
pub fn output<O: Output>(mut make: impl FnMut() -> O, mut read_back: impl FnMut(&O, usize) -> Pixels) {
    let mut expected: Option<Vec<(Vec<u8>, Vec<Receipt>)>> = None;
    for round in 0..4 {
        let output = make();
        let plan = "c0ffee00c0ffee00";
        // To wait for the disk each time would take most of the time of this.
        let durability = if round == 0 { Durability::Batch } else { Durability::None };
        let how = Prepare { durability, ..Prepare::fresh(plan) };
        let standing = output.prepare(&how).expect("a fresh output is prepared");
        assert_eq!(standing, Standing::Fresh);
        let receipts: Vec<Vec<Receipt>> = (0..output.arrays()).map(|n| write_array(&output, n, round)).collect();
        let units: Vec<Vec<StoredUnit>> =
            receipts.iter().map(|units| units.iter().map(StoredUnit::from).collect()).collect();
        output.finish(&Completion { plan, units: &units, quarantine: None }).expect("a whole output is published");
        let mut found = Vec::new();
        for (n, receipts) in receipts.into_iter().enumerate() {
            let bytes = read_back(&output, n).as_ref().bytes().to_vec();
            let same = bytes == sample(output.array(n).spec().array).as_ref().bytes();
            assert!(same, "round {round}, array {n}: the pixels come back");
            found.push((bytes, receipts));
        }
        assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "round {round} gives the same receipts");
    }
}

/// Writes an array as a round does; gives its receipts in the order of units.
fn write_array(output: &dyn Output, array: usize, round: usize) -> Vec<Receipt> {
    let sink = output.array(array);
    let spec = sink.spec().clone();
    let pixels = sample(spec.array);
    misuse(sink, &pixels);
    let mut receipts: Vec<Receipt> = Vec::new();
    let holed = |n: u64| n == 1;
    for n in 0..spec.units.count() {
        let n = if round.is_multiple_of(2) { n } else { spec.units.count() - 1 - n };
        receipts.extend(write_unit(sink, &pixels, (n, !holed(n)), &box_shape(&spec.units, &spec.part, round)));
    }
    assert_eq!(receipts.len() as u64, spec.units.count(), "every unit has one receipt when all have ended");
    for receipt in &receipts {
        let n = spec.units.linear(&receipt.unit);
        let bytes = spec.units.region(&receipt.unit).expect("a unit of the grid").shape().bytes(spec.array.dtype);
        assert_eq!((receipt.pixel_bytes, receipt.whole), (bytes, !holed(n)), "the receipt of unit {n} is its own");
    }
    for batch in receipts.chunks(3) {
        let batch: Vec<(usize, Receipt)> = batch.iter().map(|r| (array, r.clone())).collect();
        output.settle(&batch).expect("units are settled");
    }
    for receipt in &receipts {
        for how in [Check::Length, Check::Bytes] {
            assert!(output.check(array, receipt, how).expect("a unit is looked at"), "a unit is as its receipt says");
        }
    }
    let reader = output.reopen(array).expect("an array whose units are settled is read back");
    let again = read_region(reader.as_ref(), crate::Place::default(), &spec.array.shape.region()).expect("it reads");
    assert!(again.as_ref().bytes() == pixels.as_ref().bytes(), "array {array} is read back before it is published");
    receipts.sort_by_key(|r| r.unit);
    let written: u64 = receipts.iter().map(|r| r.pixel_bytes).sum();
    assert_eq!(written, spec.array.bytes(), "the receipts count every pixel once");
    receipts
}

/// Pixels that are all different, but for the first quarter of the array, which is 0.
fn sample(spec: ArraySpec) -> Pixels {
    let reader = SyntheticReader::new(spec);
    let mut pixels = read_region(&reader, crate::Place::default(), &spec.shape.region()).expect("synthetic pixels");
    let quarter = pixels.as_ref().bytes().len() / 4;
    pixels.as_mut().bytes()[..quarter].fill(0);
    pixels
}

/// Boxes of a round: stored chunks, whole units, rows, and an odd shape that fits nothing.
fn box_shape(units: &ChunkGrid, part: &Shape, round: usize) -> Shape {
    let unit = units.chunk();
    let odd = |n: u64| (n / 3).max(1);
    let extents = PerAxis::from_fn(|a| match (round, a) {
        (_, Axis::S) | (1, _) | (2, Axis::X) => unit.get(a),
        (0, _) => part.get(a),
        (2, _) => 1,
        _ => odd(unit.get(a)),
    });
    Shape::new(extents.0).expect("a box is no larger than its unit")
}

fn write_unit(sink: &dyn Sink, pixels: &Pixels, (n, whole): (u64, bool), box_shape: &Shape) -> Vec<Receipt> {
    let spec = sink.spec();
    let unit = spec.units.index(n);
    let region = spec.units.region(&unit).expect("the unit is in the grid");
    let pool = BufferPool::new(0);
    let mut writer = sink.begin(unit, &WriteContext { pool: &pool }).expect("a unit begins");
    for piece in boxes(&region, box_shape) {
        let part = cut(pixels.as_ref(), &piece);
        writer.write(&piece, part.as_ref()).expect("a box is written");
    }
    let receipts = writer.finish(whole).expect("a unit that has all its pixels ends");
    let stats = pool.stats();
    let most = sink.scratch_bytes(box_shape);
    assert!(stats.peak_lent <= most, "boxes {box_shape}: {} bytes lent, {most} announced", stats.peak_lent);
    assert_eq!(stats.lent, 0, "scratch buffers go back");
    receipts
}

/// The boxes of a region in C order, counted from its first pixel.
fn boxes(region: &Region, box_shape: &Shape) -> Vec<Region> {
    let grid = ChunkGrid::new(region.shape(), *box_shape).expect("a box is not empty");
    let inside = grid.all().iter().filter_map(move |index| grid.region(&index));
    inside.map(|part| part.shifted(&region.origin())).collect()
}

fn cut(whole: PixelsRef<'_>, region: &Region) -> Pixels {
    let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype: whole.dtype() });
    copy_region(whole, &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), region).expect("inside");
    part
}

/// Pixels that do not fit are refused, and a writer that is dropped leaves its unit to be begun again.
fn misuse(sink: &dyn Sink, pixels: &Pixels) {
    let spec = sink.spec();
    if spec.units.count() == 0 {
        return;
    }
    let pool = BufferPool::new(0);
    let first = spec.units.index(0);
    let region = spec.units.region(&first).expect("the first unit");
    let mut writer = sink.begin(first, &WriteContext { pool: &pool }).expect("a unit begins");
    let far = region.shifted(&PerAxis::splat(0).with(Axis::T, spec.array.shape.get(Axis::T)));
    let part = cut(pixels.as_ref(), &region);
    assert!(writer.write(&far, part.as_ref()).is_err(), "pixels past the array are refused");
    drop(writer);
    assert_eq!(pool.stats().lent, 0, "a dropped writer gives its scratch back");
}
