//! Links the programs with their relocations packed (DT_RELR, glibc 2.36): the program becomes a megabyte and a half
//! smaller, all of which would be read at the start and stay resident.

use std::env;

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script of its target this way only")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(name).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
