//! A document of OME-XML.

use microtome_io::ome;

/// Parses a document; what was understood is understood again.
///
/// # Panics
/// If a document is not understood the same way twice, or an image has an extent of 0.
pub(crate) fn parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let limits = crate::limits();
    let Ok(found) = ome::parse(&text, &limits) else { return };
    for image in &found.images {
        assert!(image.size.iter().all(|&n| n > 0), "{image:?}");
        let named = image.tiff_data.iter().filter_map(|data| data.file);
        assert!(named.into_iter().all(|file| (file as usize) < found.files.len()), "{image:?}");
    }
    assert_eq!(ome::parse(&text, &limits).as_ref(), Ok(&found));
}
