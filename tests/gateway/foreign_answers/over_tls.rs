//! The same over TLS, where the guard is above the encryption. No setting adds certificate authorities to the public
//! ones, so this test uses the OwnerRez client directly.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use ownerrez_gateway::{
    app::SystemClock,
    domain::{Clock, Method, TokenKind, TokenSet, UpstreamRequest},
    metrics::Metrics,
    simulator::{Simulator, SimulatorOptions},
    upstream::{ClientCredentials, TransportError, Upstream, UpstreamSettings},
};
use serde_json::json;

use super::{WHOLE, take_turns};
use crate::world::{RawHttpProxy, ResponseFraming};

#[actix_web::test]
async fn over_tls_no_answer_is_foreign_and_http_2_is_not_offered() {
    let clock = Arc::new(SystemClock::new());
    let simulator = Simulator::start(SimulatorOptions::new(clock.clone())).await.unwrap();
    simulator.controls().change(|switches| switches.request_limit = 10_000);
    let proxy = RawHttpProxy::start_over_tls().await;
    proxy.forward_to(&simulator.url());
    let client = ClientCredentials { id: "c_sandbox".to_owned(), secret: "s_sandbox".into() };
    let settings = |tls| UpstreamSettings {
        api_url: proxy.url().parse().unwrap(),
        client: Some(client.clone()),
        redirect_uri: None,
        connect_timeout: Duration::from_secs(10),
        answer_timeout: TimeDelta::seconds(20),
        answer_limit: 1 << 20,
        tls,
    };
    let upstream = Upstream::new(Arc::new(settings(proxy.trust())), clock.clone(), Arc::new(Metrics::new()));
    let me = UpstreamRequest {
        operation: "get_current_user".into(),
        method: Method::Get,
        path_and_query: "/v2/users/me".to_owned(),
        body: None,
        max_age: None,
    };
    let accounts: Vec<_> = ["Ada", "Bea", "Cleo"].map(|name| simulator.controls().add_account(name).id).into();
    let tokens = accounts.iter().map(|account| {
        let reply = simulator.controls().grant(*account);
        let text = |name: &str| reply[name].as_str().unwrap().into();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        TokenSet { kind: TokenKind::Bearer, access, refresh: Some(refresh), obtained_at: clock.now(), expires_at: None }
    });
    let tokens: Vec<_> = tokens.collect();

    take_turns(&proxy, &WHOLE);
    for round in 0..40 {
        for (account, tokens) in accounts.iter().zip(&tokens) {
            let reply = upstream.send(tokens, &me).await.unwrap();
            assert_eq!((reply.status, &reply.body.value()["id"]), (200, &json!(account.0)), "round {round}");
            if round % 10 == 0 {
                let issued = upstream.refresh(tokens.refresh.as_ref().unwrap()).await.unwrap();
                assert_eq!(issued.into_grant().account, Some(*account));
            }
        }
    }
    for form in [
        ResponseFraming::CutLength,
        ResponseFraming::CutChunks,
        ResponseFraming::Interim(101),
        ResponseFraming::EndlessHead,
    ] {
        proxy.answer_in(move |_| form);
        let outcome = upstream.send(&tokens[0], &me).await;
        assert_eq!(outcome.map(|reply| reply.status), Err(TransportError::Broken), "{form:?}");
    }
    assert!(proxy.protocols().iter().all(|agreed| agreed.as_deref() == Some(b"http/1.1")));
    assert!(proxy.protocols().len() >= 136, "{}", proxy.protocols().len());

    // An unknown certificate authority: nothing was sent.
    let public = settings(ownerrez_gateway::outgoing::TlsTrust::public());
    let distrustful = Upstream::new(Arc::new(public), clock, Arc::new(Metrics::new()));
    let outcome = distrustful.send(&tokens[0], &me).await;
    assert_eq!(outcome.map(|reply| reply.status), Err(TransportError::Unreachable));
    simulator.stop(true).await;
}
