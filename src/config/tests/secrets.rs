//! Keys, credentials and tokens of the operator.

use secrecy::ExposeSecret;

use super::*;

#[test]
fn postgres_needs_a_key_of_the_operators() {
    refused(&[("DATABASE_URL", "postgres://u:p@db/x")], "ENCRYPTION_KEY");
    good(&[("DATABASE_URL", "postgres://u:p@db/x"), ("ENCRYPTION_KEY", KEY)]);
}

#[test]
fn a_way_past_a_pooler_needs_a_server_to_lead_to() {
    const DIRECT: &str = "DATABASE_DIRECT_URL";
    let served = [("DATABASE_URL", "postgres://u:p@pooler/x"), ("ENCRYPTION_KEY", KEY)];
    let with = |direct| [served[0], served[1], (DIRECT, direct)];
    let config = good(&with("postgres://u:h1dden@server/x"));
    assert!(!format!("{config:?}").contains("h1dden"));
    assert!(matches!(&config.database, Database::Postgres { direct_url: Some(_), .. }));
    assert!(matches!(good(&served).database, Database::Postgres { direct_url: None, .. }));
    refused(&with("sqlite://x.db"), DIRECT);
    refused(&with("postgres://u:p@server:port/x"), DIRECT);
    refused(&[(DIRECT, "postgres://u:p@server/x")], DIRECT);
}

#[test]
fn a_bad_key_is_never_replaced_by_a_kept_one() {
    refused(&[("ENCRYPTION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")], "ENCRYPTION_KEY");
}

#[test]
fn half_of_the_client_credentials_is_a_mistake() {
    refused(&[("OWNERREZ_CLIENT_ID", "c_1")], "OWNERREZ_CLIENT_SECRET");
    refused(&[("OWNERREZ_CLIENT_SECRET", "s_1")], "OWNERREZ_CLIENT_ID");
}

#[test]
fn webhooks_have_a_user_and_a_password_worth_the_name() {
    const USER: &str = "OWNERREZ_WEBHOOK_USER";
    const PASSWORD: &str = "OWNERREZ_WEBHOOK_PASSWORD";
    let config = good(&[(USER, "ownerrez"), (PASSWORD, "0123456789abcdef")]);
    assert_eq!(config.ownerrez.webhook.as_ref().expect("given").expose_secret(), "ownerrez:0123456789abcdef");
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert!(good(&[]).ownerrez.webhook.is_none());
    refused(&[(USER, "ownerrez")], PASSWORD);
    refused(&[(PASSWORD, "0123456789abcdef")], USER);
    refused(&[(USER, "ownerrez"), (PASSWORD, "short")], PASSWORD);
    refused(&[(USER, "owner:rez"), (PASSWORD, "0123456789abcdef")], USER);
}

#[test]
fn metrics_have_an_address_or_a_token_worth_the_name() {
    let config = good(&[("METRICS_BIND", "[::1]:9090"), ("METRICS_TOKEN", "0123456789abcdef")]);
    assert_eq!(config.metrics.bind.map(|bind| bind.to_string()).as_deref(), Some("[::1]:9090"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    for bind in ["9090", "127.0.0.1", "localhost:9090"] {
        refused(&[("METRICS_BIND", bind)], "METRICS_BIND");
    }
    for token in ["short", "with a space in it, but long", "ümläutümläutümläut"] {
        refused(&[("METRICS_TOKEN", token)], "METRICS_TOKEN");
    }
}

#[test]
fn registration_by_token_needs_one_that_nobody_guesses() {
    let mode = |variables: &[(&str, &str)]| good(variables).registration.mode;
    const TOKEN: &str = "0123456789abcdef";
    assert!(matches!(mode(&[("REGISTRATION_MODE", "closed")]), RegistrationMode::Closed));
    assert!(matches!(mode(&[("REGISTRATION_MODE", "open"), ("REGISTRATION_TOKEN", TOKEN)]), RegistrationMode::Open));
    let by_token = good(&[("REGISTRATION_MODE", "token"), ("REGISTRATION_TOKEN", TOKEN)]);
    let RegistrationMode::Token(token) = &by_token.registration.mode else { panic!("{:?}", by_token.registration) };
    assert_eq!(token.expose_secret(), TOKEN);
    assert!(!format!("{by_token:?}").contains(TOKEN));

    refused(&[("REGISTRATION_MODE", "token")], "REGISTRATION_TOKEN");
    refused(&[("REGISTRATION_MODE", "token"), ("REGISTRATION_TOKEN", "short")], "REGISTRATION_TOKEN");
    refused(&[("REGISTRATION_MODE", "invite")], "REGISTRATION_MODE");
    // An operator who sets a token expects it to prevent open registration.
    refused(&[("REGISTRATION_TOKEN", TOKEN)], "REGISTRATION_TOKEN");
}
