//! Large messages to `/mcp`: they are counted for their user before they are parsed.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{Gateway, Person, Reply, Settings, on_each_database, rpc};

async fn sends(person: &Person, bytes: usize) -> Reply {
    let arguments = json!({"search": "x".repeat(bytes)});
    person.mcp(&rpc(1, "tools/call", json!({"name": "list_guests", "arguments": arguments}))).await
}

#[actix_web::test]
async fn a_user_may_send_few_large_messages_in_a_minute() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.server.large_requests_per_minute = 2);
        let gateway = Gateway::start_with(database, settings).await;
        let (ada, bea) = (gateway.connected_user("Ada").await, gateway.connected_user("Bea").await);
        for _ in 0..2 {
            assert_eq!(sends(&ada, 20_000).await.status, 200);
        }
        gateway.advance(TimeDelta::seconds(20));
        let refused = sends(&ada, 20_000).await;
        assert_eq!((refused.status, refused.error()), (429, "too_many_large_requests"), "{}", refused.body);
        assert_eq!(refused.header("retry-after"), Some("40"));
        assert_eq!(sends(&ada, 1_000).await.status, 200, "small ones go on");
        assert_eq!(sends(&bea, 20_000).await.status, 200, "another user");
        let huge = sends(&bea, 200_000).await;
        assert_eq!((huge.status, huge.error()), (413, "body_too_large"));
        gateway.advance(TimeDelta::seconds(40));
        assert_eq!(sends(&ada, 20_000).await.status, 200);
        gateway.stop().await;
    })
    .await;
}
