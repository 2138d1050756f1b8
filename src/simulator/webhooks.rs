//! Webhooks as OwnerRez documents them and as they were observed: their content, recipients, times and failures.
//!
//! This module sends nothing: `contract` has the documented and observed values, `event` creates the body, `fault`
//! decides what goes wrong, `queue` contains the due deliveries and the log, and `service` what needs no lock.
//! `notices` fills the queue, `sender` empties it.

mod contract;
mod event;
mod fault;
mod queue;
mod service;

pub(super) use self::{
    contract::WebhookType,
    event::Event,
    fault::{DeliveryPlan, plan_delivery},
    queue::{Next, Queue, Ticket},
    service::Service,
};
pub use self::{
    event::WebhookAction,
    fault::{WebhookFault, WebhookRule},
    queue::{Delivery, DeliveryAttempt, DeliveryOutcome, DeliveryState, WebhookApp},
};
