//! What encoding with Zstandard takes, for the plans of every format that does.

/// Logarithms of the chain and hash tables at levels 1 to 22 (zstd 1.5.7, `clevels.h`, large inputs).
const TABLES: [(u32, u32); 22] = [
    (13, 14),
    (15, 16),
    (16, 17),
    (18, 18),
    (18, 19),
    (18, 19),
    (19, 20),
    (19, 20),
    (20, 21),
    (21, 22),
    (21, 22),
    (22, 23),
    (22, 22),
    (22, 23),
    (23, 23),
    (22, 22),
    (23, 22),
    (23, 22),
    (24, 22),
    (25, 23),
    (26, 24),
    (27, 25),
];

/// The most bytes that an encoding context takes at a level.
pub fn zstd_encoder_bytes(level: i32) -> u64 {
    let (chain, hash) = TABLES[(level.clamp(1, 22) - 1) as usize];
    (4 << chain) + (5 << hash) + (3 << 20)
}

/// The most bytes that so many become.
pub fn zstd_most_encoded(decoded: u64) -> u64 {
    decoded + decoded / 128 + 1024
}
