//! The real gateway with a simulated outside network, in which one host publishes a client's metadata document. No
//! setting selects such a network, so tests/flows.sh needs this program. Takes a file with settings, then `URL=FILE`
//! for each document.

#[expect(dead_code, clippy::unwrap_used, reason = "it is the stories', who ask more of it and may fail anywhere")]
#[path = "../gateway/world/publisher.rs"]
mod publisher;
#[expect(dead_code, reason = "the stories use it")]
#[path = "../gateway/world/response_framing.rs"]
mod response_framing;

use std::{env, error::Error, fs, path::PathBuf, sync::Arc};

use ownerrez_gateway::{
    app::{App, SystemClock},
    config::{Config, Sources},
};
use publisher::{Published, Publisher};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let settings = arguments.next().map(PathBuf::from);
    let documents: Vec<String> = arguments.collect();
    let documents: Vec<(&str, &str)> = documents.iter().filter_map(|document| document.split_once('=')).collect();
    let hosts: Vec<String> =
        documents.iter().filter_map(|(url, _)| Some(Url::parse(url).ok()?.host_str()?.to_owned())).collect();
    let publisher = Publisher::start(&hosts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (url, file) in documents {
        publisher.publish(url, Published::text("application/json", &fs::read_to_string(file)?));
    }
    let config = Config::load(Sources::from_process(settings))?;
    let gateway = App::build_with_egress(&config, Arc::new(SystemClock::new()), publisher.egress()).await?;
    signal(SignalKind::terminate())?.recv().await;
    gateway.stop().await?;
    Ok(())
}
