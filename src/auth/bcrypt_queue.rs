//! The queue for bcrypt. It serves sources in turns, so that a source with wrong keys delays others by one computation
//! per round, however many of its requests wait.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::{
    lookup_id::LookupId,
    round_robin::{Lane, RoundRobin},
    source_address::{Network48, SourceAddress},
};
use crate::domain::SharedClock;

/// How long a request waits for bcrypt. Clients time out after 60 seconds; the response after this has a `Retry-After`.
pub(super) const QUEUE_TIMEOUT: TimeDelta = TimeDelta::seconds(30);

/// Why a request needs bcrypt. The purposes with waiting requests are served in turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// The hash of a new key: registrations, and keys that a user adds.
    NewKey,
    /// A key from a source that sent no wrong key recently.
    Check,
    /// A key from a source that sent a wrong key. It is not excluded, since many users may share an address.
    CheckAfterFailure,
}

const PURPOSES: usize = 3;

/// The position of a request in the queue. Within a purpose the queue rotates over networks, then sources, then keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuePosition {
    pub(super) purpose: Purpose,
    pub(super) source: SourceAddress,
    pub(super) key: LookupId,
}

type Waiter = oneshot::Sender<Turn>;
type Lanes = RoundRobin<Network48, RoundRobin<SourceAddress, RoundRobin<LookupId, VecDeque<Waiter>>>>;

/// The queue. Clones share it.
#[derive(Clone)]
pub(super) struct BcryptQueue(Arc<Shared>);

struct Shared {
    clock: SharedClock,
    parallel: usize,
    /// The number of waiting requests. Each occupies a connection, so the connection limit bounds it.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// Free turns. There are some only while no request waits.
    free: usize,
    lanes: [Lanes; PURPOSES],
    /// The purpose that is served first when a turn ends.
    next: usize,
    /// The duration of a turn; a moving average.
    average: TimeDelta,
}

impl State {
    fn pop(&mut self) -> Option<Waiter> {
        for step in 0..PURPOSES {
            let purpose = (self.next + step) % PURPOSES;
            if let Some(waiter) = self.lanes[purpose].pop() {
                self.next = purpose + 1;
                return Some(waiter);
            }
        }
        None
    }
}

impl BcryptQueue {
    /// Creates a queue that allows `parallel` turns at the same time.
    pub(super) fn new(parallel: usize, clock: SharedClock) -> Self {
        let parallel = parallel.max(1);
        let state = State { free: parallel, lanes: Default::default(), next: 0, average: TimeDelta::zero() };
        Self(Arc::new(Shared { clock, parallel, waiting: AtomicUsize::new(0), state: Mutex::new(state) }))
    }

    /// Waits for a turn until the given moment. The error is the time in which the current queue will be empty.
    pub(super) async fn turn(&self, position: QueuePosition, until: DateTime<Utc>) -> Result<Turn, TimeDelta> {
        let shared = &self.0;
        let turn = {
            let mut state = shared.state();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                drop(state);
                return Ok(Turn::new(shared.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            let lane = state.lanes[position.purpose as usize].lane(position.source.network()).lane(position.source);
            lane.lane(position.key).push_back(sender);
            receiver
        };
        let _waiting = Waiting::new(&shared.waiting);
        match select(turn, shared.clock.sleep_until(until)).await {
            Either::Left((Ok(turn), _)) => Ok(turn),
            Either::Left((Err(_), _)) | Either::Right(_) => Err(self.time_to_empty()),
        }
    }

    /// Returns the time until the requests that wait now have had their turns.
    pub(super) fn time_to_empty(&self) -> TimeDelta {
        let shared = &self.0;
        let waiting = i32::try_from(shared.waiting.load(Ordering::Acquire)).unwrap_or(i32::MAX);
        let parallel = i32::try_from(shared.parallel).unwrap_or(i32::MAX);
        let average = shared.state().average;
        average.checked_mul(waiting).unwrap_or(TimeDelta::MAX) / parallel
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves no inconsistent state that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiting request until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to run bcrypt once. When it is dropped, the next request gets it.
pub(super) struct Turn {
    /// `None` once it was passed on.
    queue: Option<Arc<Shared>>,
    since: DateTime<Utc>,
}

impl Turn {
    fn new(queue: Arc<Shared>) -> Self {
        let since = queue.clock.now();
        Self { queue: Some(queue), since }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut queue) = self.queue.take() else { return };
        let took = queue.clock.now() - self.since;
        {
            let mut state = queue.state();
            state.average = if state.average.is_zero() { took } else { (state.average * 7 + took) / 8 };
        }
        loop {
            let next = {
                let mut state = queue.state();
                match state.pop() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            match next.send(Self::new(queue)) {
                Ok(()) => return,
                // The waiting request has ended meanwhile; the turn goes to the next one.
                Err(mut refused) => match refused.queue.take() {
                    Some(back) => queue = back,
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, net::IpAddr, pin::Pin, sync::Mutex as StdMutex, task::Poll};

    use futures_util::poll;

    use super::*;
    use crate::domain::{BoxFuture, Clock};

    /// A clock that the test advances; a sleep reads it when it is polled.
    #[derive(Default)]
    struct HandClock(StdMutex<TimeDelta>);

    impl HandClock {
        fn advance(&self, by: TimeDelta) {
            *self.0.lock().unwrap() += by;
        }
    }

    struct Hand(Arc<HandClock>);

    impl Clock for Hand {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + *self.0.0.lock().unwrap()
        }

        fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
            let clock = self.0.clone();
            Box::pin(std::future::poll_fn(move |_| {
                let now = DateTime::UNIX_EPOCH + *clock.0.lock().unwrap();
                if now < moment { Poll::Pending } else { Poll::Ready(()) }
            }))
        }
    }

    fn queue(parallel: usize) -> (BcryptQueue, Arc<HandClock>) {
        let clock = Arc::new(HandClock::default());
        (BcryptQueue::new(parallel, Arc::new(Hand(clock.clone()))), clock)
    }

    fn place(purpose: Purpose, source: [u16; 4], key: u8) -> QueuePosition {
        let [a, b, c, d] = source;
        let source = IpAddr::from([a, b, c, d, 0, 0, 0, 1]).into();
        QueuePosition { purpose, source, key: [key; 32] }
    }

    fn in_a_minute() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(1)
    }

    type Wait = Pin<Box<dyn Future<Output = Result<Turn, TimeDelta>>>>;

    /// Returns a waiting request, polled once so that it is in the queue.
    async fn waits(queue: &BcryptQueue, position: QueuePosition) -> Wait {
        let queue = queue.clone();
        let mut wait: Wait = Box::pin(async move { queue.turn(position, in_a_minute()).await });
        assert!(poll!(&mut wait).is_pending());
        wait
    }

    /// Ends the turn and returns the number of the request that gets it next.
    async fn next(turn: Turn, waiting: &mut Vec<(usize, Wait)>) -> (usize, Turn) {
        drop(turn);
        for at in 0..waiting.len() {
            if let Poll::Ready(turn) = poll!(&mut waiting[at].1) {
                return (waiting.remove(at).0, turn.unwrap_or_else(|_| panic!("no turn")));
            }
        }
        panic!("no request has the turn");
    }

    #[tokio::test]
    async fn ninety_hostile_sources_delay_a_good_key_and_a_registration_by_a_few_turns() {
        let (queue, _) = queue(1);
        let turn = queue.turn(place(Purpose::Check, [0x2001, 0xdb8, 0, 0], 0), in_a_minute()).await;
        let mut turn = turn.unwrap_or_else(|_| panic!("no turn"));
        let mut waiting = Vec::new();
        for number in 0..90u16 {
            let hostile = place(Purpose::CheckAfterFailure, [0x2001, 0xdb8, number, number], 1);
            waiting.push((usize::from(number), waits(&queue, hostile).await));
        }
        waiting.push((100, waits(&queue, place(Purpose::Check, [0x2001, 0xdb9, 0, 0], 2)).await));
        waiting.push((101, waits(&queue, place(Purpose::NewKey, [0x2001, 0xdb9, 0, 1], 0)).await));
        let mut first = Vec::new();
        for _ in 0..3 {
            let (number, passed) = next(turn, &mut waiting).await;
            first.push(number);
            turn = passed;
        }
        assert!(first.contains(&100) && first.contains(&101), "{first:?}");
    }

    #[tokio::test]
    async fn networks_then_sources_then_keys_take_turns() {
        let (queue, _) = queue(1);
        let turn = queue.turn(place(Purpose::Check, [1, 0, 0, 0], 0), in_a_minute()).await;
        let mut turn = turn.unwrap_or_else(|_| panic!("no turn"));
        let mut waiting = Vec::new();
        // One /48 with two /64s, one of which tries one key repeatedly; and another network with one request.
        for number in 0..4 {
            waiting.push((number, waits(&queue, place(Purpose::Check, [1, 0, 0, 1], 1)).await));
        }
        waiting.push((10, waits(&queue, place(Purpose::Check, [1, 0, 0, 1], 2)).await));
        waiting.push((20, waits(&queue, place(Purpose::Check, [1, 0, 0, 2], 1)).await));
        waiting.push((30, waits(&queue, place(Purpose::Check, [2, 0, 0, 0], 1)).await));
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let (number, passed) = next(turn, &mut waiting).await;
            order.push(number);
            turn = passed;
        }
        assert_eq!(order, [0, 30, 20, 10, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_request_that_ends_early_delays_no_other() {
        let (queue, _) = queue(1);
        let here = place(Purpose::Check, [1, 0, 0, 0], 0);
        let turn = queue.turn(here, in_a_minute()).await.unwrap_or_else(|_| panic!("no turn"));
        let gone = waits(&queue, here).await;
        let mut waiting = vec![(1, waits(&queue, here).await)];
        drop(gone);
        assert_eq!(queue.0.waiting.load(Ordering::Acquire), 1);
        let (number, turn) = next(turn, &mut waiting).await;
        assert_eq!(number, 1);
        drop(turn);
        assert!(queue.turn(here, in_a_minute()).await.is_ok(), "free again");
    }

    #[tokio::test]
    async fn waiting_ends_and_the_error_names_the_time_that_the_queue_takes() {
        let (queue, clock) = queue(2);
        let here = place(Purpose::Check, [1, 0, 0, 0], 0);
        let turns = [queue.turn(here, in_a_minute()).await, queue.turn(here, in_a_minute()).await];
        clock.advance(TimeDelta::seconds(4));
        drop(turns);
        let turns = [queue.turn(here, in_a_minute()).await, queue.turn(here, in_a_minute()).await];
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(waits(&queue, here).await);
        }
        clock.advance(TimeDelta::minutes(1));
        // Ten requests wait, each turn takes four seconds, and two run at once.
        let Poll::Ready(Err(wait)) = poll!(&mut all[0]) else { panic!("it has no turn and its time is over") };
        assert_eq!(wait, TimeDelta::seconds(20));
        drop(turns);
    }
}
