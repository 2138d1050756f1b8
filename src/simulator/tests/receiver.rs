//! A receiver of webhooks that sends scripted responses and stores the requests.

use std::{
    collections::VecDeque,
    future,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::{StatusCode, header},
    rt, web,
};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

/// A received request.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) content_type: String,
    pub(super) body: Value,
}

/// A scripted response: a status, or none at all.
pub(super) type Ordered = Option<u16>;

pub(super) struct Receiver {
    pub(super) url: String,
    inbox: Arc<Inbox>,
}

struct Inbox {
    received: watch::Sender<Vec<Received>>,
    orders: Mutex<VecDeque<Ordered>>,
}

impl Receiver {
    /// Starts a receiver. It responds with 204 unless another response is scripted.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let inbox = Arc::new(Inbox { received: watch::Sender::new(Vec::new()), orders: Mutex::default() });
        let shared = inbox.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::from(shared.clone())).default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("a listener");
        rt::spawn(server.run());
        Receiver { url, inbox }
    }

    /// Scripts the response to the next request without one.
    pub(super) fn answer(&self, ordered: Ordered) {
        self.inbox.orders.lock().expect("no test panicked").push_back(ordered);
    }

    /// Returns the requests so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.inbox.received.borrow().clone()
    }

    /// Returns the bodies so far.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.received().into_iter().map(|received| received.body).collect()
    }

    /// Returns the members of this name in the bodies so far.
    pub(super) fn each(&self, member: &str) -> Vec<Value> {
        self.bodies().into_iter().map(|body| body[member].clone()).collect()
    }

    /// Completes once this many requests have arrived, answered or not.
    pub(super) async fn wait(&self, count: usize) {
        let mut received = self.inbox.received.subscribe();
        received.wait_for(|received| received.len() >= count).await.expect("the receiver is there");
    }
}

async fn receive(request: HttpRequest, body: Bytes, inbox: web::Data<Inbox>) -> HttpResponse {
    let header =
        |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let received = Received {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        authorization: header(header::AUTHORIZATION),
        content_type: header(header::CONTENT_TYPE),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let ordered = inbox.orders.lock().expect("no test panicked").pop_front().unwrap_or(Some(204));
    inbox.received.send_modify(|all| all.push(received));
    match ordered {
        Some(status) => HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish(),
        None => future::pending().await,
    }
}
