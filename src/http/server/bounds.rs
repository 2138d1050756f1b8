//! What all requests share: the bounds on their bodies, and what is counted against them.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{shares::Shares, source_shares::SourceShares};
use crate::{config::Network, domain::UserId, http::source_address::SourceAddress};

/// The part of the bytes under way that callers without a verified credential may take: one in so many.
const UNVERIFIED_PART: usize = 8;
/// The part of the bytes under way that one user may take: one in so many.
const USER_PART: usize = 16;

/// How much of requests is taken.
#[derive(Clone, Debug)]
pub struct RequestSettings {
    /// From the moment when a handler waits for a body to its last byte.
    pub body_timeout: Duration,
    /// The largest body of a caller whose credential is not verified, in bytes.
    pub unverified_limit: usize,
    /// The largest body of any other caller, in bytes.
    pub verified_limit: usize,
    /// All bodies under way together, in bytes. An eighth of it is for callers without a verified credential.
    pub bytes_under_way: usize,
    /// Requests whose bodies have not all arrived, without a verified credential, from one source. All sources of an IPv6
    /// /48 may have twice as many.
    pub unfinished_per_source: usize,
    /// Who says in `X-Forwarded-For` where a request comes from.
    pub trusted_proxies: Arc<[Network]>,
}

pub(super) struct Bounds {
    pub(super) body_timeout: Duration,
    pub(super) unverified_limit: usize,
    pub(super) verified_limit: usize,
    pub(super) unfinished: SourceShares,
    pub(super) unverified_bytes: SourceShares,
    pub(super) verified_bytes: Arc<Shares<Holder>>,
    pub(super) stop: CancellationToken,
    pub(super) trusted_proxies: Arc<[Network]>,
}

/// Who holds bytes of bodies with a verified credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    User(UserId),
    /// A credential that is no user's.
    Source(SourceAddress),
}

impl Bounds {
    pub(super) fn new(settings: RequestSettings) -> Self {
        let RequestSettings {
            body_timeout,
            unverified_limit,
            verified_limit,
            bytes_under_way,
            unfinished_per_source,
            trusted_proxies,
        } = settings;
        let unverified = bytes_under_way / UNVERIFIED_PART;
        // At least one of the largest bodies always fits.
        let verified = (bytes_under_way - unverified).max(verified_limit);
        Self {
            body_timeout,
            unverified_limit,
            verified_limit,
            // Each takes a connection, of which the process has a bounded number.
            unfinished: SourceShares::new(usize::MAX, unfinished_per_source),
            unverified_bytes: SourceShares::new(unverified, unverified),
            verified_bytes: Shares::new(verified, (bytes_under_way / USER_PART).max(verified_limit)),
            stop: CancellationToken::new(),
            trusted_proxies,
        }
    }
}
