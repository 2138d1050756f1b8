//! The reasons why the gateway cannot start.

use std::{io, net::SocketAddr};

use super::error_cause::cause;
use crate::{catalog::CatalogError, config::KeyFileError, crypto::CryptoError, store::StoreError, tools::UnknownName};

/// The reasons why the gateway cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address}: {source}; stop the process that uses it, or set PORT or BIND")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The metrics address is in use or does not belong to this machine.
    #[error("cannot serve metrics on {address}: {source}; stop the process that uses it, or set METRICS_BIND")]
    BindMetrics {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory of the embedded database cannot be used.
    #[error("cannot use the data directory: {0}; give this account access to it, or set DATABASE_URL")]
    DataDirectory(io::Error),
    /// Another process uses the SQLite database, which serves one process only.
    #[error(
        "another process already uses the SQLite database {0}; stop it, or use PostgreSQL (DATABASE_URL) to run several"
    )]
    AlreadyRunning(String),
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The database failed.
    #[error("{error}: {}", cause(.error))]
    Store {
        /// The error of the store.
        #[from]
        error: StoreError,
    },
    /// The system gave no random bytes, or the key cannot be used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The embedded operation table is invalid: a fault of the build.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The server or the simulator failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The tool settings of the one client name an unknown tool or toolset.
    #[error("{0} Correct MCP_TOOLSETS, MCP_TOOLS or MCP_EXCLUDE_TOOLS.")]
    Tools(#[from] UnknownName),
    /// The single account cannot be served.
    #[error("cannot serve the account: {0}")]
    Stdio(String),
    /// A step of preparing the sandbox failed.
    #[error("cannot start the sandbox: {0}")]
    Sandbox(String),
}
