//! Addresses of the gateway, and what is allowed only on loopback.

use super::*;

#[test]
fn loopback_permits_a_kept_key_and_a_missing_address() {
    for bind in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        let config = good(&[("BIND", bind)]);
        assert!(config.server.is_loopback_only(), "{bind}");
        assert!(matches!(config.encryption, EncryptionKey::KeyFile(_)), "{bind}");
    }
}

#[test]
fn the_privileges_of_loopback_hang_on_the_bind_address() {
    for bind in ["0.0.0.0", "::", "192.168.1.2", "::ffff:192.168.1.2"] {
        let faults = at_fault(load(&[("BIND", bind)]));
        assert!(matches!(&faults[..], [url, key] if url.contains("SERVER_URL") && key.contains("ENCRYPTION_KEY")));
        refused(&[("BIND", bind), ("SERVER_URL", "http://localhost:8080")], "ENCRYPTION_KEY");
    }
    let cheap = "[server]\nbind = \"0.0.0.0\"\nurl = \"http://localhost\"\n[keys]\nbcrypt_cost = 9\n";
    assert_eq!(at_fault(load_file(cheap, &[("ENCRYPTION_KEY", KEY)])), ["keys.bcrypt_cost"]);
    assert!(load_file("[keys]\nbcrypt_cost = 4\n", &[]).is_ok());
    good(&PUBLIC);
}

#[test]
fn the_server_url_is_https_or_loopback() {
    refused(&[("SERVER_URL", "http://gateway.example.com")], "SERVER_URL");
    refused(&[("SERVER_URL", "https://gateway.example.com/mcp")], "SERVER_URL");
    refused(&[("OWNERREZ_API_URL", "http://api.ownerrez.com")], "OWNERREZ_API_URL");
    refused(&[("OWNERREZ_APP_URL", "http://10.0.0.1")], "OWNERREZ_APP_URL");
    let config = good(&[("SERVER_URL", "http://localhost:9000/"), ("OWNERREZ_API_URL", "http://127.0.0.1:9001")]);
    assert_eq!(config.server.public_url(8080).as_str(), "http://localhost:9000/");
}

#[test]
fn the_public_address_follows_the_bound_one_unless_set() {
    for (bind, expected) in [("127.0.0.1", "http://127.0.0.1:4242/"), ("::1", "http://[::1]:4242/")] {
        let config = good(&[("BIND", bind), ("PORT", "0")]);
        assert_eq!(config.server.public_url(4242).as_str(), expected);
        assert_eq!(config.redirect_uri(4242).as_str(), format!("{expected}api/connect/ownerrez/callback"));
    }
    let config = good(&PUBLIC);
    assert_eq!(config.redirect_uri(8080).as_str(), "https://gateway.example.com/api/connect/ownerrez/callback");
}

#[test]
fn the_redirect_uri_leads_back_to_the_gateway() {
    const OURS: &str = "https://gateway.example.com/api/connect/ownerrez/callback";
    let config = good(&public(&[("OWNERREZ_REDIRECT_URI", OURS)]));
    assert_eq!(config.redirect_uri(8080).as_str(), OURS);
    for strange in [
        "https://gateway.example.com/callback",
        "https://other.example.com/api/connect/ownerrez/callback",
        "http://gateway.example.com/api/connect/ownerrez/callback",
        "/api/connect/ownerrez/callback",
    ] {
        refused(&public(&[("OWNERREZ_REDIRECT_URI", strange)]), "OWNERREZ_REDIRECT_URI");
    }
}

#[test]
fn the_redirect_uri_of_the_predecessor_is_set_aside() {
    for theirs in ["https://gateway.example.com/oauth/callback", "http://localhost:3000/oauth/callback"] {
        let config = good(&public(&[("OWNERREZ_REDIRECT_URI", theirs)]));
        assert_eq!(config.redirect_uri(8080).as_str(), "https://gateway.example.com/api/connect/ownerrez/callback");
        assert_eq!(config.ownerrez.unused_redirect_uri.as_ref().map(|url| url.as_str()), Some(theirs));
    }
}

#[test]
fn hosts_and_origins_have_safe_defaults() {
    let config = good(&PUBLIC);
    assert_eq!(config.server.hosts(), ["127.0.0.1", "[::1]", "gateway.example.com", "localhost"]);
    assert_eq!(config.server.origins(8080), ["https://gateway.example.com"]);
    let config = good(&public(&[
        ("ALLOWED_HOSTS", "a.example.com, B.example.com:81"),
        ("ALLOWED_ORIGINS", "https://t.example"),
    ]));
    assert_eq!(config.server.hosts(), ["a.example.com", "b.example.com:81"]);
    assert_eq!(config.server.origins(8080), ["https://gateway.example.com", "https://t.example"]);
    assert_eq!(good(&[]).server.origins(4242), ["http://127.0.0.1:4242"]);
    refused(&[("ALLOWED_HOSTS", "*")], "ALLOWED_HOSTS");
    refused(&[("ALLOWED_ORIGINS", "*")], "ALLOWED_ORIGINS");
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let config = good(&[("TRUSTED_PROXIES", "127.0.0.1, 172.16.0.0/12,fdaa::/16")]);
    assert_eq!(config.server.trusted_proxies.len(), 3);
    let from_file = load_file("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n", &[]).expect("good");
    assert_eq!(from_file.server.trusted_proxies.len(), 1);
    for entries in ["proxy", "10.0.0.0/8;10.1.0.0/16", "0.0.0.0/0", "127.0.0.1,::/0"] {
        refused(&[("TRUSTED_PROXIES", entries)], "TRUSTED_PROXIES");
    }
}

#[test]
fn a_contact_is_something_that_people_can_use() {
    for good in ["help@gateway.example", "+44 20 7946 0000", "https://gateway.example/help"] {
        assert_eq!(load(&[("OPERATOR_CONTACT", good)]).unwrap().server.contact.as_deref(), Some(good));
    }
    for bad in ["the office", "http://gateway.example", "https://user:word@gateway.example", "a@b\nc", "javascript:x@y"]
    {
        assert_eq!(
            at_fault(load(&[("OPERATOR_CONTACT", bad)])),
            ["OPERATOR_CONTACT (server.contact in a file)"],
            "{bad:?}"
        );
    }
}
#[test]
fn the_log_has_two_formats() {
    assert_eq!(good(&[("LOG_FORMAT", "json")]).log_format, LogFormat::Json);
    refused(&[("LOG_FORMAT", "xml")], "LOG_FORMAT");
}
