//! Zarr v2 and v3, OME-Zarr 0.4 and 0.5.
