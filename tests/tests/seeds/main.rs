//! The five documents as plans: the tables of `tests/seeds` are true, each plan is green in a short form, and red for
//! the fault that its document fears.

mod certctl;
mod chat;
mod ebit;
mod sentry;
mod short;
mod table;
mod veza;
