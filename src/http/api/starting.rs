//! The responses of the port while the gateway starts: `/health` reports that the process is alive, `/ready` what it
//! waits for, and everything else is 503 with `Retry-After`.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use actix_web::{HttpResponse, web};

use super::{health::health, ready};
use crate::http::{error::ApiError, resource::resource_at};

/// The step for which the start waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartPhase {
    /// The database is unavailable, or has not answered yet.
    Database,
    /// Migrations are running, or another process or program has locked what they need.
    Migrations,
    /// The right to send requests to OwnerRez.
    Allowance,
}

impl StartPhase {
    /// Returns the code, the message and the hint.
    fn description(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Database => (
                "database_unavailable",
                "The gateway is starting and waits for its database.",
                "It continues by itself when the database responds. Check the server in DATABASE_URL.",
            ),
            Self::Migrations => (
                "migrations_pending",
                "The gateway is starting and applies migrations, or waits until another process or program allows it.",
                "It continues by itself. If this persists, look for another process that applies migrations, and for a \
                 transaction that uses the gateway's tables.",
            ),
            Self::Allowance => (
                "starting",
                "The gateway is starting and determines its share of OwnerRez's rate limit.",
                "It continues by itself in a few seconds.",
            ),
        }
    }
}

/// The progress of the start. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StartProgress(Arc<AtomicU8>);

impl StartProgress {
    /// Records the step for which the start waits from now on.
    pub fn enter(&self, phase: StartPhase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> StartPhase {
        match self.0.load(Ordering::Acquire) {
            1 => StartPhase::Migrations,
            2 => StartPhase::Allowance,
            _ => StartPhase::Database,
        }
    }
}

/// Configures the routes of a gateway that is starting.
pub fn starting_routes(config: &mut web::ServiceConfig, progress: StartProgress) {
    config
        .app_data(web::Data::new(progress))
        .service(resource_at("/health", "GET, HEAD").route(web::get().to(health)).route(web::head().to(health)))
        .service(resource_at("/ready", "GET, HEAD").route(web::get().to(waiting)).route(web::head().to(waiting)))
        .default_service(web::to(|| async { HttpResponse::from_error(ApiError::Starting) }));
}

async fn waiting(progress: web::Data<StartProgress>) -> HttpResponse {
    ready::not_ready(progress.phase().description())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_kept() {
        let progress = StartProgress::default();
        assert_eq!(progress.phase(), StartPhase::Database);
        for phase in [StartPhase::Migrations, StartPhase::Allowance, StartPhase::Database] {
            progress.enter(phase);
            assert_eq!(progress.clone().phase(), phase);
        }
    }
}
