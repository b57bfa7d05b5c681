//! The data plane: connections, TLS, cookies and where a request may go.
//!
//! One connection belongs to one virtual user. HTTP/1.1 is spoken by ourselves and driven by whoever awaits its
//! answer, so a request costs no switch between tasks; HTTP/2 is hyper's.

pub(crate) mod connection;
pub(crate) mod cookies;
pub(crate) mod error;
pub(crate) mod h1;
pub(crate) mod origin;
pub(crate) mod payload;
pub(crate) mod raw;
pub(crate) mod tls;
pub(crate) mod websocket;
