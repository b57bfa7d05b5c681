//! A receiver of Prometheus remote writes, which decodes what it is sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

/// What was pushed, with its authorization, in the order of its coming.
type Pushes = Arc<Mutex<Vec<(String, Vec<Sample>)>>>;

/// Labels and value of one sample.
pub type Sample = (BTreeMap<String, String>, f64);

/// Takes remote writes on a port of its own.
pub struct Receiver {
    /// `http://127.0.0.1:PORT/api/v1/write`.
    pub url: String,
    pushes: Pushes,
}

impl Receiver {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/api/v1/write", listener.local_addr().expect("an address"));
        let pushes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pushes);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let (mut head, mut length, mut line) = (String::new(), 0, String::new());
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().expect("a number");
                    }
                    head.push_str(&line);
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("the body");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push((head, decoded(&body)));
                let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                drop(reader.into_inner().write_all(answer.as_bytes()));
            }
        });
        Receiver { url, pushes }
    }

    /// All pushes so far.
    pub fn pushes(&self) -> Vec<Vec<Sample>> {
        self.kept().into_iter().map(|(_, samples)| samples).collect()
    }

    /// Their request lines and headers.
    pub fn heads(&self) -> Vec<String> {
        self.kept().into_iter().map(|(head, _)| head).collect()
    }

    fn kept(&self) -> Vec<(String, Vec<Sample>)> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `WriteRequest { 1: TimeSeries { 1: Label { 1: name, 2: value }, 2: Sample { 1: double, 2: int64 } } }`.
fn decoded(body: &[u8]) -> Vec<Sample> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
    let of = |message: &[u8], wanted: u64| -> Vec<Vec<u8>> {
        fields(message).into_iter().filter(|(number, _)| *number == wanted).map(|(_, bytes)| bytes).collect()
    };
    let text = |message: &[u8], number: u64| {
        String::from_utf8(of(message, number).remove(0)).expect("a text in UTF-8")
    };
    of(&plain, 1)
        .iter()
        .map(|series| {
            let labels = of(series, 1);
            let labels: BTreeMap<String, String> =
                labels.iter().map(|label| (text(label, 1), text(label, 2))).collect();
            let sample = of(series, 2).remove(0);
            let value = of(&sample, 1).remove(0);
            (labels, f64::from_le_bytes(value.try_into().expect("eight bytes")))
        })
        .collect()
}

/// A protobuf message as field numbers and payloads.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = bytes.split_first().expect("a varint has an end");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let payload = match key & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            wire => {
                let length = if wire == 1 { 8 } else { varint(&mut bytes) as usize };
                let (payload, rest) = bytes.split_at(length);
                bytes = rest;
                payload.to_vec()
            }
        };
        out.push((key >> 3, payload));
    }
    out
}
