//! The limit of open files and sockets of the process, and the part of it that client connections may use.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The requested limit, if the system allows as much.
const DESIRED_LIMIT: u64 = 65_536;
/// The minimum number of connections, whatever the system allows.
const MIN_RESERVE: usize = 16;

/// Raises the soft limit of open files as far as the system allows, up to 65,536. Returns the resulting limit.
#[cfg(unix)]
pub(super) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // An unlimited process needs no bound; the wanted limit is used.
    let Some(current) = current else { return DESIRED_LIMIT };
    let wanted = maximum.map_or(DESIRED_LIMIT, |maximum| maximum.min(DESIRED_LIMIT));
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            log::warn!("cannot raise the limit of open files, which stays at {current}: {error}");
            current
        }
    }
}

/// Returns the wanted limit: other systems have no such limit, or none that is this low.
#[cfg(not(unix))]
pub(super) fn raise_limit() -> u64 {
    DESIRED_LIMIT
}

/// Returns how many client connections fit below a limit of open files. A quarter of the limit and `database`
/// connections are reserved for OwnerRez, the database and files.
pub(super) fn connections_below(limit: u64, database: usize) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    (limit - limit / 4).saturating_sub(database).max(MIN_RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        assert_eq!(connections_below(1024, 13), 755);
        assert_eq!(connections_below(65_536, 13), 49_139);
        assert_eq!(connections_below(20, 13), MIN_RESERVE);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_never_lowered() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_limit() >= before.min(DESIRED_LIMIT));
    }
}
