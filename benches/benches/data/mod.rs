//! Sample files, generated once: raw OME-TIFFs written by a few lines of their own, so that what is read was not
//! written by what reads it.

#![allow(dead_code, reason = "the memory test uses this module too, and not all of it")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Sizes of a sample, T C Z Y X, 16 bit.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) sizes: [u64; 5],
}

/// Where the pixels start: behind header and description.
pub(crate) const FIRST_BYTE: u64 = 4096;

/// 10 × 3 × 20 planes of 1024² 16-bit pixels: 1.26 GB.
pub(crate) const STACK: Sample = Sample { name: "stack.ome.tif", sizes: [10, 3, 20, 1024, 1024] };
/// 2 × 20 planes of 4096² 16-bit pixels, 32 MiB each: 1.34 GB.
pub(crate) const LARGE: Sample = Sample { name: "large.ome.tif", sizes: [2, 1, 20, 4096, 4096] };
/// 20,000 pages of 64².
pub(crate) const PAGES: Sample = Sample { name: "pages.ome.tif", sizes: [1000, 1, 20, 64, 64] };

impl Sample {
    pub(crate) fn planes(&self) -> u64 {
        self.sizes[..3].iter().product()
    }

    pub(crate) fn plane_bytes(&self) -> u64 {
        self.sizes[3] * self.sizes[4] * 2
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.planes() * self.plane_bytes()
    }

    /// The file, written if it is not there with its full size. Pixels start at [`FIRST_BYTE`].
    pub(crate) fn path(&self) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench-data");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(self.name);
        if std::fs::metadata(&path).map_or(0, |m| m.len()) != self.file_bytes() {
            self.write(&path);
        }
        path
    }

    fn file_bytes(&self) -> u64 {
        FIRST_BYTE + self.bytes() + self.planes() * IFD
    }

    fn xml(&self) -> String {
        let [t, c, z, y, x] = self.sizes;
        let channel = |i| format!("<Channel ID=\"Channel:0:{i}\" Name=\"C{i}\" SamplesPerPixel=\"1\"/>");
        let channels = (0..c).map(channel).collect::<Vec<_>>().concat();
        format!(
            "<?xml version=\"1.0\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image ID=\"Image:0\">\
             <Pixels ID=\"Pixels:0\" DimensionOrder=\"XYZCT\" Type=\"uint16\" SizeX=\"{x}\" SizeY=\"{y}\" SizeZ=\"{z}\" \
             SizeC=\"{c}\" SizeT=\"{t}\" PhysicalSizeX=\"0.108\" PhysicalSizeY=\"0.108\" PhysicalSizeZ=\"0.29\">{channels}\
             <TiffData/></Pixels></Image></OME>\0"
        )
    }

    /// Little-endian BigTIFF, one strip a page, pages behind the pixels.
    fn write(&self, path: &std::path::Path) {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        let ifds = FIRST_BYTE + self.bytes();
        let xml = self.xml();
        let mut head = Vec::new();
        head.extend(b"II\x2b\0\x08\0\0\0");
        head.extend(ifds.to_le_bytes());
        head.extend(xml.as_bytes());
        head.resize(FIRST_BYTE as usize, 0);
        out.write_all(&head).unwrap();
        let mut state = 1u32;
        let mut plane = vec![0u8; self.plane_bytes() as usize];
        for _ in 0..self.planes() {
            // Noise on a slope: compresses about as a fluorescence image does.
            for (i, pixel) in plane.chunks_exact_mut(2).enumerate() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let value = 100 + (i % 1024) as u16 + ((state >> 25) as u16);
                pixel.copy_from_slice(&value.to_le_bytes());
            }
            out.write_all(&plane).unwrap();
        }
        for page in 0..self.planes() {
            out.write_all(&self.ifd(page, ifds, xml.len() as u64)).unwrap();
        }
        out.flush().unwrap();
    }

    fn ifd(&self, page: u64, ifds: u64, xml: u64) -> Vec<u8> {
        let strip = FIRST_BYTE + page * self.plane_bytes();
        let description = if page == 0 { xml } else { 1 };
        let tags: [(u16, u16, u64, u64); TAGS as usize] = [
            (256, 4, 1, self.sizes[4]),
            (257, 4, 1, self.sizes[3]),
            (258, 3, 1, 16),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (270, 2, description, if page == 0 { 16 } else { 0 }),
            (273, 16, 1, strip),
            (277, 3, 1, 1),
            (278, 4, 1, self.sizes[3]),
            (279, 16, 1, self.plane_bytes()),
            (339, 3, 1, 1),
        ];
        let mut out = TAGS.to_le_bytes().to_vec();
        for (tag, kind, count, value) in tags {
            out.extend(tag.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(count.to_le_bytes());
            out.extend(value.to_le_bytes());
        }
        let next = if page + 1 == self.planes() { 0 } else { ifds + (page + 1) * IFD };
        out.extend(next.to_le_bytes());
        out
    }
}

const TAGS: u64 = 11;
const IFD: u64 = 8 + TAGS * 20 + 8;
