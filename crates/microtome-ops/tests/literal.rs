//! The rules for pixel types, as literal values.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Debug;

use half::f16;
use microtome_array::{ArraySpec, Axis, BufferPool, Pixel, PixelType, Pixels, Shape};
use microtome_ops::{
    Cast, Downsample, Ends, Factors, Fold, Gaussian, Op, OpError, Project, Projection, Rescale, Shrink, Sigma, contract,
};
use serde_json::json;

fn line(values: &[impl Pixel], dtype: PixelType, axis: Axis) -> Pixels {
    let shape = Shape::new([1; 6]).unwrap().with(axis, values.len() as u64).unwrap();
    let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype });
    pixels.as_mut().slice_mut().unwrap().copy_from_slice(values);
    pixels
}

fn run<B: Pixel>(op: &dyn Op, input: &Pixels) -> Result<Vec<B>, OpError> {
    let region = op.output(&input.spec())?.shape.region();
    let output = contract::evaluate(op, input.as_ref(), &region, |_| 1)?;
    Ok(output.as_ref().slice::<B>()?.to_vec())
}

/// Projects the values of one pixel along Z.
fn project<A: Pixel, B: Pixel>(method: Projection, dtype: Option<PixelType>, values: &[A]) -> Result<B, OpError> {
    let op = Project { axis: Axis::Z, method, dtype };
    run::<B>(&op, &line(values, A::TYPE, Axis::Z)).map(|output| output[0])
}

fn mean<A: Pixel>(values: &[A]) -> A {
    project(Projection::Mean, None, values).unwrap()
}

fn sum<A: Pixel, B: Pixel>(values: &[A]) -> B {
    project(Projection::Sum, None, values).unwrap()
}

fn cast<A: Pixel, B: Pixel>(values: &[A]) -> Vec<B> {
    run::<B>(&Cast { dtype: B::TYPE }, &line(values, A::TYPE, Axis::X)).unwrap()
}

fn rescale<A: Pixel, B: Pixel>(from: (f64, f64), to: Option<(f64, f64)>, values: &[A]) -> Vec<B> {
    let op = Rescale { from: Ends::Values(from.0, from.1), to, dtype: Some(B::TYPE) };
    run::<B>(&op, &line(values, A::TYPE, Axis::X)).unwrap()
}

fn message(result: Result<impl Debug, OpError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_largest_and_the_smallest_keep_the_type() {
    assert_eq!(project::<u16, u16>(Projection::Max, None, &[7, 65535, 0]).unwrap(), 65535);
    assert_eq!(project::<i8, i8>(Projection::Min, None, &[7, -128, 127]).unwrap(), -128);
    assert_eq!(project::<f32, f32>(Projection::Max, None, &[-1.0, f32::NEG_INFINITY]).unwrap(), -1.0);
    assert_eq!(project::<u64, u64>(Projection::Max, None, &[u64::MAX - 1, u64::MAX]).unwrap(), u64::MAX);
}

#[test]
fn one_nan_makes_the_largest_and_the_smallest_nan_wherever_it_stands() {
    for values in [[f32::NAN, 1.0, 2.0], [1.0, f32::NAN, 2.0], [1.0, 2.0, f32::NAN]] {
        assert!(project::<f32, f32>(Projection::Max, None, &values).unwrap().is_nan());
        assert!(project::<f32, f32>(Projection::Min, None, &values).unwrap().is_nan());
        assert!(mean(&values.map(f16::from_f32)).is_nan());
    }
}

#[test]
fn a_mean_of_integers_is_rounded_half_to_even() {
    assert_eq!([mean(&[0u8, 1]), mean(&[1u8, 2]), mean(&[2u8, 3]), mean(&[255u8, 254])], [0, 2, 2, 254]);
    assert_eq!([mean(&[0i16, -1]), mean(&[-1i16, -2]), mean(&[-2i16, -3]), mean(&[-5i16, -5])], [0, -2, -2, -5]);
    assert_eq!([mean(&[1i32, 1, 2]), mean(&[-1i32, -1, -3])], [1, -2]);
}

#[test]
fn a_mean_of_64_bit_integers_is_exact() {
    assert_eq!(mean(&[u64::MAX, u64::MAX, u64::MAX]), u64::MAX);
    assert_eq!(mean(&[u64::MAX, u64::MAX - 1]), u64::MAX - 1); // a tie
    assert_eq!(mean(&[i64::MIN, i64::MIN + 1]), i64::MIN); // a tie
    assert_eq!(mean(&[i64::MIN, i64::MAX]), 0); // -1/2
    assert_eq!(mean(&[(1u64 << 53) + 1, (1 << 53) + 1, (1 << 53) + 1]), (1 << 53) + 1);
}

#[test]
fn a_mean_can_be_asked_for_as_a_float() {
    assert_eq!(project::<u8, f32>(Projection::Mean, Some(PixelType::F32), &[0, 1]).unwrap(), 0.5);
    assert_eq!(project::<i64, f64>(Projection::Mean, Some(PixelType::F64), &[-1, -2]).unwrap(), -1.5);
    let op = Project { axis: Axis::Z, method: Projection::Mean, dtype: Some(PixelType::F64) };
    let mask = line(&[1u8, 1, 0, 0], PixelType::Bool, Axis::Z);
    assert_eq!(run::<f64>(&op, &mask).unwrap(), [0.5]);
}

#[test]
fn a_mean_of_bool_says_what_to_ask_for() {
    let op = Project { axis: Axis::Z, method: Projection::Mean, dtype: None };
    let error = message(run::<u8>(&op, &line(&[1u8, 0], PixelType::Bool, Axis::Z)));
    assert_eq!(error, "project is not defined for bool pixels; give the mean a type with --dtype float32 or float64");
}

#[test]
fn sums_of_integers_have_64_bits() {
    assert_eq!(sum::<u8, u64>(&[255; 1000]), 255_000);
    assert_eq!(sum::<u16, u64>(&vec![65535; 40_000]), 2_621_400_000); // past 31 bits: needs the wider accumulator
    assert_eq!(sum::<u32, u64>(&[u32::MAX; 3]), 12_884_901_885);
    assert_eq!(sum::<i8, i64>(&[-128; 300]), -38_400);
    assert_eq!(sum::<i32, i64>(&[i32::MIN, i32::MIN]), -4_294_967_296);
    let op = Project { axis: Axis::T, method: Projection::Sum, dtype: None };
    assert_eq!(run::<u64>(&op, &line(&[1u8, 0, 1], PixelType::Bool, Axis::T)).unwrap(), [2]);
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_and_as_a_float_a_value() {
    let error = message(project::<u64, u64>(Projection::Sum, None, &[u64::MAX, 1]));
    assert_eq!(error, "project: the exact result does not fit uint64; ask for a float type with --dtype");
    assert!(project::<i64, i64>(Projection::Sum, None, &[i64::MIN, -1]).is_err());
    let float = project::<u64, f64>(Projection::Sum, Some(PixelType::F64), &[u64::MAX, 1]).unwrap();
    assert_eq!(float, 18_446_744_073_709_551_616.0);
}

#[test]
fn a_sum_that_fits_in_the_end_may_pass_the_range_on_its_way() {
    assert_eq!(sum::<i64, i64>(&[i64::MAX, i64::MAX, i64::MIN, -1]), i64::MAX - 2);
}

#[test]
fn sums_of_floats_keep_the_type_and_are_added_in_float64() {
    assert_eq!(sum::<f32, f32>(&[16_777_216.0, 1.0, 1.0]), 16_777_218.0); // a float32 sum stays at 2^24
    assert_eq!(sum::<f16, f16>(&[f16::from_f32(60000.0), f16::from_f32(60000.0)]), f16::INFINITY);
    let wide = project::<f16, f64>(Projection::Sum, Some(PixelType::F64), &[f16::MAX, f16::MAX]).unwrap();
    assert_eq!(wide, 131_008.0);
}

#[test]
fn floats_are_added_as_a_tree() {
    // ((1 + 1) + (e + e)) + e: a running sum loses each e of 2^-52 against 2, the tree keeps two of them.
    let e = f64::EPSILON;
    assert_eq!(sum::<f64, f64>(&[1.0, 1.0, e, e, e]), (2.0 + 2.0 * e) + e);
    assert_eq!(((((1.0 + 1.0) + e) + e) + e), 2.0);
}

#[test]
fn the_type_asked_for_must_be_one_that_the_method_offers() {
    let error = message(project::<u8, u16>(Projection::Max, Some(PixelType::U16), &[1]));
    let hint = "max and min keep the pixel type; leave it out, and cast before or after";
    assert_eq!(error, format!("project: dtype is uint16; {hint}"));
    assert!(project::<u8, u16>(Projection::Sum, Some(PixelType::U16), &[1]).is_err());
    assert!(project::<f32, f16>(Projection::Mean, Some(PixelType::F16), &[1.0]).is_err());
}

#[test]
fn an_empty_axis_and_an_axis_of_the_plane_are_refused() {
    let op = Project { axis: Axis::T, method: Projection::Max, dtype: None };
    let empty = ArraySpec { shape: Shape::new([0, 1, 1, 4, 4, 1]).unwrap(), dtype: PixelType::U8 };
    assert_eq!(message(op.output(&empty)), "project: axis is T of extent 0; there must be at least one pixel along it");
    let op = Project { axis: Axis::Y, ..op };
    assert_eq!(message(op.output(&empty)), "project: axis is Y; project along T, C or Z");
    assert!(microtome_ops::build("project", &json!({"axis": "Y", "method": "max"})).is_err());
}

#[test]
fn too_many_and_too_few_pixels_are_refused() {
    let op = Project { axis: Axis::Z, method: Projection::Mean, dtype: None };
    let (one, pool) = (line(&[5u8], PixelType::U8, Axis::Z), BufferPool::new(0));
    let mut state = op.start(PixelType::U8, one.spec().shape, 1, &pool).unwrap();
    state.add(one.as_ref()).unwrap();
    assert!(state.add(one.as_ref()).is_err());
    let state = op.start(PixelType::U8, one.spec().shape, 1, &pool).unwrap();
    assert!(state.finish(&mut Pixels::zeroed(one.spec()).as_mut()).is_err());
}

#[test]
fn methods_parse_by_their_names() {
    for method in Projection::ALL {
        assert_eq!(method.to_string().parse::<Projection>().unwrap(), method);
        assert_eq!(json!(method), json!(method.name()));
    }
    assert_eq!(message("median".parse::<Projection>()), "project: method is `median`; use max, min, mean or sum");
}

#[test]
fn integers_cast_to_integers_saturate_and_are_exact() {
    assert_eq!(cast::<i16, u8>(&[-1, 0, 255, 256, 32767]), [0, 0, 255, 255, 255]);
    assert_eq!(cast::<u64, i64>(&[u64::MAX, (1 << 53) + 1]), [i64::MAX, (1 << 53) + 1]);
    assert_eq!(cast::<i64, u64>(&[i64::MIN, i64::MAX]), [0, i64::MAX as u64]);
    assert_eq!(cast::<u16, i8>(&[127, 128, 65535]), [127, 127, 127]);
}

#[test]
fn floats_cast_to_integers_round_half_to_even_and_nan_is_0() {
    assert_eq!(cast::<f32, i8>(&[-2.5, -1.5, 0.5, 1.5, f32::NAN]), [-2, -2, 0, 2, 0]);
    assert_eq!(cast::<f64, u16>(&[-0.1, 65534.5, 65535.5, f64::INFINITY]), [0, 65534, 65535, 65535]);
    assert_eq!(cast::<f64, u64>(&[1e19, 1e20, -1.0, f64::NAN]), [10_000_000_000_000_000_000, u64::MAX, 0, 0]);
    assert_eq!(
        cast::<f64, i64>(&[4_503_599_627_370_497.5, -2_251_799_813_685_248.5, -1e300])[..2],
        [4_503_599_627_370_498, -2_251_799_813_685_248]
    );
}

#[test]
fn casts_to_floats_give_the_nearest() {
    assert_eq!(cast::<u32, f32>(&[16_777_217, 16_777_219]), [16_777_216.0, 16_777_220.0]);
    assert_eq!(cast::<u64, f32>(&[(1 << 60) + (1 << 36) + 1]), [1.152_921_6e18]);
    assert_eq!(cast::<f64, f32>(&[1e300, -1e-300]), [f32::INFINITY, -0.0]);
    assert_eq!(cast::<u32, f16>(&[2049, 2051, 65519, 65520]).map_to_f32(), [2048.0, 2052.0, 65504.0, f32::INFINITY]);
    assert!(cast::<f16, f64>(&[f16::NAN])[0].is_nan());
}

trait MapToF32 {
    fn map_to_f32(self) -> Vec<f32>;
}

impl MapToF32 for Vec<f16> {
    fn map_to_f32(self) -> Vec<f32> {
        self.into_iter().map(f16::to_f32).collect()
    }
}

#[test]
fn all_but_zero_is_true() {
    let op = Cast { dtype: PixelType::Bool };
    let values = line(&[0.0f32, -0.0, 0.1, f32::NAN], PixelType::F32, Axis::X);
    assert_eq!(run::<u8>(&op, &values).unwrap(), [0, 0, 1, 1]);
    assert_eq!(run::<u8>(&op, &line(&[0u16, 256], PixelType::U16, Axis::X)).unwrap(), [0, 1]);
    let truth = line(&[0u8, 1], PixelType::Bool, Axis::X);
    assert_eq!(run::<f32>(&Cast { dtype: PixelType::F32 }, &truth).unwrap(), [0.0, 1.0]);
}

#[test]
fn complex_pixels_are_refused() {
    let spec = ArraySpec { shape: Shape::new([1; 6]).unwrap(), dtype: PixelType::C64 };
    for (name, params) in [
        ("project", json!({"axis": "Z", "method": "sum"})),
        ("cast", json!({"dtype": "uint8"})),
        ("downsample", json!({"factor": {"y": 2}, "method": "mean"})),
        ("gaussian", json!({"sigma": {"y": 2}})),
        ("rescale", json!({"from": [0, 1], "dtype": "uint8"})),
    ] {
        let op = microtome_ops::build(name, &params).unwrap();
        assert!(matches!(op.output(&spec), Err(OpError::PixelType { dtype: PixelType::C64, .. })), "{name}");
    }
    assert!(microtome_ops::build("cast", &json!({"dtype": "complex64"})).is_err());
}

#[test]
fn rescaling_goes_to_the_whole_range_of_integers_and_to_1_for_floats() {
    assert_eq!(rescale::<u16, u8>((0.0, 510.0), None, &[0, 1, 3, 510, 511]), [0, 0, 2, 255, 255]);
    assert_eq!(rescale::<u8, i8>((0.0, 255.0), None, &[0, 128, 255]), [-128, 0, 127]);
    assert_eq!(rescale::<u8, f32>((50.0, 150.0), None, &[0, 75, 150, 200]), [0.0, 0.25, 1.0, 1.0]);
    assert_eq!(rescale::<f64, u64>((0.0, 1.0), None, &[0.5, 1.0]), [1 << 63, u64::MAX]);
}

#[test]
fn rescaling_inverts_and_keeps_nan() {
    assert_eq!(rescale::<u8, u8>((0.0, 255.0), Some((255.0, 0.0)), &[0, 1, 255]), [255, 254, 0]);
    assert_eq!(rescale::<u8, u8>((255.0, 0.0), None, &[0, 1, 255]), [255, 254, 0]);
    assert!(rescale::<f32, f32>((0.0, 1.0), None, &[f32::NAN])[0].is_nan());
    assert_eq!(rescale::<f32, u8>((0.0, 1.0), Some((9.0, 200.0)), &[f32::NAN, f32::INFINITY]), [0, 200]);
    assert_eq!(rescale::<f32, u8>((0.0, 1.0), Some((9.0, 9.0)), &[f32::INFINITY, -5.0]), [9, 9]);
}

#[test]
fn ranges_that_make_no_line_are_refused() {
    let refused = |from: (f64, f64), to, dtype| {
        let spec = ArraySpec { shape: Shape::new([1; 6]).unwrap(), dtype: PixelType::U8 };
        message(Rescale { from: Ends::Values(from.0, from.1), to, dtype }.output(&spec))
    };
    assert_eq!(refused((3.0, 3.0), None, None), "rescale: from is 3, 3; give two different finite values");
    assert!(refused((f64::NAN, 3.0), None, None).starts_with("rescale: from is NaN, 3;"));
    assert!(refused((-1e308, 1e308), None, None).starts_with("rescale: from"));
    let expected = "rescale: to is 0, 256; give finite values that the pixel type of the result can hold";
    assert_eq!(refused((0.0, 1.0), Some((0.0, 256.0)), None), expected);
    assert!(refused((0.0, 1.0), Some((0.0, 1e6)), Some(PixelType::F16)).starts_with("rescale: to"));
    assert!(refused((0.0, 1.0), None, Some(PixelType::Bool)).starts_with("rescale is not defined for bool"));
}

/// The means of blocks of `x` values in a row.
fn shrink<A: Pixel>(x: u64, values: &[A], dtype: PixelType) -> Vec<A> {
    let op = Downsample { factor: Factors { x, ..Factors::default() }, method: Shrink::Mean };
    run::<A>(&op, &line(values, dtype, Axis::X)).unwrap()
}

#[test]
fn a_block_of_integers_is_rounded_half_to_even_and_the_last_block_is_what_there_is() {
    assert_eq!(shrink(2, &[0u8, 1, 1, 2, 254, 255, 9], PixelType::U8), [0, 2, 254, 9]);
    assert_eq!(shrink(3, &[-1i16, -1, -3, -1, -2], PixelType::I16), [-2, -2]);
    assert_eq!(shrink(2, &[u64::MAX, u64::MAX, i64::MAX as u64, 0], PixelType::U64), [u64::MAX, 1 << 62]);
    assert_eq!(shrink(u64::MAX, &[7u16, 8], PixelType::U16), [8]);
}

#[test]
fn a_block_of_bool_is_what_most_of_it_is_and_a_tie_is_false() {
    assert_eq!(shrink(4, &[1u8, 1, 0, 0, 1, 1, 1, 0, 1], PixelType::Bool), [0, 1, 1]);
}

#[test]
fn a_block_of_floats_is_added_in_float64_and_nan_stays_in_its_block() {
    let means = shrink(2, &[f32::NAN, 1.0, 2.0, 3.5, f32::MAX, f32::MAX], PixelType::F32);
    assert!(means[0].is_nan());
    assert_eq!(means[1..], [2.75, f32::MAX]);
    assert_eq!(shrink(2, &[f16::MAX, f16::MAX], PixelType::F16), [f16::MAX]);
}

#[test]
fn rows_of_a_block_are_added_before_each_other() {
    // In rows each e is lost beside its 1; a running sum over the block would keep the last one.
    let e = f64::EPSILON / 4.0;
    let shape = Shape::new([1, 1, 1, 2, 2, 1]).unwrap();
    let mut input = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::F64 });
    input.as_mut().slice_mut().unwrap().copy_from_slice(&[1.0, e, -1.0, e]);
    let op = Downsample { factor: Factors { y: 2, x: 2, ..Factors::default() }, method: Shrink::Mean };
    assert_eq!(run::<f64>(&op, &input).unwrap(), [((1.0 + e) + (-1.0 + e)) / 4.0]);
    assert_ne!((1.0 + e) + (-1.0 + e), ((1.0 + e) + -1.0) + e);
}

#[test]
fn a_factor_of_0_is_refused_and_a_factor_that_is_not_named_is_1() {
    let build = |factor| microtome_ops::build("downsample", &json!({"factor": factor, "method": "mean"}));
    let error = build(json!({"z": 0})).unwrap_err();
    let expected = "downsample: factor is 0 on axis Z; give a whole number from 1 up; 1 leaves an axis as it is";
    assert_eq!(error.to_string(), expected);
    assert!(build(json!({"s": 2})).is_err());
    assert!(build(json!({"y": 1.5})).is_err());
    assert_eq!(build(json!({"Y": 3})).unwrap().params(), json!({"factor": {"y": 3}, "method": "mean"}));
}

/// Smooths a row.
fn smooth<A: Pixel, B: Pixel>(sigma: f64, dtype: Option<PixelType>, values: &[A]) -> Result<Vec<B>, OpError> {
    let op = Gaussian { sigma: Sigma { x: sigma, ..Sigma::default() }, truncate: 4.0, dtype };
    run::<B>(&op, &line(values, A::TYPE, Axis::X))
}

#[test]
fn a_constant_stays_and_a_row_of_one_pixel_is_mirrored_without_end() {
    assert_eq!(smooth::<u16, u16>(2.0, None, &[40_000; 5]).unwrap(), [40_000; 5]);
    assert_eq!(smooth::<u8, u8>(100.0, None, &[77]).unwrap(), [77]);
}

#[test]
fn integers_are_rounded_at_the_end_and_can_be_had_as_floats() {
    // scipy.ndimage.gaussian_filter1d([0, 0, 200, 0, 0], 0.5, output="float32")
    const SCIPY: [f32; 5] = [0.052_773_017, 21.290_154, 157.314_15, 21.290_154, 0.052_773_017];
    let float = smooth::<u8, f32>(0.5, Some(PixelType::F32), &[0, 0, 200, 0, 0]).unwrap();
    assert_eq!(float, SCIPY);
    assert_eq!(smooth::<u8, u8>(0.5, None, &[0, 0, 200, 0, 0]).unwrap(), [0, 21, 157, 21, 0]);
}

#[test]
fn a_nan_spreads_as_far_as_the_radius() {
    let mut values = [1.0f32; 9];
    values[0] = f32::NAN;
    let nan: Vec<bool> = smooth::<f32, f32>(1.0, None, &values).unwrap().iter().map(|v| v.is_nan()).collect();
    assert_eq!(nan, [true, true, true, true, true, false, false, false, false]);
}

#[test]
fn smoothing_refuses_what_has_no_sense() {
    let build = |params| message(microtome_ops::build("gaussian", &params));
    let expected =
        "gaussian: sigma is -1 on axis Y; give a finite number of pixels from 0 up; 0 leaves an axis as it is";
    assert_eq!(build(json!({"sigma": {"y": -1}})), expected);
    assert!(build(json!({"sigma": {"y": 1e300}})).contains("a radius of at most 65536 pixels"));
    assert!(build(json!({"sigma": {"y": 1}, "truncate": -1})).starts_with("gaussian: truncate is -1;"));
    assert!(build(json!({"sigma": {"c": 1}})).starts_with("gaussian: unknown field `c`"));
    assert!(message(smooth::<u8, u16>(1.0, Some(PixelType::U16), &[1])).starts_with("gaussian: dtype is uint16;"));
    let op = Gaussian { sigma: Sigma::default(), truncate: 4.0, dtype: None };
    let error = message(run::<u8>(&op, &line(&[1u8], PixelType::Bool, Axis::X)));
    let expected = "gaussian is not defined for bool pixels; give the result a type with --dtype float32 or float64";
    assert_eq!(error, expected);
}

fn percentiles(p: f64, q: f64) -> Rescale {
    Rescale { from: Ends::Percentiles { percentiles: (p, q) }, to: None, dtype: Some(PixelType::U8) }
}

#[test]
fn rescaling_asks_for_its_percentiles_and_runs_when_it_has_them() {
    let (op, input) = (percentiles(0.0, 75.0), line(&[100.0f32, 300.0, 500.0, 700.0, 900.0], PixelType::F32, Axis::X));
    let error = message(run::<u8>(&op, &input));
    let expected = "rescale asks for the percentiles of its whole input first; run the operation that `answered` gives";
    assert_eq!(error, expected);
    let answer = microtome_ops::summarise(op.asks().unwrap(), input.as_ref()).unwrap();
    let answered = op.answered(&answer).unwrap();
    assert!(answered.asks().is_none());
    assert_eq!(answered.params(), json!({"from": [100.0, 700.0], "dtype": "uint8"}));
    assert_eq!(answered.output(&input.spec()), op.output(&input.spec()));
    assert_eq!(run::<u8>(answered.as_ref(), &input).unwrap(), [0, 85, 170, 255, 255]);
}

#[test]
fn percentiles_that_are_equal_or_infinite_make_no_line() {
    let answer = |values| json!({"of": [1.0, 99.0], "values": values, "count": 9});
    let error = message(percentiles(1.0, 99.0).answered(&answer(json!([7.0, 7.0]))));
    let expected = "rescale: from is percentiles 1 and 99, which of this image are 7 and 7; \
                    choose percentiles further apart, or give two different finite values";
    assert_eq!(error, expected);
    assert!(message(percentiles(1.0, 99.0).answered(&answer(json!([7.0, "inf"])))).contains("are 7 and inf;"));
    assert!(matches!(percentiles(1.0, 98.0).answered(&answer(json!([1, 2]))), Err(OpError::Answer { .. })));
    assert!(matches!(percentiles(1.0, 99.0).answered(&answer(json!([1]))), Err(OpError::Answer { .. })));
    assert!(matches!(Cast { dtype: PixelType::U8 }.answered(&json!(1)), Err(OpError::Answer { op: "cast", .. })));
}

#[test]
fn the_ends_of_a_rescale_are_values_or_percentiles() {
    let build = |from| microtome_ops::build("rescale", &json!({"from": from}));
    assert_eq!(build(json!({"percentiles": [1, 99]})).unwrap().params(), json!({"from": {"percentiles": [1.0, 99.0]}}));
    assert_eq!(build(json!([1, 99])).unwrap().params(), json!({"from": [1.0, 99.0]}));
    for from in
        [json!([1]), json!([1, 2, 3]), json!({"percentile": [1, 99]}), json!("auto"), json!({"percentiles": [1]})]
    {
        let error = message(build(from));
        assert_eq!(error, "rescale: give two values, [100, 4000], or {\"percentiles\": [1, 99]}");
    }
    assert!(message(build(json!({"percentiles": [5, 5]}))).starts_with("rescale: from is 5, 5; give two different"));
    assert!(message(build(json!({"percentiles": [1, 101]}))).starts_with("percentiles: of is 101;"));
}
