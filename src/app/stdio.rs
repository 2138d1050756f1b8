//! Serves one client over standard input and output: with a single account, or as a bridge to a gateway.

mod bridge;
mod front;
mod lines;

use chrono::TimeDelta;
use futures_util::future::{Either, select};
use rmcp::ServiceExt;
use tokio::io::{BufReader, stdin};

use self::lines::Output;

use super::{StartError, engine::Engine, own_account};
use crate::{
    config::{ChosenTools, Config, OwnAccount, Transport},
    domain::SharedClock,
    http::StartProgress,
    mcp::Server,
    tools::Wishes,
};

/// Serves until the client closes standard input. Standard output carries only the protocol.
pub async fn serve_stdio(config: &Config, clock: SharedClock) -> Result<(), StartError> {
    match &config.transport {
        Transport::Http | Transport::SingleUser { .. } => Ok(()),
        Transport::Remote { url, api_key } => Ok(bridge::run(url, api_key, &config.tools).await?),
        Transport::OwnAccount(account) => serve_account(config, account, clock).await,
    }
}

fn wishes(tools: &ChosenTools) -> Wishes {
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
    Wishes {
        toolsets: list(&tools.toolsets),
        tools: list(&tools.tools),
        excluded: list(&tools.excluded),
        read_only: tools.read_only,
        outputs: false,
        two_steps: tools.two_steps,
    }
}

/// Runs the same engine as the HTTP server, over a temporary database.
async fn serve_account(config: &Config, account: &OwnAccount, clock: SharedClock) -> Result<(), StartError> {
    let (config, _directory) = own_account::without_database(config)?;
    let engine = Engine::start(&config, clock.clone(), 0, &StartProgress::default()).await?;
    let caller = own_account::adopt(&engine, account, &clock).await?;
    let choice = engine.toolbox.choose(&caller, &wishes(&config.tools))?;
    let server = Server::of(engine.toolbox.clone(), caller, choice);
    let (output, writer) = Output::start();
    let (input, answers, reader) = front::checked(BufReader::new(stdin()), output);
    match server.serve((input, answers)).await {
        Ok(running) => {
            if let Err(error) = running.waiting().await {
                log::error!("the client's connection failed: {error}");
            }
        }
        // The client disconnected before it sent a message.
        Err(error) => log::info!("the client disconnected before its first message: {error}"),
    }
    // The engine has ended, so further input gets no answer.
    reader.abort();
    if let Ok(Err(error)) = writer.await {
        log::debug!("cannot write to the client: {error}");
    }
    let until = clock.now() + TimeDelta::seconds(i64::from(config.server.shutdown_seconds));
    if let Either::Right(_) = select(Box::pin(engine.sessions.drain()), clock.sleep_until(until)).await {
        log::warn!("some calls to OwnerRez were still running at the shutdown timeout");
    }
    engine.sessions.write_down().await;
    engine.sessions.stop().await;
    engine.store.close().await?;
    Ok(())
}
