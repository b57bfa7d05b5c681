//! Prometheus remote write 1.0: a protobuf message, compressed with Snappy's block format.
//!
//! `WriteRequest { 1: TimeSeries… }`, `TimeSeries { 1: Label…, 2: Sample… }`, `Label { 1: name, 2: value }`,
//! `Sample { 1: double value, 2: int64 timestamp }`: four messages, written by hand.

use super::Point;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const DOUBLE: u8 = 1;
const BYTES: u8 = 2;

/// All points at one moment, milliseconds since 1970.
pub(super) fn write_request(points: &[Point], at_ms: i64) -> Result<Vec<u8>, String> {
    let (mut request, mut series, mut part) = (Vec::new(), Vec::new(), Vec::new());
    for point in points {
        series.clear();
        for (name, value) in &point.labels {
            part.clear();
            field(&mut part, 1, name.as_bytes());
            field(&mut part, 2, value.as_bytes());
            field(&mut series, 1, &part);
        }
        part.clear();
        part.push(1 << 3 | DOUBLE);
        part.extend(point.value.to_le_bytes());
        part.push(2 << 3 | VARINT);
        varint(&mut part, at_ms as u64);
        field(&mut series, 2, &part);
        field(&mut request, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&request).map_err(|error| format!("cannot compress: {error}"))
}

fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | BYTES);
    varint(to, bytes.len() as u64);
    to.extend(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
