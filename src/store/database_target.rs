//! The location of the database.

use std::path::PathBuf;

use secrecy::SecretString;

/// The location of the database.
#[derive(Clone, Debug)]
pub enum DatabaseTarget {
    /// A file. It is created if missing, together with its directory.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server.
    Postgres {
        /// `postgres://…`, including the password.
        url: SecretString,
        /// The URL of the same server without the pooler that `url` may go through.
        direct_url: Option<SecretString>,
        /// The maximum number of connections that this process opens for its calls; locks use separate ones.
        max_connections: u32,
    },
}
