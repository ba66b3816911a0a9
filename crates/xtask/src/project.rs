//! Where things are: the root of the repository, the target folder, the Python of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;

/// The folders that every verb needs. All paths are absolute.
pub(crate) struct Project {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

impl Project {
    /// Asks cargo where the workspace is.
    pub(crate) fn find() -> Result<Project, String> {
        let metadata = MetadataCommand::new().no_deps().exec().map_err(|error| {
            format!("failed to read the workspace: {error}; run `cargo xtask` inside the repository")
        })?;
        Ok(Project {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// The path of a file, given from the root of the repository.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The `microtome` binary as cargo leaves it, in the folder of a profile.
    pub(crate) fn binary(&self, folder: &str) -> PathBuf {
        self.target.join(folder).join(format!("microtome{}", std::env::consts::EXE_SUFFIX))
    }

    /// A cargo command that runs at the root of the repository, with the cargo that started this program.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(args).current_dir(&self.root);
        command
    }

    /// A git command that runs at the root of the repository.
    pub(crate) fn git(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.root);
        command
    }
}
