//! On what a path lies: the file system, by words that stay the same while it is mounted.
//!
//! *Invariant:* nothing is opened but the system's own table of mounts.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file system that a path lies on, or would lie on: its type and what it was mounted from, as `ext4 /dev/vda1`; of a
/// URL scheme and host. Where the system does not tell, a number of its own.
///
/// # Examples
/// ```
/// use std::path::Path;
/// use microtome_io::device;
/// let folder = std::env::temp_dir();
/// assert_eq!(device(&folder), device(&folder.join("not/there/yet.tif")));
/// assert_eq!(device(Path::new("s3://bucket/image.zarr")), "s3://bucket");
/// ```
pub fn device(path: &Path) -> String {
    let text = path.to_string_lossy();
    if let Some((scheme, rest)) = text.split_once("://") {
        return format!("{scheme}://{}", rest.split('/').next().unwrap_or_default());
    }
    let here = Path::new(".");
    let there = path.ancestors().map(|place| if place.as_os_str().is_empty() { here } else { place });
    let Some(number) = there.filter_map(|place| place.metadata().ok()).map(|found| found.dev()).next() else {
        return String::new();
    };
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().find_map(|line| of_mount(line, &number)).unwrap_or(number)
}

/// Type and source of a line of the table of mounts, if it is that of a device (proc(5)).
fn of_mount(line: &str, number: &str) -> Option<String> {
    let (place, what) = line.split_once(" - ")?;
    if place.split(' ').nth(2)? != number {
        return None;
    }
    let mut what = what.split(' ');
    Some(format!("{} {}", what.next()?, what.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_of_mounts_is_understood() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(of_mount(line, "98:0").as_deref(), Some("ext3 /dev/root"));
        assert_eq!(of_mount(line, "8:0"), None);
        assert_eq!(of_mount("nonsense", "98:0"), None);
    }
}
