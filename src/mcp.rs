//! The MCP server: the request handlers that rmcp calls, independent of the transport.

mod call_observer;
mod elicitation;
mod message;
mod params;
mod revision;
mod server;
mod tool_result;
mod unknown_method;

pub use self::{
    call_observer::CallObserver,
    message::{Incoming, Malformed, Message},
    revision::Revision,
    server::Server,
    unknown_method::reword_unknown_method,
};
