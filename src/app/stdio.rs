//! Serves one client over standard input and output: with a single account, or as a bridge to a gateway.

mod bridge;
mod input_check;
mod lines;

use chrono::TimeDelta;
use futures_util::future::{Either, select};
use rmcp::ServiceExt;
use tokio::io::{BufReader, stdin};

use self::lines::Output;

use super::{
    services::Services,
    single_account::{register_single_user, with_temporary_database},
    start_error::StartError,
};
use crate::{
    config::{Config, SingleAccount, ToolSettings, Transport},
    domain::SharedClock,
    http::StartProgress,
    mcp::Server,
    tools::ToolSelectionRequest,
};

/// Serves until the client closes standard input. Standard output carries only the protocol.
pub async fn serve_stdio(config: &Config, clock: SharedClock) -> Result<(), StartError> {
    match &config.transport {
        Transport::Http | Transport::SingleUser { .. } => Ok(()),
        Transport::Remote { url, api_key } => Ok(bridge::run(url, api_key, &config.tools).await?),
        Transport::Stdio(account) => serve_account(config, account, clock).await,
    }
}

fn requested_tools(tools: &ToolSettings) -> ToolSelectionRequest {
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
    ToolSelectionRequest {
        toolsets: list(&tools.toolsets),
        tools: list(&tools.tools),
        excluded: list(&tools.excluded),
        read_only: tools.read_only,
        outputs: false,
        two_steps: tools.two_steps,
    }
}

/// Runs the same services as the HTTP server, over a temporary database.
async fn serve_account(config: &Config, account: &SingleAccount, clock: SharedClock) -> Result<(), StartError> {
    let (config, _directory) = with_temporary_database(config)?;
    let services = Services::start(&config, clock.clone(), 0, &StartProgress::default()).await?;
    let caller = register_single_user(&services, account, &clock).await?;
    let selection = services.toolbox.select_tools(&caller, &requested_tools(&config.tools))?;
    let server = Server::for_caller(services.toolbox.clone(), caller, selection);
    let (output, writer) = Output::start();
    let (input, answers, reader) = input_check::check_lines(BufReader::new(stdin()), output);
    match server.serve((input, answers)).await {
        Ok(running) => {
            if let Err(error) = running.waiting().await {
                log::error!("the client's connection failed: {error}");
            }
        }
        // The client disconnected before it sent a message.
        Err(error) => log::info!("the client disconnected before its first message: {error}"),
    }
    // The MCP server has ended, so further input gets no answer.
    reader.abort();
    if let Ok(Err(error)) = writer.await {
        log::debug!("cannot write to the client: {error}");
    }
    let until = clock.now() + TimeDelta::seconds(i64::from(config.server.shutdown_seconds));
    if let Either::Right(_) = select(Box::pin(services.sessions.drain()), clock.sleep_until(until)).await {
        log::warn!("some calls to OwnerRez were still running at the shutdown timeout");
    }
    services.sessions.flush_usage().await;
    services.sessions.stop().await;
    services.store.close().await?;
    Ok(())
}
