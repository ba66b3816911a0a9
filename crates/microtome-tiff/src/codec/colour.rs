//! Colours that streams store as brightness and two differences (ITU-R BT.601, full range), with the rounding of libjpeg.

/// Y, Cb and Cr to red, green and blue.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((91_881 * cr + HALF) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let blue = y + ((116_130 * cb + HALF) >> 16);
    [red, green, blue].map(|v| v.clamp(0, 255) as u8)
}

/// Turns pixels of Y, Cb, Cr into red, green, blue.
pub(super) fn ycbcr_to_rgb(pixels: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    for pixel in pixels {
        *pixel = rgb(*pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_and_primaries_are_what_the_standard_says() {
        let mut pixels = [7, 128, 128, 76, 85, 255, 150, 44, 21, 29, 255, 107];
        ycbcr_to_rgb(&mut pixels);
        assert_eq!(pixels, [7, 7, 7, 254, 0, 0, 0, 255, 1, 0, 0, 254]);
    }
}
