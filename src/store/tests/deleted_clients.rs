//! Deleted OAuth clients, recorded until they would have expired.

use super::harness::{at, on_each};

#[actix_web::test]
async fn a_deleted_client_is_known_to_every_process_until_it_would_have_expired() {
    on_each(async |base| {
        let store = &base.store;
        store.mark_client_deleted("one", at(100)).await.unwrap();
        store.mark_client_deleted("one", at(100)).await.unwrap();
        store.mark_client_deleted("two", at(200)).await.unwrap();

        let elsewhere = base.other_process().await;
        assert!(elsewhere.is_client_deleted("one").await.unwrap());
        assert!(!elsewhere.is_client_deleted("three").await.unwrap());

        assert_eq!(store.sweep_deleted_clients(at(99)).await.unwrap(), 0);
        assert_eq!(store.sweep_deleted_clients(at(100)).await.unwrap(), 1);
        assert!(!elsewhere.is_client_deleted("one").await.unwrap());
        assert!(elsewhere.is_client_deleted("two").await.unwrap());
    })
    .await;
}
