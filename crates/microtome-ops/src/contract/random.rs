//! Values, pixels and regions from a seed: the same on every machine.

use half::f16;
use microtome_array::{ArraySpec, PerAxis, PixelType, Pixels, Region, Shape};

/// A small generator of numbers (`SplitMix64`), for tests only.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal numbers.
    ///
    /// # Examples
    /// ```
    /// use microtome_ops::contract::random::Random;
    /// assert_eq!(Random::new(7).next_u64(), Random::new(7).next_u64());
    /// assert!(Random::new(7).below(3) < 3);
    /// ```
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `end`.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// A region inside a shape, sometimes empty.
    ///
    /// # Panics
    /// Never: the ends are put in order.
    pub fn region(&mut self, shape: Shape) -> Region {
        let ends = PerAxis::from_fn(|axis| {
            let (a, b) = (self.below(shape.get(axis) + 1), self.below(shape.get(axis) + 1));
            // An empty range on one of six axes would make most regions empty: keep one in sixteen of them.
            if a == b && a < shape.get(axis) && self.below(16) > 0 { (a, a + 1) } else { (a.min(b), a.max(b)) }
        });
        Region::new(PerAxis(ends.0.map(|e| e.0)), PerAxis(ends.0.map(|e| e.1))).expect("ends in order")
    }

    /// Pixels of any type: integers of all bits (of 64-bit types the lower 56, so that short sums fit), floats of
    /// several magnitudes, one in 32 of them NaN, infinite or a zero.
    pub fn pixels(&mut self, spec: ArraySpec) -> Pixels {
        let mut pixels = Pixels::zeroed(spec);
        for bytes in pixels.as_mut().bytes().chunks_exact_mut(spec.dtype.component_size()) {
            let value = self.value(spec.dtype);
            bytes.copy_from_slice(&value[..bytes.len()]);
        }
        pixels
    }

    /// The bytes of a value, as many as its type has; of a complex type, one of its two parts.
    fn value(&mut self, dtype: PixelType) -> [u8; 8] {
        let mut bytes = [0; 8];
        match dtype {
            PixelType::Bool => bytes[0] = self.below(2) as u8,
            PixelType::F16 => bytes[..2].copy_from_slice(&f16::from_f32(self.float() as f32).to_ne_bytes()),
            PixelType::F32 | PixelType::C64 => bytes[..4].copy_from_slice(&(self.float() as f32).to_ne_bytes()),
            PixelType::F64 | PixelType::C128 => bytes = self.float().to_ne_bytes(),
            PixelType::U64 => bytes = (self.next_u64() >> 8).to_ne_bytes(),
            PixelType::I64 => bytes = (self.next_u64().cast_signed() >> 8).to_ne_bytes(),
            _ => bytes = self.next_u64().to_ne_bytes(),
        }
        bytes
    }

    fn float(&mut self) -> f64 {
        const SPECIAL: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
        if self.below(32) == 0 {
            return SPECIAL[self.below(5) as usize];
        }
        let scale = [1e-3, 1e-2, 1.0, 1e3][self.below(4) as usize];
        self.next_u64().cast_signed() as f64 / i64::MAX as f64 * scale * 16.0
    }
}
