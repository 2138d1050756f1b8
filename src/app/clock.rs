//! The system clock, made monotonic.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{BoxFuture, Clock};

/// If the wall clock is ahead of this clock by more than this, it was set or the machine was suspended.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);
/// How often the wall clock is read. Reading it takes as long as reading the monotonic clock, and a call asks for the
/// time twenty times.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_millis(100);
/// Limits a single sleep. Longer ones are split, so that a suspended machine is noticed soon after it resumes.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Wall time that never goes backwards. It starts at the wall clock, advances with the monotonic clock, and follows the
/// wall clock only forwards. A rate-limit budget whose time jumped back would free no slots, or free them twice.
#[derive(Debug)]
pub struct SystemClock(Mutex<Anchor>);

/// A wall time and the monotonic instant at which it was true.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall: DateTime<Utc>,
    at: Instant,
    /// The time after `at` at which the wall clock was last read.
    checked_at: Duration,
}

impl Anchor {
    #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
    fn now() -> Self {
        Self { wall: Utc::now(), at: Instant::now(), checked_at: Duration::ZERO }
    }
}

impl SystemClock {
    /// Creates a clock that starts at the current wall time.
    pub fn new() -> Self {
        Self(Mutex::new(Anchor::now()))
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
    if elapsed >= anchor.checked_at + WALL_CLOCK_INTERVAL {
        anchor.checked_at = elapsed;
        let looked = Anchor::now();
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
        // Works on a copy of the anchor, so that the future needs no reference to the clock. The copy is small, and
        // differs from the clock by less than the tolerance.
        let mut anchor = *self.anchor();
        Box::pin(async move {
            loop {
                let left = moment - current(&mut anchor);
                let Ok(left) = left.to_std() else { return };
                if left.is_zero() {
                    return;
                }
                #[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
                // Timers of the runtime are exact to a millisecond; one more makes sure that the moment is reached.
                tokio::time::sleep(left.min(MAX_SLEEP) + Duration::from_millis(1)).await;
            }
        })
    }
}
