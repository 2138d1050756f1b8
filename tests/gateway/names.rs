//! Names that users choose for their keys, where other users read them.

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, on_each_database};

/// Characters that must never be shown: they reverse or hide the text next to them.
const INVISIBLE: [char; 9] =
    ['\u{200b}', '\u{200f}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{2028}', '\u{feff}', '\u{61c}', '\u{e0041}'];

fn is_clean(text: &str) -> bool {
    !text.contains(INVISIBLE)
}

#[actix_web::test]
async fn names_of_keys_are_cleaned_when_they_are_stored_and_when_they_are_shown() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let evil = format!("lap{}top", INVISIBLE.iter().collect::<String>());
        let alice = gateway.user(&evil).await;
        let made = alice.post("/api/keys", &json!({"name": evil, "scope": "read"})).await;
        assert_eq!((made.status, &made.body["name"]), (201, &json!("lap top")), "{}", made.body);
        let nameless = alice.post("/api/keys", &json!({"name": "\u{202e}\u{200b}", "scope": "read"})).await;
        assert_eq!((nameless.status, &nameless.body["name"]), (201, &json!(null)));
        let stored = "SELECT count(*) FROM api_keys WHERE name = 'lap top'";
        assert_eq!(database.number(stored).await, 2);

        // As an older version stored it.
        database.execute(&format!("UPDATE api_keys SET name = '{evil}' WHERE name IS NOT NULL")).await;
        let listed = alice.get("/api/keys").await.body;
        assert_eq!(listed["keys"][0]["name"], json!("lap top"), "{listed}");

        let started = alice.get("/api/connect/ownerrez/start").await;
        let mut browser = Browser::new();
        let form = browser.open(started.body["authorization_url"].as_str().unwrap()).await;
        assert!(is_clean(&form.body) && form.body.contains("“<bdi>lap top</bdi>”"), "{}", form.body);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn names_stand_apart_where_people_decide_whom_to_end() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let mallory = gateway.connected_user("x, may read \u{202e}\u{2066}<b>").await;
        database.execute("UPDATE api_keys SET name = 'x\u{202e}, may read <b>'").await;
        let app = ClientApp::register(&gateway, "An \u{202e}App").await;
        let mut browser = Browser::new();
        let mut page = app.approved(&gateway, &mut browser, mallory.account.unwrap(), &[]).await;
        assert_eq!(page.status, 303, "{}", page.body);
        page = browser.open(&page.location()).await;
        assert!(is_clean(&page.body), "{}", page.body);
        for name in ["“<bdi>x, may read &lt;b&gt;</bdi>”", "Continue to “<bdi>An App</bdi>”"] {
            assert!(page.body.contains(name), "{name}: {}", page.body);
        }
        let landed = page.send_others(&mut browser, &gateway.url, &[]).await;
        Landing::of(&landed, &app.redirect_uri);
        gateway.stop().await;
    })
    .await;
}
