//! Files that only the gateway's account may read.

use std::{fs, io, path::Path};

/// Creates the file if it is missing, readable only by the gateway's account. SQLite gives the files that it creates
/// next to it the same permissions.
pub(super) fn create_private_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
