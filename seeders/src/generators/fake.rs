//! Words of everyday life. The lists are the crate `fake`'s, the draws are ours: what it would draw hangs on its version.
//!
//! Nothing leads out of the test: hosts end in `example.test` (RFC 6761), addresses are private (RFC 1918, RFC 4193),
//! telephone numbers are of the range kept for fiction.

use super::Cell;
use crate::hash;
use fake::locales::{Data, EN};
use planc::graph::{Fake, Json};

/// Under which all hosts are.
const DOMAIN: &str = "example.test";

/// The value of row `n`; `numbered` puts the row's number in, so that no two rows have the same.
pub(super) fn value(kind: Fake, numbered: bool, key: u64, n: u64) -> Result<Cell, String> {
    let most = kind.most();
    if numbered && most.is_none_or(|most| n > most) {
        return Err("no more values can be told apart".into());
    }
    let draws = Draws { key, n };
    Ok(Cell::Json(Json::String(draws.text(kind, numbered))))
}

/// The draws of one row, by index.
struct Draws {
    key: u64,
    n: u64,
}

impl Draws {
    fn below(&self, index: u64, span: u64) -> u64 {
        hash::below(hash::draw(self.key, self.n, index), u128::from(span)) as u64
    }

    fn of(&self, index: u64, words: &'static [&'static str]) -> &'static str {
        words.get(self.below(index, words.len() as u64) as usize).copied().unwrap_or_default()
    }

    fn first(&self) -> &'static str {
        self.of(0, EN::NAME_FIRST_NAME)
    }

    fn last(&self, index: u64) -> &'static str {
        self.of(index, EN::NAME_LAST_NAME)
    }

    /// The row's number, or one that is drawn.
    fn number(&self, numbered: bool, index: u64, span: u64) -> u64 {
        if numbered { self.n } else { self.below(index, span) }
    }

    fn text(&self, kind: Fake, numbered: bool) -> String {
        match kind {
            Fake::Name => format!("{} {}", self.first(), self.last(1)),
            Fake::FirstName => self.first().into(),
            Fake::LastName => self.last(1).into(),
            Fake::Username => self.username(numbered),
            Fake::Email => format!("{}@{DOMAIN}", self.username(numbered)),
            Fake::Host => {
                format!("{}-{}.{DOMAIN}", lower(self.last(1)), self.number(numbered, 2, 100))
            }
            Fake::Domain if numbered => format!("{}{}.{DOMAIN}", lower(self.last(1)), self.n),
            Fake::Domain => format!("{}-{}.{DOMAIN}", lower(self.last(1)), lower(self.last(2))),
            Fake::Company => self.company(numbered),
            Fake::City => match self.below(0, 2) {
                0 => format!("{}{}", self.last(1), self.of(2, EN::ADDRESS_CITY_SUFFIX)),
                _ => {
                    let (prefix, suffix) =
                        (self.of(2, EN::ADDRESS_CITY_PREFIX), self.of(3, EN::ADDRESS_CITY_SUFFIX));
                    format!("{prefix} {}{suffix}", self.last(1))
                }
            },
            Fake::Country => self.of(0, EN::ADDRESS_COUNTRY).into(),
            Fake::Street => {
                let number = if numbered { self.n } else { self.below(2, 999) + 1 };
                format!("{number} {} {}", self.last(1), self.of(3, EN::ADDRESS_STREET_SUFFIX))
            }
            Fake::Phone => {
                let line = self.number(numbered, 0, 80_000) % 80_000;
                format!("+1-{}-555-01{:02}", 200 + line / 100, line % 100)
            }
            Fake::Ipv4 => {
                let [_, a, b, c] = (self.number(numbered, 0, 1 << 24) as u32).to_be_bytes();
                format!("10.{a}.{b}.{c}")
            }
            Fake::Ipv6 => {
                // The network is one for the column: its 40 bits hang on the key alone.
                let network = hash::draw(self.key, 0, 0) >> 24;
                let host = if numbered { self.n } else { hash::draw(self.key, self.n, 0) };
                let bits = (0xfd_u128 << 120) | (u128::from(network) << 80) | u128::from(host);
                std::net::Ipv6Addr::from(bits).to_string()
            }
            Fake::Mac => {
                let [_, _, _, a, b, c, d, e] = self.number(numbered, 0, 1 << 40).to_be_bytes();
                format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
            }
            Fake::UserAgent => self.of(0, EN::INTERNET_USER_AGENT).into(),
            Fake::Word => self.of(0, EN::LOREM_WORD).into(),
            Fake::Sentence => self.sentence(),
        }
    }

    fn username(&self, numbered: bool) -> String {
        format!("{}.{}{}", lower(self.first()), lower(self.last(1)), self.number(numbered, 2, 100))
    }

    fn company(&self, numbered: bool) -> String {
        let number = if numbered { format!(" {}", self.n) } else { String::new() };
        match self.below(0, 3) {
            0 => format!("{}{number} {}", self.last(1), self.of(2, EN::COMPANY_SUFFIX)),
            1 => format!("{}-{}{number}", self.last(1), self.last(2)),
            _ => format!("{}, {} and {}{number}", self.last(1), self.last(2), self.last(3)),
        }
    }

    fn sentence(&self) -> String {
        let count = 4 + self.below(0, 7);
        let words: Vec<&str> = (1..=count).map(|at| self.of(at, EN::LOREM_WORD)).collect();
        let text = words.join(" ");
        let mut letters = text.chars();
        let first = letters.next().map_or(String::new(), |letter| letter.to_uppercase().collect());
        format!("{first}{}.", letters.as_str())
    }
}

/// A name as a part of an address: letters and digits alone.
fn lower(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}
