//! The weights of a Gaussian, from additions, multiplications and divisions alone.
//!
//! *Invariant:* the same parameters give the same bits on every machine: no function of the system's mathematical library
//! is called, whose last bit differs between versions and processors.

use std::f64::consts::LOG2_E;

/// Weights at the distances 0 to `radius`, which with those on the other side add up to 1.
pub(super) fn weights(sigma: f64, radius: u64) -> Vec<f64> {
    if radius == 0 {
        return vec![1.0];
    }
    let falls = 0.5 / (sigma * sigma);
    let raw: Vec<f64> = (0..=radius).map(|k| exp_of_minus(falls * (k * k) as f64)).collect();
    let pairs: f64 = raw[1..].iter().rev().map(|weight| 2.0 * weight).sum();
    let sum = pairs + raw[0];
    raw.into_iter().map(|weight| weight / sum).collect()
}

/// e^−v for v from 0 up, within about one unit of the last place.
pub(crate) fn exp_of_minus(v: f64) -> f64 {
    // ln 2 in two parts, of which the first has so few bits that its products with small integers are exact.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let halvings = (v * LOG2_E + 0.5).floor();
    if halvings > 1074.0 {
        return 0.0;
    }
    // e^-v = 2^-halvings · e^rest with a rest of at most ln 2 / 2, whose Taylor series has converged after 17 terms.
    let rest = (halvings * LN_2_HIGH - v) + halvings * LN_2_LOW;
    let series = (1..=17).rev().fold(1.0, |sum, k| 1.0 + rest / f64::from(k) * sum);
    // Two factors, as 2^-1074 alone is no normal number.
    let first = (halvings as u64).min(1000);
    let power = |n: u64| f64::from_bits((1023 - n) << 52);
    series * power(first) * power(halvings as u64 - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_standard_library() {
        for n in 0..200_000 {
            let v = f64::from(n) * 0.003_5;
            let (found, expected) = (exp_of_minus(v), (-v).exp());
            assert!((found - expected).abs() <= 4e-16 * expected, "e^-{v} is {expected:e}, not {found:e}");
        }
        assert_eq!([exp_of_minus(0.0), exp_of_minus(800.0), exp_of_minus(1e300)], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn weights_fall_and_add_up_to_1() {
        for sigma in [0.3, 0.5, 1.0, 2.5, 40.0] {
            let weights = weights(sigma, (4.0 * sigma + 0.5) as u64);
            let sum: f64 = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
            assert!((sum - 1.0).abs() < 1e-14, "sigma {sigma}: {sum}");
            assert!(weights.windows(2).all(|pair| pair[0] > pair[1]));
        }
        // scipy.ndimage._filters._gaussian_kernel1d(1.0, 0, 2)
        let found = weights(1.0, 2);
        let expected = [0.402_619_946_894_247_4, 0.244_201_342_003_233_32, 0.054_488_684_549_642_94];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-16), "{found:?}");
    }
}
