//! Request bodies: bytes, or chunks over and over, so that `zeros: 1GiB` costs no memory, and many users one file.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    now: Piece,
    /// What follows, none of it empty, and where in it the next is.
    rest: Option<(Arc<[Piece]>, usize)>,
}

/// So many bytes, a chunk over and over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Piece {
    chunk: Bytes,
    left: u64,
}

impl Piece {
    /// These bytes.
    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Piece { left: bytes.len() as u64, chunk: bytes }
    }

    /// `length` bytes, `chunk` over and over.
    pub(crate) fn repeated(chunk: Bytes, length: u64) -> Self {
        Piece { left: if chunk.is_empty() { 0 } else { length }, chunk }
    }
}

impl From<Piece> for Payload {
    fn from(piece: Piece) -> Self {
        Payload { now: piece, rest: None }
    }
}

impl Payload {
    /// These bytes.
    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Piece::bytes(bytes).into()
    }

    /// One piece after the other.
    pub(crate) fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| piece.left > 0);
        let now = pieces.next().unwrap_or_default();
        let rest: Arc<[Piece]> = pieces.collect();
        Payload { now, rest: (!rest.is_empty()).then_some((rest, 0)) }
    }

    /// Bytes that are left of it.
    pub(crate) fn length(&self) -> u64 {
        let rest = self.rest.iter().flat_map(|(rest, at)| &rest[*at..]);
        self.now.left + rest.map(|piece| piece.left).sum::<u64>()
    }

    /// Appends what is left of it.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let rest = self.rest.iter().flat_map(|(rest, at)| &rest[*at..]);
        for piece in std::iter::once(&self.now).chain(rest) {
            let mut left = piece.left as usize;
            while left > 0 {
                let length = piece.chunk.len().min(left);
                out.extend_from_slice(&piece.chunk[..length]);
                left -= length;
            }
        }
    }

    /// Takes up the next piece when this one is at its end.
    fn turn(&mut self) {
        if self.now.left == 0
            && let Some((rest, at)) = &mut self.rest
        {
            self.now = rest[*at].clone();
            *at += 1;
            if *at == rest.len() {
                self.rest = None;
            }
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.turn();
        if self.now.left == 0 {
            return Poll::Ready(None);
        }
        let length = (self.now.chunk.len() as u64).min(self.now.left) as usize;
        self.now.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.now.chunk.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.now.left == 0 && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn all(payload: Payload) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let collected = runtime.block_on(payload.collect());
        match collected {
            Ok(body) => body.to_bytes().to_vec(),
            Err(never) => match never {},
        }
    }

    #[test]
    fn pieces_follow_each_other_and_none_is_lost() {
        let repeated =
            |text: &'static str, length| Piece::repeated(Bytes::from_static(text.as_bytes()), length);
        for (pieces, expected) in [
            (vec![], ""),
            (vec![repeated("", 5)], ""),
            (vec![repeated("ab", 5)], "ababa"),
            (vec![repeated("ab", 0), repeated("x", 2), repeated("", 3), repeated("yz", 3)], "xxyzy"),
            (vec![repeated("head", 4), repeated("0", 3), repeated("tail", 4)], "head000tail"),
        ] {
            let payload = Payload::pieces(pieces);
            assert_eq!(payload.size_hint().exact(), Some(expected.len() as u64), "{expected}");
            assert_eq!(payload.is_end_stream(), expected.is_empty(), "{expected}");
            let mut appended = b"> ".to_vec();
            payload.append_to(&mut appended);
            assert_eq!(appended, format!("> {expected}").into_bytes());
            assert_eq!(all(payload.clone()), expected.as_bytes());
            assert_eq!(all(payload), expected.as_bytes(), "a clone begins anew");
        }
    }

    #[test]
    fn what_is_left_is_told_while_it_is_sent() {
        let mut payload = Payload::pieces([
            Piece::bytes(Bytes::from_static(b"ab")),
            Piece::repeated(Bytes::from_static(b"0"), 2),
        ]);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for left in [2, 1, 0] {
            assert!(Pin::new(&mut payload).poll_frame(&mut cx).is_ready());
            assert_eq!((payload.size_hint().exact(), payload.is_end_stream()), (Some(left), left == 0));
        }
    }
}
