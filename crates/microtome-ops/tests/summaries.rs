//! The rules of summaries, as literal values.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use microtome_array::{ArraySpec, Pixel, PixelType, Pixels, Shape};
use microtome_ops::{Histogram, OpError, Percentiles, Step, Summary, build_summary, summarise};
use serde_json::{Value, json};

fn line<T: Pixel>(values: &[T], dtype: PixelType) -> Pixels {
    let shape = Shape::new([1, 1, 1, 1, values.len() as u64, 1]).unwrap();
    let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype });
    pixels.as_mut().slice_mut().unwrap().copy_from_slice(values);
    pixels
}

fn percentiles<T: Pixel>(of: &[f64], values: &[T]) -> Result<Value, OpError> {
    let summary = Arc::new(Percentiles::new(of.to_vec())?);
    Ok(summarise(summary, line(values, T::TYPE).as_ref())?["values"].clone())
}

#[test]
fn percentiles_lie_between_values() {
    assert_eq!(percentiles(&[0.0, 25.0, 50.0, 100.0], &[7u8, 1, 3]).unwrap(), json!([1.0, 2.0, 3.0, 7.0]));
    assert_eq!(percentiles(&[50.0], &[i16::MIN, i16::MAX]).unwrap(), json!([-0.5]));
    assert_eq!(percentiles(&[99.0], &[5u32]).unwrap(), json!([5.0]));
}

#[test]
fn values_of_64_bits_are_told_apart_by_their_last_bit() {
    // numpy.percentile of float64 would have them in any order.
    let values = [(1u64 << 60) + 1, 1 << 60, u64::MAX, 0];
    assert_eq!(percentiles(&[0.0, 100.0], &values).unwrap(), json!([0.0, u64::MAX as f64]));
    let odd = [1.0, 1.0f64.next_up(), 1.0f64.next_up().next_up()];
    assert_eq!(percentiles(&[50.0], &odd).unwrap(), json!([1.0f64.next_up()]));
}

#[test]
fn nan_is_left_out_and_infinite_values_count() {
    let values = [f32::NAN, 2.0, f32::INFINITY, 1.0, f32::NAN];
    assert_eq!(percentiles(&[0.0, 50.0, 100.0], &values).unwrap(), json!([1.0, 2.0, "inf"]));
    assert_eq!(percentiles(&[50.0], &[f64::NEG_INFINITY, f64::INFINITY]).unwrap(), json!(["nan"]));
}

#[test]
fn bool_counts_as_0_and_1() {
    let summary = Arc::new(Percentiles::new(vec![50.0]).unwrap());
    let answer = summarise(summary, line(&[1u8, 1, 0, 0], PixelType::Bool).as_ref()).unwrap();
    assert_eq!(answer, json!({"of": [50.0], "values": [0.5], "count": 4}));
}

#[test]
fn nothing_has_no_percentiles() {
    let expected =
        "percentiles: no pixel has a value: the array is empty or holds nothing but NaN; choose another region";
    assert_eq!(percentiles(&[50.0], &[f32::NAN]).unwrap_err().to_string(), expected);
    assert_eq!(percentiles::<u16>(&[50.0], &[]).unwrap_err(), OpError::NoValue { summary: "percentiles" });
}

#[test]
fn percentiles_outside_0_to_100_and_none_at_all_are_refused() {
    let message = |of: Value| build_summary("percentiles", &json!({"of": of})).unwrap_err().to_string();
    assert!(message(json!([101])).starts_with("percentiles: of is 101; give percent, from 0"));
    assert!(message(json!([])).starts_with("percentiles: of is 0 percentiles; ask for 1 to 64"));
    assert!(message(json!(["50"])).starts_with("percentiles: invalid type: string"));
    assert!(Percentiles::new(vec![f64::NAN]).is_err());
    let unknown = build_summary("median", &Value::Null).unwrap_err().to_string();
    assert_eq!(unknown, "there is no summary `median`; known are percentiles, histogram");
}

#[test]
fn two_percentiles_take_a_pass_for_each_16_bits_and_two_mebibytes() {
    let two: Arc<dyn Summary> = Arc::new(Percentiles::new(vec![1.0, 99.0]).unwrap());
    let most: Arc<dyn Summary> = Arc::new(Percentiles::new((0..64).map(f64::from).collect()).unwrap());
    let values: Vec<f64> = (0..5000).map(|n| f64::from(n * n) / 7.0).collect();
    for (mut summary, passes) in [(two, 4..=4), (most, 4..=6)] {
        assert_eq!(summary.passes(PixelType::F64), passes, "{summary:?}");
        let mut taken = 0;
        loop {
            assert!(summary.state_bytes(PixelType::F64) <= 2 << 20);
            taken += 1;
            let mut state = summary.start(PixelType::F64).unwrap();
            state.add(line(&values, PixelType::F64).as_ref()).unwrap();
            match summary.end(state).unwrap() {
                Step::Again(next) => summary = next,
                Step::Done(_) => break,
            }
        }
        assert!(passes.contains(&taken), "{taken} passes");
    }
}

#[test]
fn states_of_other_passes_and_other_pixels_are_refused() {
    let first = Percentiles::new(vec![50.0]).unwrap();
    let pixels = line(&[3u32, 70_000, 9], PixelType::U32);
    let mut state = first.start(PixelType::U32).unwrap();
    state.add(pixels.as_ref()).unwrap();
    assert!(state.add(line(&[3u8], PixelType::U8).as_ref()).is_err());
    let saved = state.save();
    let Step::Again(second) = first.end(state).unwrap() else { panic!("one pass counts 16 of 32 bits") };
    let expected = "percentiles: a partial result cannot be used: it is of another pass; compute the summary anew";
    assert_eq!(second.load(&saved).unwrap_err().to_string(), expected);
    assert!(second.end(first.load(&saved).unwrap()).is_err());
    assert!(second.start(PixelType::F32).is_err());
    // The pixels of the second pass lack what the first one found.
    let mut other = second.start(PixelType::U32).unwrap();
    other.add(line(&[1u32 << 31], PixelType::U32).as_ref()).unwrap();
    let changed = second.end(other).unwrap_err().to_string();
    assert!(changed.contains("the pixels are not those of the pass before"), "{changed}");
    assert!(first.start(PixelType::C64).is_err());
}

fn histogram<T: Pixel>(bins: u64, range: Option<(f64, f64)>, values: &[T]) -> Result<Value, OpError> {
    summarise(Arc::new(Histogram { bins, range }), line(values, T::TYPE).as_ref())
}

#[test]
fn the_last_bin_has_its_upper_edge_and_what_is_outside_is_counted_apart() {
    let answer = histogram(2, Some((0.0, 4.0)), &[f32::NAN, -0.1, 0.0, 1.9, 2.0, 4.0, 4.1, f32::INFINITY]).unwrap();
    assert_eq!(answer, json!({"low": 0.0, "high": 4.0, "counts": [2, 2], "below": 1, "above": 2}));
}

#[test]
fn without_a_range_it_is_that_of_the_values() {
    let answer = histogram(3, None, &[-5i16, 1, 3, 4]).unwrap();
    assert_eq!(answer, json!({"low": -5.0, "high": 4.0, "counts": [1, 0, 3], "below": 0, "above": 0}));
    assert_eq!(histogram(1, None, &[7u8, 7]).unwrap()["low"], json!(6.5));
    // Which zero is met first is no matter.
    assert_eq!(histogram(1, None, &[-0.0f32, 1.0]).unwrap()["low"].to_string(), "0.0");
}

#[test]
fn histograms_that_have_no_sense_are_refused() {
    let message = |bins, range| histogram(bins, range, &[1.0f64, f64::INFINITY]).unwrap_err().to_string();
    assert_eq!(message(0, None), "histogram: bins is 0; give a number from 1 to 65536");
    assert!(message(1, Some((2.0, 2.0))).starts_with("histogram: range is 2, 2; give two finite values"));
    assert!(
        message(3, Some((1.0, 1.0f64.next_up()))).starts_with("histogram: bins is 3 from 1 to 1.0000000000000002;")
    );
    let expected = "histogram: range is 1 to inf, that of the pixels; pixels this large or infinite have no bins; \
                    give a finite range";
    assert_eq!(message(3, None), expected);
    assert_eq!(histogram(3, None, &[f32::NAN]), Err(OpError::NoValue { summary: "histogram" }));
    assert_eq!(histogram(3, Some((0.0, 1.0)), &[f32::NAN]), Err(OpError::NoValue { summary: "histogram" }));
}

#[test]
fn parameters_of_a_later_pass_that_contradict_each_other_are_refused() {
    let build = |found: Value| build_summary("percentiles", &json!({"of": [50.0], "found": found}));
    let wanted = |prefix: u64| json!({"prefix": prefix, "rest": 0});
    let found = |count: u64, known: u64, wanted: Value| json!({"dtype": "uint32", "count": count, "known": known, "wanted": wanted});
    assert!(build(found(3, 16, json!([wanted(7)]))).is_ok());
    for bad in [
        found(0, 16, json!([])),
        found(3, 0, json!([wanted(0)])),
        found(3, 32, json!([wanted(7)])),
        found(3, 16, json!([wanted(1 << 16)])),
        found(3, 16, json!([wanted(7), wanted(8)])),
        found(4, 16, json!([wanted(8), wanted(7)])),
        json!({"dtype": "complex64", "count": 3, "known": 16, "wanted": [wanted(7)]}),
    ] {
        assert!(matches!(build(bad.clone()), Err(OpError::State { .. })), "{bad}");
    }
}
