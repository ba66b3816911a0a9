//! The TIFF family: TIFF, BigTIFF, OME-TIFF, ImageJ.
