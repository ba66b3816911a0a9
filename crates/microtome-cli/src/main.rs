//! The `microtome` command line.
fn main() {}
