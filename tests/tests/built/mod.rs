//! Programs that cargo built beside this one.

use std::path::{Path, PathBuf};

/// The program of an example of the façade.
///
/// # Panics
/// If it is not there, with the command that builds it.
pub fn example(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let profile = me.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(name);
    let option = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => String::new(),
        Some(profile) => format!(" --profile {profile}"),
    };
    assert!(
        path.is_file(),
        "{} is not there: `cargo test --workspace` builds it, and so does `cargo build -p microtome --examples{option}`",
        path.display()
    );
    path
}
