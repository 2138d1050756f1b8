//! A temporary directory that only this user can read.

/// Creates the directory, which is removed when it is dropped.
pub(super) fn private_directory() -> std::io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("ownerrez-gateway-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}
