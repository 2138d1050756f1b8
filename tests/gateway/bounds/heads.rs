//! Request heads: each has a deadline, also the second one on a connection.

use std::time::Duration;

use serde_json::json;

use super::{hasty, wait};
use crate::world::{Gateway, Wire, on_each_database, rpc};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const HALF: &str = "GET /health HTTP/1.1\r\nHost: 127";

#[actix_web::test]
async fn every_head_has_a_deadline() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let (mut first, mut second, mut dribbling) =
            (Wire::open(&gateway.url).await, Wire::open(&gateway.url).await, Wire::open(&gateway.url).await);
        first.write(HALF).await;
        for wire in [&mut second, &mut dribbling] {
            wire.write(HEALTH).await;
            assert_eq!(wire.read().await.status, 200);
        }
        second.write(HALF).await;
        let dribbles = async {
            // Single bytes do not extend the deadline.
            for byte in HALF.chars() {
                if !dribbling.writes(&byte.to_string()).await {
                    break;
                }
                wait(Duration::from_millis(100)).await;
            }
            dribbling.until_closed().await
        };
        let (first, second, dribbling) = futures_util::join!(first.until_closed(), second.until_closed(), dribbles);
        for said in [first, second, dribbling] {
            assert!(
                said.starts_with("HTTP/1.1 408 ") && said.contains("onnection: close") || said.is_empty(),
                "{said}"
            );
        }
        gateway.stop().await;
    })
    .await;
}

/// actix-http continues to read a chunked body after an early response without limit.
#[actix_web::test]
async fn a_body_that_goes_on_after_its_answer_has_a_deadline() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let mut wire = Wire::open(&gateway.url).await;
        wire.write("POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n")
            .await;
        assert_eq!(wire.read().await.status, 404);
        assert_eq!(wire.until_closed().await, "");
        gateway.stop().await;
    })
    .await;
}

/// A body that no handler reads: the connection stays open for the next request once the body is complete.
#[actix_web::test]
async fn a_chunked_body_that_was_not_read_does_not_end_the_connection() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let head = "POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "4\r\nmore\r\n0\r\n\r\n";
        for parts in [vec![format!("{head}{body}")], vec![head.to_owned(), body.to_owned()]] {
            let mut wire = Wire::open(&gateway.url).await;
            for part in &parts {
                wire.write(part).await;
                wait(Duration::from_millis(100)).await;
            }
            assert_eq!(wire.read().await.status, 404);
            wait(Duration::from_millis(1_500)).await;
            wire.write(HEALTH).await;
            assert_eq!(wire.read().await.status, 200, "{} parts", parts.len());
            // The next head has the same deadline.
            wire.write(HALF).await;
            assert!(wire.until_closed().await.starts_with("HTTP/1.1 408 "));
        }
        gateway.stop().await;
    })
    .await;
}

/// More bytes than one head may have, after a slow request.
#[actix_web::test]
async fn many_requests_behind_a_slow_one_are_all_answered() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let ada = gateway.connected_user("Ada").await;
        let held = gateway.ownerrez().hold_account("* /v2/*", ada.account.unwrap());
        let mut wire = Wire::open(&gateway.url).await;
        wire.write(&Wire::mcp(&ada, &rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})))).await;
        held.wait_arrived(1).await;
        let padded = HEALTH.replace("\r\n\r\n", &format!("\r\nX-Padding: {}\r\n\r\n", "x".repeat(1_000)));
        wire.write(&padded.repeat(200)).await;
        wait(Duration::from_millis(300)).await;
        held.release();
        for number in 0..=200 {
            assert_eq!(wire.read().await.status, 200, "number {number}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_connection_without_a_request_under_way_stays_open() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let ada = gateway.connected_user("Ada").await;
        let mut wire = Wire::open(&gateway.url).await;
        // The head and the body in two parts, and then nothing for longer than any deadline.
        let call = Wire::mcp(&ada, &rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})));
        let (head, body) = call.split_at(call.find("\r\n\r\n").unwrap() + 4);
        for _ in 0..2 {
            wire.write(head).await;
            wait(Duration::from_millis(50)).await;
            wire.write(body).await;
            assert_eq!(wire.read().await.status, 200);
            wait(Duration::from_millis(1_500)).await;
        }
        wire.write(&HEALTH.repeat(3)).await;
        for _ in 0..3 {
            assert_eq!(wire.read().await.status, 200);
        }
        gateway.stop().await;
    })
    .await;
}

/// The deadline applies to the client only: a call that takes long at OwnerRez is not aborted.
#[actix_web::test]
async fn a_slow_answer_is_no_fault_of_the_client() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let ada = gateway.connected_user("Ada").await;
        let held = gateway.ownerrez().hold_account("* /v2/*", ada.account.unwrap());
        let mut wire = Wire::open(&gateway.url).await;
        let call = Wire::mcp(&ada, &rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})));
        wire.write(&call).await;
        held.wait_arrived(1).await;
        // The next request waits behind it, complete.
        wire.write(HEALTH).await;
        wait(Duration::from_millis(1_500)).await;
        held.release();
        assert_eq!(wire.read().await.status, 200);
        assert_eq!(wire.read().await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_head_may_have_32_kib_and_a_body_behind_it_more() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let ada = gateway.connected_user("Ada").await;
        let mut large = Wire::open(&gateway.url).await;
        large.write(&format!("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: {}", "x".repeat(40_000))).await;
        let said = large.until_closed().await;
        assert!(said.starts_with("HTTP/1.1 431 ") || said.is_empty(), "{said}");

        let mut wire = Wire::open(&gateway.url).await;
        let arguments = json!({"search": "x".repeat(100_000)});
        let call = rpc(1, "tools/call", json!({"name": "list_guests", "arguments": arguments}));
        for _ in 0..2 {
            wire.write(&Wire::mcp(&ada, &call)).await;
            let reply = wire.read().await;
            assert_eq!((reply.status, reply.body["id"].as_u64()), (200, Some(1)), "{}", reply.body);
        }
        gateway.stop().await;
    })
    .await;
}
