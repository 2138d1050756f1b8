//! What the handle and all permits share.

use std::sync::{Arc, MutexGuard};

use actix::prelude::*;
use chrono::{DateTime, Utc};

use super::{actor::AllowanceActor, messages::Wake};
use crate::{
    allowance::{Event, SharedWindow, Window},
    domain::SharedClock,
    metrics::Metrics,
    session::usage::Usage,
};

/// The window, and how to wake the actor behind it.
pub(super) struct Inner {
    pub(super) limit: u32,
    pub(super) window: SharedWindow,
    pub(super) actor: Addr<AllowanceActor>,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) usage: Usage,
}

impl Inner {
    /// Applies an event to the window.
    pub(super) fn handle_event(&self, now: DateTime<Utc>, event: Event) {
        let mut window = self.window.lock();
        window.handle(now, event);
        self.notify_actor(window);
    }

    /// Wakes the actor if there is work for it.
    pub(super) fn notify_actor(&self, window: MutexGuard<'_, Window>) {
        let needs_wake = window.needs_wake();
        drop(window);
        if needs_wake {
            self.actor.do_send(Wake);
        }
    }
}
