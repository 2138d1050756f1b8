//! How many files and sockets this process may have open, and how many of them connections of clients may take.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that is asked for where the system allows more.
const WANTED: u64 = 65_536;
/// The least number of connections, whatever the system allows.
const LEAST: usize = 16;

/// Raises the soft limit of open files as far as the system allows, up to 65,536, and returns the limit that holds.
#[cfg(unix)]
pub(super) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Without a limit there is no number to keep below.
    let Some(current) = current else { return WANTED };
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            log::warn!("the limit of open files stays at {current}: {error}");
            current
        }
    }
}

/// Returns the limit that is asked for elsewhere: other systems have no such limit, or none that is this low.
#[cfg(not(unix))]
pub(super) fn raise_limit() -> u64 {
    WANTED
}

/// Returns how many connections of clients fit below a limit of open files. A quarter of the limit and `database`
/// connections are kept for OwnerRez, the database and files.
pub(super) fn connections_below(limit: u64, database: usize) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    (limit - limit / 4).saturating_sub(database).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        assert_eq!(connections_below(1024, 13), 755);
        assert_eq!(connections_below(65_536, 13), 49_139);
        assert_eq!(connections_below(20, 13), LEAST);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_never_lowered() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_limit() >= before.min(WANTED));
    }
}
