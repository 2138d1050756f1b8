//! The HTTP endpoints of the authorization server: metadata, the pages of sign-in and account, the token endpoint,
//! registration, revocation.

mod account;
mod authorize;
mod error_pages;
mod metadata;
mod operator_contact;
mod paths;
mod redirects;
mod responses;
mod review;
mod routes;
mod sign_in;
mod sign_in_browser;
mod sign_in_failure;
mod token;
mod transfer_key;

pub(super) use self::{
    paths::{PAGES, RESOURCE_METADATA_PATH, allows_any_origin},
    routes::routes,
    sign_in::finish_callback,
};
