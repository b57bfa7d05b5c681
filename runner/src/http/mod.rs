//! The data plane: connections, TLS, cookies and where a request may go.
//!
//! One connection belongs to one virtual user. An HTTP/1 connection is driven by whoever awaits its
//! response, so a request costs no switch between tasks.

pub(crate) mod connection;
pub(crate) mod cookies;
pub(crate) mod error;
pub(crate) mod origin;
pub(crate) mod payload;
pub(crate) mod raw;
pub(crate) mod tls;
pub(crate) mod websocket;
