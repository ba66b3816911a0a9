//! Which file systems lie on this machine: only their files are mapped.
//!
//! A page of a file on a network or behind a program may fail or change at any time, and reading it may wait without an
//! end in a place that cannot be interrupted. *Invariant:* a file system that is not listed is not local.

use std::fs::File;

/// By the number that the kernel gives each kind (linux/magic.h).
const LOCAL: [u64; 12] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x2FC1_2FC1, // ZFS
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs, as containers have
    0x7371_7368, // squashfs
    0xE0F5_E1E2, // EROFS
    0x9660,      // ISO 9660
];

/// Whether a file lies on a file system of this machine.
pub(crate) fn is_local(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| is_listed(system.f_type as u64))
}

/// The number has 32 bits; some systems give it with a sign.
fn is_listed(kind: u64) -> bool {
    LOCAL.contains(&(kind & 0xFFFF_FFFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_programs_are_not_local() {
        let not = [
            0x6969,      // NFS
            0xFF53_4D42, // CIFS
            0xFE53_4D42, // SMB2
            0x0102_1997, // 9p
            0x6573_5546, // FUSE
            0x0BD0_0BD0, // Lustre
            0x4750_4653, // GPFS
            0x00C3_6400, // Ceph
            0x9FA0,      // proc
            0,
        ];
        assert!(not.iter().all(|&kind| !is_listed(kind)));
        assert!(LOCAL.iter().all(|&kind| is_listed(kind) && is_listed(kind as u32 as i32 as i64 as u64)));
        assert!(!is_local(&File::open("/proc/self/stat").unwrap()));
    }
}
