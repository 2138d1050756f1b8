//! The simulator's time: the injected clock plus an offset that only the control interface changes.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::domain::{BoxFuture, Clock, SharedClock};

/// The injected clock, shifted. A test driver without access to that clock (one in another language) can still let
/// tokens expire and delays pass.
pub(super) struct ShiftedClock {
    inner: SharedClock,
    shift: watch::Sender<TimeDelta>,
}

impl ShiftedClock {
    pub(super) fn new(inner: SharedClock) -> Self {
        ShiftedClock { inner, shift: watch::Sender::new(TimeDelta::zero()) }
    }

    /// Moves the time forward, never back, and by at most a thousand years in total.
    pub(super) fn advance(&self, by: TimeDelta) {
        let farthest = TimeDelta::days(365_000);
        self.shift.send_modify(|shift| *shift = (*shift + by.clamp(TimeDelta::zero(), farthest)).min(farthest));
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> DateTime<Utc> {
        self.inner.now() + *self.shift.borrow()
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
        let inner = self.inner.clone();
        let mut shifts = self.shift.subscribe();
        Box::pin(async move {
            loop {
                let shift = *shifts.borrow_and_update();
                if inner.now() + shift >= moment {
                    return;
                }
                let changed = async {
                    // The sender lives as long as the simulator; without it the shift can no longer change.
                    if shifts.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = inner.sleep_until(moment - shift) => {}
                    () = changed => {}
                }
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    /// A clock that changes only on request.
    pub(in crate::simulator) struct StoppedClock(watch::Sender<DateTime<Utc>>);

    impl StoppedClock {
        pub(in crate::simulator) fn at(moment: &str) -> Arc<Self> {
            Arc::new(StoppedClock(watch::Sender::new(moment.parse().expect("a moment"))))
        }

        pub(in crate::simulator) fn advance(&self, by: TimeDelta) {
            self.0.send_modify(|now| *now += by);
        }
    }

    impl Clock for StoppedClock {
        fn now(&self) -> DateTime<Utc> {
            *self.0.borrow()
        }

        fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
            let mut now = self.0.subscribe();
            Box::pin(async move {
                let _ = now.wait_for(|now| *now >= moment).await;
            })
        }
    }

    #[tokio::test]
    async fn both_the_clock_and_the_shift_wake_a_sleeper() {
        let stopped = StoppedClock::at("2026-11-23T12:00:00Z");
        let clock = ShiftedClock::new(stopped.clone());
        let sleep = clock.sleep_until(clock.now() + TimeDelta::seconds(30));
        tokio::pin!(sleep);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(TimeDelta::seconds(20));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        stopped.advance(TimeDelta::seconds(10));
        sleep.await;
    }
}
