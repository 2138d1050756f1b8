//! Calls that are cancelled when their thread ends.

use actix_rt::Arbiter;
use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;

use super::{
    super::DatabaseTarget,
    harness::{at, on_each},
};

/// Sessions and handlers run on arbiters, and an arbiter that ends drops its futures outside of any runtime.
#[actix_web::test]
async fn a_thread_that_ends_in_the_middle_of_a_call_ends_quietly() {
    on_each(async |base| {
        base.until_in_use(0).await;
        let elsewhere = base.other_process().await;
        let blocking = elsewhere.begin().await.unwrap();
        if matches!(base.target, DatabaseTarget::Postgres { .. }) {
            blocking.execute_unprepared("LOCK TABLE oauth_states").await.unwrap();
        }
        let arbiter = Arbiter::new();
        let store = base.store.clone();
        let (tell, running) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let call = actix_rt::spawn(async move { drop(store.sweep_links(at(0)).await) });
            tell.send(call).unwrap();
        });
        let call = running.await.unwrap();
        base.until_in_use(1).await;
        arbiter.stop();
        assert!(call.await.unwrap_err().is_cancelled(), "nothing panicked");
        blocking.rollback().await.unwrap();
        // Its connection is not lost either.
        base.store.sweep_links(at(0)).await.unwrap();
        base.store.close().await.unwrap();
    })
    .await;
}
