//! Request bodies: bytes, or a chunk over and over, so that `zeros: 1GiB` costs no memory.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    chunk: Bytes,
    left: u64,
}

impl Payload {
    /// These bytes.
    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Payload { left: bytes.len() as u64, chunk: bytes }
    }

    /// `length` bytes, `chunk` over and over.
    pub(crate) fn repeated(chunk: Bytes, length: u64) -> Self {
        Payload { left: if chunk.is_empty() { 0 } else { length }, chunk }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = (self.chunk.len() as u64).min(self.left) as usize;
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
