//! The location of the database, and the directory of an embedded one.

use std::{
    ffi::OsString,
    fs::{DirBuilder, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use url::Url;

use super::{errors::Problem, layers::Layers};

/// The modes of PostgreSQL's own programs, ordered by how much they protect.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

pub(super) const DIRECT_REMEDY: &str =
    "write it like DATABASE_URL, with the address of the server instead of its pooler";

/// The database, embedded or served.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file of this process; exactly one process may use it.
    Sqlite {
        /// The database file.
        path: PathBuf,
    },
    /// A PostgreSQL server.
    Postgres {
        /// The whole connection URL, including parameters. It may contain a password.
        url: SecretString,
        /// The URL that bypasses the pooler, if `url` goes through one. It is used for everything that is bound to one
        /// connection.
        direct_url: Option<SecretString>,
    },
}

impl Database {
    /// Parses the forms of DATABASE_URL. The value is a secret, so no problem quotes it.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("sqlite") => sqlite_path(text).map(|path| Self::Sqlite { path }),
            Some("postgres" | "postgresql") => postgres_url(text).map(|url| Self::Postgres { url, direct_url: None }),
            _ => Err(Problem::new(
                "it is neither an SQLite nor a PostgreSQL URL",
                "write sqlite://path/to/file.db or postgres://user:password@host/name",
            )),
        }
    }

    /// Parses DATABASE_DIRECT_URL, a secret too.
    pub(super) fn parse_direct(text: &str) -> Result<SecretString, Problem> {
        match Self::parse(text) {
            Ok(Self::Postgres { url, .. }) => Ok(url),
            Ok(Self::Sqlite { .. }) => Err(Problem::new("it is not a PostgreSQL URL", DIRECT_REMEDY)),
            Err(problem) => Err(problem),
        }
    }

    /// Returns the same database with a direct URL; `None` for SQLite, which has no pooler.
    pub(super) fn with_direct(self, direct_url: SecretString) -> Option<Self> {
        match self {
            Self::Postgres { url, .. } => Some(Self::Postgres { url, direct_url: Some(direct_url) }),
            Self::Sqlite { .. } => None,
        }
    }

    /// Returns the file of a generated encryption key: next to an SQLite database; `None` for PostgreSQL.
    pub(super) fn key_file(&self) -> Option<PathBuf> {
        let Self::Sqlite { path } = self else { return None };
        let mut name = OsString::from(path);
        name.push(".key");
        Some(name.into())
    }

    /// Creates the directory of an SQLite database, accessible to its owner only, unless it exists. The permissions of
    /// an existing directory are not changed; if other users can access it, a warning is logged.
    ///
    /// # Errors
    /// If the directory cannot be created, or if its name is taken by something else.
    pub fn prepare_data_directory(&self) -> io::Result<()> {
        match self {
            Self::Sqlite { path } => make_private_directory(directory_of(path)),
            Self::Postgres { .. } => Ok(()),
        }
    }
}

/// Returns the directory that contains this file.
pub(super) fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a directory that only its owner can access, unless it exists.
pub(super) fn make_private_directory(directory: &Path) -> io::Result<()> {
    match directory.metadata() {
        Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        Ok(found) => {
            if is_open_to_others(&found) {
                let shown = directory.display();
                log::warn!("other users can access the data directory {shown}: run `chmod 700 {shown}`");
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)
        }
        Err(error) => Err(error),
    }
}

/// Returns whether anyone but the owner has a permission here.
pub(super) fn is_open_to_others(found: &Metadata) -> bool {
    found.permissions().mode() & 0o077 != 0
}

/// Checks the URL and returns it as it was written: the driver knows more parameters than the gateway does.
fn postgres_url(text: &str) -> Result<SecretString, Problem> {
    let problem = |what: String| {
        let example = "postgres://user:password@host/name";
        Problem::new(what, format!("write it like {example}, with special characters of the password percent-encoded"))
    };
    let url = Url::parse(text).map_err(|error| problem(format!("it is not a URL ({error})")))?;
    if !url.as_str().contains("://") {
        return Err(problem("it is not a URL (// is missing)".to_owned()));
    }
    // If a password contains a bare / or #, the rest of it would be taken for the name of the database.
    if url.path().trim_start_matches('/').contains(['/', '@']) || url.fragment().is_some() {
        return Err(problem("the part after its host is not a database name".to_owned()));
    }
    for (name, value) in url.query_pairs() {
        postgres_parameter(&name, &value)?;
    }
    Ok(text.into())
}

/// Checks the parameters that select TLS. Without the check, a mistake here would look like an unreachable server.
fn postgres_parameter(name: &str, value: &str) -> Result<(), Problem> {
    match name {
        "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value.to_ascii_lowercase().as_str()) => Err(Problem::new(
            "its sslmode is unknown",
            format!("set sslmode to one of {}; only verify-full fully authenticates the server", SSL_MODES.join(", ")),
        )),
        "sslrootcert" | "ssl-root-cert" | "ssl-ca" | "sslcert" | "ssl-cert" | "sslkey" | "ssl-key" => {
            std::fs::File::open(value).map(drop).map_err(|error| {
                let what = format!("the file of its {name} cannot be read ({error})");
                Problem::new(what, "name a PEM file that this account can read")
            })
        }
        _ => Ok(()),
    }
}

fn sqlite_path(text: &str) -> Result<PathBuf, Problem> {
    let remedy = "write sqlite://relative/path.db or sqlite:///absolute/path.db";
    let rest = text.split_once(':').map(|(_, rest)| rest).unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').map_or((rest, None), |(path, rest)| (path, Some(rest)));
    if path.starts_with(":memory:") || parameters.is_some_and(|all| all.contains("mode=memory")) {
        return Err(Problem::new("an in-memory database would lose every user when the gateway stops", remedy));
    }
    if parameters.is_some_and(|all| !matches!(all, "mode=rwc" | "mode=rw")) {
        return Err(Problem::new("it has parameters", "remove the ? and everything after it"));
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(Problem::new("it names no file", remedy));
    }
    Ok(path.into())
}

pub(super) fn database(layers: &mut Layers) -> Option<Database> {
    let database = layers.text("database.url", Database::parse)?;
    let Some(direct_url) = layers.text("database.direct_url", Database::parse_direct) else { return Some(database) };
    let with_direct_url = database.clone().with_direct(direct_url);
    if with_direct_url.is_none() {
        let what = "it is set, but database.url (DATABASE_URL) is not a PostgreSQL URL";
        layers.refuse("database.direct_url", what, "remove it, or set DATABASE_URL to the pooler of that server");
    }
    Some(with_direct_url.unwrap_or(database))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn sqlite_forms() {
        for (given, expected) in [
            ("sqlite:gateway.db", Some("gateway.db")),
            ("sqlite://data/gateway.db", Some("data/gateway.db")),
            ("sqlite:///var/lib/gateway.db", Some("/var/lib/gateway.db")),
            ("SQLite:///var/lib/gateway.db?mode=rwc", Some("/var/lib/gateway.db")),
            ("sqlite::memory:", None),
            ("sqlite://:memory:", None),
            ("sqlite://x.db?mode=memory&cache=shared", None),
            ("sqlite://x.db?mode=ro", None),
            ("sqlite://", None),
            ("sqlite:", None),
            ("sqlite:///var/lib/", None),
        ] {
            let read = Database::parse(given).ok();
            let path = match &read {
                Some(Database::Sqlite { path }) => path.to_str(),
                _ => None,
            };
            assert_eq!(path, expected, "{given}");
        }
    }

    #[test]
    fn postgres_forms() {
        for (given, good) in [
            ("postgres://root@127.0.0.1:5432/test", true),
            ("postgresql://u:p%40ss@db/gateway?sslmode=verify-full", true),
            ("postgres:///gateway?host=/var/run/postgresql", true),
            ("postgres://u:p@gateway-db.flycast:5432/gateway?sslmode=disable", true),
            ("postgres://u:p@db/x?sslmode=Require", true),
            ("postgres://u:p@db/x?sslmode=verify", false),
            ("postgres://u:p@db/x?sslmode=", false),
            ("postgres://u:p@db/x?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", false),
            (
                concat!(
                    "postgres://u:p@db/x?sslmode=verify-full&sslrootcert=",
                    env!("CARGO_MANIFEST_DIR"),
                    "/Cargo.toml"
                ),
                true,
            ),
            ("postgres:db/gateway", false),
            ("postgres://u:p@db:port/x", false),
            ("postgres://u:pass/word@db/x", false),
            ("postgres://u:p@ss/word@db/x", false),
            ("postgres://u:p@ss#word@db/x", false),
            ("mysql://root@db/x", false),
            ("/var/lib/gateway.db", false),
            ("s3cr3t", false),
        ] {
            let read = Database::parse(given).ok();
            let kept = match &read {
                Some(Database::Postgres { url, .. }) => Some(url.expose_secret()),
                _ => None,
            };
            assert_eq!(kept, good.then_some(given), "{given}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let shown = format!("{:?}", Database::parse("postgres://u:p4ss@db/x").expect("good"));
        assert!(!shown.contains("p4ss"), "{shown}");
        let problem = Database::parse("postgres://u:p4ss@db:port/x").expect_err("a port is a number");
        assert!(!format!("{problem:?}").contains("p4ss"), "{problem:?}");
    }

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        let home = tempfile::tempdir().expect("temp dir");
        let database = Database::Sqlite { path: home.path().join("a/b/gateway.db") };
        database.prepare_data_directory().expect("made");
        for made in ["a", "a/b"] {
            let mode = home.path().join(made).metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{made}");
        }
        database.prepare_data_directory().expect("again");
    }

    #[test]
    fn an_existing_directory_keeps_its_permissions() {
        let home = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        Database::Sqlite { path: home.path().join("gateway.db") }.prepare_data_directory().expect("left alone");
        assert_eq!(home.path().metadata().expect("there").permissions().mode() & 0o777, 0o755);
        std::fs::write(home.path().join("file"), "").expect("write");
        let blocked = Database::Sqlite { path: home.path().join("file/gateway.db") };
        assert!(blocked.prepare_data_directory().is_err());
    }

    #[test]
    fn a_file_without_a_directory_is_here() {
        assert_eq!(directory_of(Path::new("gateway.db")), Path::new("."));
        assert_eq!(directory_of(Path::new("/gateway.db")), Path::new("/"));
    }
}
