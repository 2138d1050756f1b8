//! The state that all requests share: the limits on their bodies, and the counts for these limits.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{quota::Quota, source_quota::SourceQuota};
use crate::{auth::SourceAddress, config::Network, domain::UserId};

/// Divides the bytes under way: callers without a verified credential may use one part in this many.
const UNVERIFIED_PART: usize = 8;
/// Divides the bytes under way: one user may use one part in this many.
const USER_PART: usize = 16;

/// The limits on requests.
#[derive(Clone, Debug)]
pub struct RequestSettings {
    /// The time from the moment when a handler waits for a body to the body's last byte.
    pub body_timeout: Duration,
    /// The largest body of a caller without a verified credential, in bytes.
    pub unverified_limit: usize,
    /// The largest body of any other caller, in bytes.
    pub verified_limit: usize,
    /// The limit for all bodies under way together, in bytes. An eighth of it is for callers without a verified
    /// credential.
    pub bytes_under_way: usize,
    /// The limit for one source's requests with incomplete bodies and without a verified credential. All sources of an
    /// IPv6 /48 together may have twice as many.
    pub unfinished_per_source: usize,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Arc<[Network]>,
}

pub(super) struct Bounds {
    pub(super) body_timeout: Duration,
    pub(super) unverified_limit: usize,
    pub(super) verified_limit: usize,
    pub(super) unfinished: SourceQuota,
    pub(super) unverified_bytes: SourceQuota,
    pub(super) verified_bytes: Arc<Quota<Holder>>,
    pub(super) stop: CancellationToken,
    pub(super) trusted_proxies: Arc<[Network]>,
}

/// The owner of body bytes with a verified credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    User(UserId),
    /// A credential that belongs to no user.
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
        // At least one body of the largest size always fits.
        let verified = (bytes_under_way - unverified).max(verified_limit);
        Self {
            body_timeout,
            unverified_limit,
            verified_limit,
            // Each needs a connection, and the process has a limit for those.
            unfinished: SourceQuota::new(usize::MAX, unfinished_per_source),
            unverified_bytes: SourceQuota::new(unverified, unverified),
            verified_bytes: Quota::new(verified, (bytes_under_way / USER_PART).max(verified_limit)),
            stop: CancellationToken::new(),
            trusted_proxies,
        }
    }
}
