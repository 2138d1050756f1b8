//! The authorization server's rules: who a client is. No type of the web server's is named here.

pub mod clients;
