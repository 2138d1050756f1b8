//! Sends due webhooks, one request at a time to each address, by the simulator's clock.

use std::{future, sync::Arc};

use actix_web::{http::header, rt};
use awc::Client;
use secrecy::ExposeSecret;

use super::{
    state::Shared,
    webhooks::{DeliveryAttempt, DeliveryOutcome, Next, Ticket},
};
use crate::domain::Clock;

/// Sends until the simulator stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut client = None;
    loop {
        let next = shared.lock().webhooks.next(shared.clock.now());
        match next {
            Next::Send(ticket) => {
                let client = client.get_or_insert_with(new_client).clone();
                let shared = shared.clone();
                rt::spawn(async move { deliver(&shared, &client, ticket).await });
            }
            Next::Wait(until) => {
                let due = async {
                    match until {
                        Some(moment) => shared.clock.sleep_until(moment).await,
                        None => future::pending().await,
                    }
                };
                tokio::select! {
                    () = shared.webhooks.wake.notified() => {}
                    () = due => {}
                }
            }
        }
    }
}

/// Creates the HTTP client. It has no timeout, because the timeout follows the simulator's clock.
fn new_client() -> Client {
    Client::builder().disable_timeout().disable_redirects().finish()
}

async fn deliver(shared: &Shared, client: &Client, ticket: Ticket) {
    let retry_policy = &shared.webhooks.contract.delivery;
    let at = shared.clock.now();
    let request = client
        .post(&ticket.url)
        .force_close()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .basic_auth(&ticket.app.user, ticket.app.password.expose_secret())
        .send_body(ticket.body.to_string());
    let outcome = tokio::select! {
        biased;
        answer = request => answer.map_or(DeliveryOutcome::Broken, |answer| DeliveryOutcome::Answered(answer.status().as_u16())),
        () = shared.clock.sleep_until(at + retry_policy.answer_within()) => DeliveryOutcome::TimedOut,
    };
    shared.lock().webhooks.ended(&ticket, DeliveryAttempt { at, outcome }, retry_policy, shared.clock.now());
    shared.webhooks.wake.notify_one();
    shared.webhooks.settled.send_replace(());
}
