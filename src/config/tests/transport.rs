//! HTTP for many users or one, stdio, and the tools of its one client.

use super::*;

#[test]
fn the_tools_of_one_client_are_set_for_stdio_only_and_by_their_exact_names() {
    let stdio = [("TRANSPORT_MODE", "stdio"), ("OWNERREZ_ACCESS_TOKEN", "at_invented")];
    for (name, value) in [
        ("MCP_TOOLSETS", "guests"),
        ("MCP_TOOLS", "list_guests"),
        ("MCP_EXCLUDE_TOOLS", "delete_guest"),
        ("MCP_READ_ONLY", "true"),
        ("MCP_TWO_STEPS", "true"),
    ] {
        refused(&[(name, value)], name);
        good(&[&stdio[..], &[(name, value)]].concat());
    }
    good(&[("MCP_READ_ONLY", "false"), ("MCP_TWO_STEPS", "false"), ("MCP_TOOLS", "")]);
    refused(&[&stdio[..], &[("MCP_READONLY", "true")]].concat(), "MCP_READONLY");
    let set = |more: &[(&str, &str)]| good(&[&stdio[..], more].concat()).tools.two_steps;
    assert_eq!((set(&[("MCP_TWO_STEPS", "false")]), set(&[])), (Some(false), None));
}

#[test]
fn stdio_serves_one_account_or_a_gateway_and_not_both() {
    const KEY: &str = "ownerrez_sk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123";
    let told = |variables: &[(&str, &str)]| {
        let stdio = [&[("TRANSPORT_MODE", "stdio")], variables].concat();
        load_file("", &stdio).map(|config| config.transport)
    };
    let bearer = told(&[("OWNERREZ_ACCESS_TOKEN", "at_1")]);
    assert!(matches!(bearer, Ok(Transport::Stdio(SingleAccount::Bearer(_)))));
    let basic = told(&[("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")]);
    assert!(matches!(basic, Ok(Transport::Stdio(SingleAccount::Basic { .. }))));
    let remote = told(&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080"), ("OWNERREZ_API_KEY", KEY)]);
    assert!(matches!(remote, Ok(Transport::Remote { .. })));
    for (variables, named) in [
        (&[][..], "OWNERREZ_ACCESS_TOKEN"),
        (&[("OWNERREZ_USERNAME", "a@b.example")], "OWNERREZ_TOKEN"),
        (&[("OWNERREZ_TOKEN", "pt_1")], "OWNERREZ_USERNAME"),
        (&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080")], "OWNERREZ_API_KEY"),
        (&[("OWNERREZ_API_KEY", KEY)], "OWNERREZ_GATEWAY_URL"),
        (&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080"), ("OWNERREZ_API_KEY", "secret")], "OWNERREZ_API_KEY"),
        (&[("OWNERREZ_ACCESS_TOKEN", "at_1\nx")], "OWNERREZ_ACCESS_TOKEN"),
        (
            &[("OWNERREZ_ACCESS_TOKEN", "at_1"), ("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")],
            "several accounts",
        ),
    ] {
        let shown = told(variables).expect_err("a mistake").to_string();
        assert!(shown.contains(named), "{variables:?}: {shown}");
        assert!(!shown.contains("at_1") && !shown.contains("pt_1") && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn one_person_without_a_key_is_served_on_loopback_only() {
    let told = |variables: &[(&str, &str)]| {
        let alone = [&[("SINGLE_USER", "true")], variables].concat();
        load_file("", &alone).map(|config| config.transport)
    };
    let account = ("OWNERREZ_ACCESS_TOKEN", "at_1");
    assert!(matches!(told(&[account]), Ok(Transport::SingleUser { account: SingleAccount::Bearer(_), token: None })));
    let token = ("SINGLE_USER_TOKEN", "0123456789abcdef");
    assert!(matches!(told(&[account, token]), Ok(Transport::SingleUser { token: Some(_), .. })));
    let basic = told(&[("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")]);
    assert!(matches!(basic, Ok(Transport::SingleUser { account: SingleAccount::Basic { .. }, token: None })));
    let given = told(&[account, ("SINGLE_USER", "false")]);
    assert!(matches!(given, Ok(Transport::Http)), "an account alone opens nothing");
    for variables in [
        &[][..],
        &[("OWNERREZ_USERNAME", "a@b.example")],
        &[account, ("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")],
        &[account, ("TRANSPORT_MODE", "stdio")],
        &[account, ("SINGLE_USER_TOKEN", "too short")],
        &[account, token, ("SINGLE_USER", "false")],
        &[account, ("BIND", "0.0.0.0"), ("SERVER_URL", "https://gateway.example")],
    ] {
        let shown = told(variables).expect_err("a mistake").to_string();
        assert!(shown.contains("SINGLE_USER"), "{variables:?}: {shown}");
    }
}
