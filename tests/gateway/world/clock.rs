//! A clock that the test advances manually.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use ownerrez_gateway::domain::{BoxFuture, Clock};
use tokio::sync::oneshot;

/// Does not advance by itself; handlers, arbiters and the simulator all use it.
pub(crate) struct ManualClock {
    state: Mutex<State>,
}

struct State {
    now: DateTime<Utc>,
    sleepers: BTreeMap<DateTime<Utc>, Vec<oneshot::Sender<()>>>,
}

impl ManualClock {
    /// Starts at noon on a summer day.
    pub(crate) fn new() -> Arc<Self> {
        let now = Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap();
        Arc::new(Self { state: Mutex::new(State { now, sleepers: BTreeMap::new() }) })
    }

    /// Advances the time and wakes all sleepers that are due.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let mut state = self.state.lock().unwrap();
        state.now += by;
        let not_yet = state.now + TimeDelta::nanoseconds(1);
        let later = state.sleepers.split_off(&not_yet);
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        for sleeper in due.into_values().flatten() {
            let _ = sleeper.send(());
        }
    }

    /// Returns the number of sleepers that are due within this time.
    pub(crate) fn sleepers_within(&self, span: TimeDelta) -> usize {
        let state = self.state.lock().unwrap();
        let until = state.now + span;
        state.sleepers.range(..=until).flat_map(|(_, all)| all).filter(|sleeper| !sleeper.is_closed()).count()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state.lock().unwrap().now
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
        let mut state = self.state.lock().unwrap();
        if moment <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        state.sleepers.entry(moment).or_default().push(wake);
        Box::pin(async move {
            let _ = woken.await;
        })
    }
}
