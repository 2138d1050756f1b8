//! The number of one request.

/// Identifies one request, from the application for a permit to the response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);
