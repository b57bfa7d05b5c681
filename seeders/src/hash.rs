//! The hash behind every draw. It is planc's, which counts rows and finds those that repeat before any is made.

pub use planc::draw::{TEMPLATE_DRAWS, below, column_key, draw, mix, push_hex, uuid, uuid_v7};
