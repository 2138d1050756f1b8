//! The machine's clock, made safe to count on.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{BoxFuture, Clock};

/// A wall clock that moved ahead of us by more than this was set, or the machine slept.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);
/// Sleeps are cut into pieces, so that a machine that slept is noticed soon after it wakes.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Wall time that never goes backwards: it starts at the wall clock and runs with the monotonic one, and follows the
/// wall clock forwards only. A budget whose time jumped back would stand still, or free its slots twice.
#[derive(Debug)]
pub struct SystemClock {
    anchor: Mutex<(DateTime<Utc>, Instant)>,
}

impl SystemClock {
    /// Starts at the present wall time.
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    pub fn new() -> Self {
        Self { anchor: Mutex::new((Utc::now(), Instant::now())) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn current(anchor: &Mutex<(DateTime<Utc>, Instant)>) -> DateTime<Utc> {
    let mut anchor = anchor.lock().unwrap_or_else(PoisonError::into_inner);
    let elapsed = TimeDelta::from_std(anchor.1.elapsed()).unwrap_or(TimeDelta::MAX);
    let now = anchor.0.checked_add_signed(elapsed).unwrap_or(anchor.0);
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    let wall = Utc::now();
    if wall > now + TOLERANCE {
        *anchor = (wall, Instant::now());
        return wall;
    }
    now
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        current(&self.anchor)
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
        // Anchors are small and may differ by less than the tolerance; a copy needs no reference to the clock.
        let anchor = Mutex::new(*self.anchor.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move {
            loop {
                let left = moment - current(&anchor);
                let Ok(left) = left.to_std() else { return };
                if left.is_zero() {
                    return;
                }
                #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
                // Timers of the runtime are exact to a millisecond: one more makes sure that the moment has come.
                tokio::time::sleep(left.min(LONGEST_NAP) + Duration::from_millis(1)).await;
            }
        })
    }
}
