//! The machine's clock, made safe to count on.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{BoxFuture, Clock};

/// A wall clock that moved ahead of us by more than this was set, or the machine slept.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);
/// How often the wall clock is looked at: reading it takes as long as the monotonic one, and a call asks twenty times.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Sleeps are cut into pieces, so that a machine that slept is noticed soon after it wakes.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Wall time that never goes backwards: it starts at the wall clock and runs with the monotonic one, and follows the
/// wall clock forwards only. A budget whose time jumped back would stand still, or free its slots twice.
#[derive(Debug)]
pub struct SystemClock(Mutex<Anchor>);

/// What time is told by.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall: DateTime<Utc>,
    at: Instant,
    /// How long after `at` the wall clock was last looked at.
    looked: Duration,
}

impl Anchor {
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    fn here() -> Self {
        Self { wall: Utc::now(), at: Instant::now(), looked: Duration::ZERO }
    }
}

impl SystemClock {
    /// Starts at the present wall time.
    pub fn new() -> Self {
        Self(Mutex::new(Anchor::here()))
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn current(anchor: &mut Anchor) -> DateTime<Utc> {
    let elapsed = anchor.at.elapsed();
    let now = TimeDelta::from_std(elapsed).ok().and_then(|elapsed| anchor.wall.checked_add_signed(elapsed));
    let now = now.unwrap_or(anchor.wall);
    if elapsed >= anchor.looked + LOOK_EVERY {
        anchor.looked = elapsed;
        let looked = Anchor::here();
        if looked.wall > now + TOLERANCE {
            *anchor = looked;
            return looked.wall;
        }
    }
    now
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        current(&mut self.anchor())
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
        // Anchors are small and may differ by less than the tolerance; a copy needs no reference to the clock.
        let mut anchor = *self.anchor();
        Box::pin(async move {
            loop {
                let left = moment - current(&mut anchor);
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
