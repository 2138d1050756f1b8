//! A user registers, connects an account in the browser, calls a tool, disconnects.

use serde_json::json;

use crate::world::{Gateway, on_each_database};

#[actix_web::test]
async fn from_registration_to_an_answer() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;

        let me = alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(alice.account.unwrap().0));

        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!(status.body["connected"], json!(true));
        assert_eq!(status.body["ownerrez_user_id"], json!(alice.account.unwrap().0));
        gateway.stop().await;
    })
    .await;
}
