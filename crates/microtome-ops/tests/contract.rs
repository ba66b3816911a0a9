//! Every operation of the list, and further parameters of each, keep the contract.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use microtome_array::{Axis, PixelType, Shape};
use microtome_ops::{
    Cast, Crop, Downsample, Ends, Factors, Gaussian, Histogram, OPS, Op, Percentiles, Project, Projection, Rescale,
    SUMMARIES, Shrink, Sigma, Summary, build, contract,
};

#[test]
fn every_entry_of_the_list_holds() {
    OPS.iter().for_each(contract::holds);
}

#[test]
fn names_are_found_once() {
    for entry in OPS {
        let params = serde_json::from_str(entry.example).unwrap();
        assert_eq!(build(entry.name, &params).unwrap().name(), entry.name);
        assert_eq!(OPS.iter().filter(|other| other.name == entry.name).count(), 1);
    }
}

#[test]
fn every_projection_keeps_it() {
    let floats = [None, Some(PixelType::F32), Some(PixelType::F64)];
    let sums = [None, Some(PixelType::F64)];
    for axis in [Axis::T, Axis::C, Axis::Z] {
        for method in [Projection::Max, Projection::Min] {
            contract::keeps(&Project { axis, method, dtype: None });
        }
        for dtype in floats {
            contract::keeps(&Project { axis, method: Projection::Mean, dtype });
        }
        for dtype in sums {
            contract::keeps(&Project { axis, method: Projection::Sum, dtype });
        }
    }
}

#[test]
fn a_cast_to_every_type_keeps_it() {
    for dtype in PixelType::ALL.into_iter().filter(|dtype| !dtype.is_complex()) {
        contract::keeps(&Cast { dtype });
    }
}

#[test]
fn rescaling_to_every_type_keeps_it() {
    for dtype in PixelType::ALL.into_iter().filter(|dtype| dtype.is_integer() || dtype.is_float()) {
        contract::keeps(&Rescale { from: Ends::Values(-3.5, 12.0), to: None, dtype: Some(dtype) });
    }
    contract::keeps(&Rescale { from: Ends::Values(255.0, 0.0), to: Some((7.0, 100.0)), dtype: None });
    contract::keeps(&Rescale {
        from: Ends::Percentiles { percentiles: (30.0, 80.0) },
        to: None,
        dtype: Some(PixelType::U8),
    });
}

#[test]
fn random_crops_keep_it() {
    let mut random = contract::random::Random::new(5);
    let smallest = Shape::new([2, 2, 4, 3, 5, 1]).unwrap();
    for _ in 0..20 {
        let region = random.region(smallest);
        if !region.is_empty() {
            contract::keeps(&Crop { region });
        }
    }
}

#[test]
fn downsampling_by_any_factors_keeps_it() {
    // Factors within the array, along each axis, past its end, and none.
    for [t, c, z, y, x] in [[1, 1, 1, 2, 2], [1, 1, 2, 2, 2], [2, 3, 1, 1, 4], [1, 1, 5, 9, 7], [1; 5]] {
        for method in Shrink::ALL {
            contract::keeps(&Downsample { factor: Factors { t, c, z, y, x }, method });
        }
    }
}

#[test]
fn smoothing_along_any_axes_keeps_it() {
    // Along one axis, along all, with radii past the array, which is then mirrored more than once, and not at all.
    for [t, z, y, x] in
        [[0.0, 0.0, 0.7, 1.2], [0.5, 0.8, 0.5, 0.4], [0.0, 3.0, 4.0, 0.0], [2.0, 0.0, 0.0, 5.0], [0.0; 4]]
    {
        for dtype in [None, Some(PixelType::F32)] {
            contract::keeps(&Gaussian { sigma: Sigma { t, z, y, x }, truncate: 4.0, dtype });
        }
    }
}

#[test]
fn every_summary_of_the_list_holds() {
    SUMMARIES.iter().for_each(contract::summary_holds);
}

#[test]
fn any_percentiles_keep_it() {
    let many: Vec<f64> = (0..64).map(|n| f64::from(n) * 100.0 / 63.0).collect();
    for of in [vec![0.0], vec![100.0, 0.0, 50.0, 50.0], vec![99.9], many] {
        let summary: Arc<dyn Summary> = Arc::new(Percentiles::new(of).unwrap());
        contract::summary_keeps(&summary);
    }
}

#[test]
fn histograms_keep_it() {
    for (bins, range) in [(1, None), (1000, None), (10, Some((-3.0, 50.5)))] {
        let summary: Arc<dyn Summary> = Arc::new(Histogram { bins, range });
        contract::summary_keeps(&summary);
    }
}

#[test]
fn parameters_come_back_from_their_text_bit_for_bit() {
    // 0.1 + 0.2 and its neighbours need all 17 digits, and a parser that rounds them rightly.
    for value in
        [0.1 + 0.2, f64::from_bits((0.1f64 + 0.2).to_bits() + 1), 1.0 / 3.0, 4.35e-300, 9_007_199_254_740_993.0]
    {
        let op = Rescale { from: Ends::Values(value, 2e300), to: Some((-value, value)), dtype: Some(PixelType::F64) };
        let text = serde_json::from_str(&op.params().to_string()).unwrap();
        assert_eq!(build("rescale", &text).unwrap().params(), op.params());
    }
}
