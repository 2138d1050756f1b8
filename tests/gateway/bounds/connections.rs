//! Connections: limited per source, and closed if a client does not read its responses.

use std::time::Duration;

use serde_json::{Value, json};

use super::{hasty, wait};
use crate::world::{Gateway, Settings, Wire, eventually, on_each_database, rpc};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

fn three_each() -> Settings {
    Settings::default().tune(|config| config.server.max_connections_per_source = 3)
}

/// Returns the status of a request on a connection, `None` if it was closed without one.
async fn status(wire: &mut Wire) -> Option<u16> {
    wire.write(HEALTH).await;
    let said = tokio::time::timeout(Duration::from_secs(10), wire.until_closed_or_answered()).await.unwrap();
    said.split(' ').nth(1).and_then(|status| status.parse().ok())
}

#[actix_web::test]
async fn one_source_holds_a_bounded_number_of_connections() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, three_each()).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut wire = Wire::open_from("127.0.0.2", &gateway.url).await;
            assert_eq!(status(&mut wire).await, Some(200));
            held.push(wire);
        }
        for _ in 0..20 {
            let said = Wire::open_from("127.0.0.2", &gateway.url).await.until_closed().await;
            assert!(said.starts_with("HTTP/1.1 503 ") || said.is_empty(), "{said}");
        }
        for other in ["127.0.0.3", "127.0.0.4"] {
            assert_eq!(status(&mut Wire::open_from(other, &gateway.url).await).await, Some(200), "{other}");
        }
        for wire in &mut held {
            assert_eq!(status(wire).await, Some(200), "those that were taken stay");
        }
        held.pop();
        eventually("a place is free again", async || {
            let mut wire = Wire::open_from("127.0.0.2", &gateway.url).await;
            let said = tokio::time::timeout(Duration::from_millis(100), wire.until_closed()).await;
            said.is_err().then_some(())
        })
        .await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_trusted_proxy_is_exempt_from_the_bound() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, three_each().set("TRUSTED_PROXIES", "127.0.0.2")).await;
        let mut held = Vec::new();
        for _ in 0..20 {
            let mut wire = Wire::open_from("127.0.0.2", &gateway.url).await;
            assert_eq!(status(&mut wire).await, Some(200));
            held.push(wire);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_takes_no_answers_loses_its_connection() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let ada = gateway.connected_user("Ada").await;
        // Several megabytes, more than the operating system buffers for a client that does not read.
        let batch = Value::from(vec![rpc(1, "tools/list", json!({})); 20]);
        let ask = Wire::mcp(&ada, &batch).replacen("/mcp", "/mcp?toolsets=all&output_schemas=true", 1);
        let ask = ask.replace("2025-06-18", "2025-03-26");
        let mut reader = Wire::open(&gateway.url).await;
        reader.write(&ask).await;
        let whole = reader.read().await.body.to_string().len();
        let mut wire = Wire::open(&gateway.url).await;
        wire.write(&ask.repeat(10)).await;
        wait(Duration::from_secs(4)).await;
        let got = wire.until_closed().await.len();
        assert!(got < 10 * whole, "{got} of {} bytes", 10 * whole);
        gateway.stop().await;
    })
    .await;
}
