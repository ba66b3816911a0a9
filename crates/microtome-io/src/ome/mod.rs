//! OME-XML: what a microscope said about its image.
