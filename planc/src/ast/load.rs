//! Scenarios and what their virtual users do.

use super::{Expect, MetricRef, Quantity, Request, Text, Trace, Typed, Word};
use crate::executors::Executor;
use crate::expr::{Expr, Parsed};
use crate::graph::{self, JsonTemplate};
use crate::source::{Span, Spanned};
use crate::units::{self, PartsPerMillion, Rate, UnitError};
use std::time::Duration;

/// One entry of `scenarios:`.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) executor: Option<Spanned<&'static Executor>>,
    pub(crate) options: Vec<Setting>,
    pub(crate) start_time: Option<Typed<Duration>>,
    pub(crate) graceful_stop: Option<Typed<Duration>>,
    pub(crate) needs: Vec<Word>,
    pub(crate) smoke: Option<Typed<bool>>,
    pub(crate) draw: Vec<Draw>,
    pub(crate) connections: Option<Spanned<graph::Connections>>,
    pub(crate) pause_on_failure: Option<Typed<Duration>>,
    pub(crate) trace: Option<Trace>,
    pub(crate) setup: Vec<Step>,
    pub(crate) steps: Vec<Step>,
    pub(crate) tags: Vec<Tag>,
}

/// An executor's option.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) key: Spanned<&'static str>,
    pub(crate) value: SettingValue,
}

/// Value of an executor's option, by its kind.
#[derive(Debug, Clone)]
pub(crate) enum SettingValue {
    Count(Typed<u64>),
    Rate(Typed<Rate>),
    Duration(Typed<Duration>),
    UserStages(Vec<Stage<u64>>),
    RateStages(Vec<Stage<Rate>>),
}

impl SettingValue {
    /// The template that gives the value, when it is one.
    pub(crate) fn template(&self) -> Option<&Text> {
        match self {
            SettingValue::Count(Typed::Template(text))
            | SettingValue::Rate(Typed::Template(text))
            | SettingValue::Duration(Typed::Template(text)) => Some(text),
            _ => None,
        }
    }
}

/// One stage of a ramp.
#[derive(Debug, Clone)]
pub(crate) struct Stage<T> {
    pub(crate) target: Typed<T>,
    pub(crate) duration: Typed<Duration>,
    pub(crate) hold: Option<Hold>,
}

/// `hold_until:` of a stage.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) span: Span,
    pub(crate) stable: Vec<MetricRef>,
    pub(crate) window: Option<Typed<Duration>>,
    pub(crate) tolerance: Option<Typed<PartsPerMillion>>,
    /// By metric, as written.
    pub(crate) floors: Vec<(Word, Text)>,
    pub(crate) within: Option<Typed<Duration>>,
    /// A part could not be read, which was reported.
    pub(crate) broken: bool,
}

/// One entry of `draw:`.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub(crate) binding: Word,
    pub(crate) fixture: Word,
    pub(crate) order: Option<Spanned<graph::DrawOrder>>,
}

/// A tag and, when it is a template, the values it is declared to take.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) key: Word,
    pub(crate) value: Text,
    pub(crate) values: Vec<String>,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The key that says what kind it is.
    pub(crate) span: Span,
    pub(crate) name: Option<Typed<String>>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum StepKind {
    Http(Box<HttpStep>),
    Pause(Pause),
    Choose(Vec<Branch>),
    Repeat {
        count: Parsed<Expr>,
        binding: Option<Word>,
        steps: Vec<Step>,
    },
    Each {
        list: Parsed<Expr>,
        binding: Word,
        steps: Vec<Step>,
    },
    When {
        condition: Parsed<Expr>,
        steps: Vec<Step>,
    },
    Group {
        name: Typed<String>,
        steps: Vec<Step>,
    },
    WebSocket(Box<WebSocketStep>),
    Send(Message),
    Receive(Box<ReceiveStep>),
    Ping {
        within: Option<Typed<Duration>>,
    },
    Close {
        code: Option<Typed<u32>>,
        within: Option<Typed<Duration>>,
    },
    /// Reported already.
    Broken,
}

/// A WebSocket step.
#[derive(Debug, Clone)]
pub(crate) struct WebSocketStep {
    pub(crate) handshake: HttpStep,
    pub(crate) subprotocol: Option<Typed<String>>,
    pub(crate) steps: Vec<Step>,
}

/// What is sent over a WebSocket.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Json(Parsed<JsonTemplate>),
    Text(Text),
}

/// A message that is waited for.
#[derive(Debug, Clone)]
pub(crate) struct ReceiveStep {
    pub(crate) expect: Vec<Expect>,
    pub(crate) within: Option<Typed<Duration>>,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
}

/// What an HTTP step asks for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Direct(Request),
    /// An endpoint, and what the step adds to it (its `method` and `url` mean nothing).
    Call(Word, Request),
}

/// An HTTP step.
#[derive(Debug, Clone)]
pub(crate) struct HttpStep {
    pub(crate) asked: Asked,
    pub(crate) path_span: Option<Span>,
    pub(crate) path: Vec<(Word, Text)>,
    pub(crate) token: Option<Word>,
    pub(crate) cookies: Option<Typed<bool>>,
    pub(crate) expect: Vec<Expect>,
    /// Whether anything is said of the answer, sound or not.
    pub(crate) checked: bool,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
    pub(crate) record: Vec<Record>,
    pub(crate) on_failure: Option<Spanned<graph::OnFailure>>,
}

/// Samples added to one metric.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) metric: Word,
    pub(crate) when: Option<Parsed<Expr>>,
    pub(crate) value: Option<Parsed<Expr>>,
}

/// Think time.
#[derive(Debug, Clone)]
pub(crate) enum Pause {
    Fixed(Typed<Duration>),
    Uniform(Typed<Duration>, Typed<Duration>),
    Normal(Typed<Duration>, Typed<Duration>),
    Exponential(Typed<Duration>),
}

/// One branch of `choose`.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) weight: Typed<Weight>,
    pub(crate) steps: Vec<Step>,
}

/// A branch's weight, `3` or `60%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The number; hundredths of a percent for percentages.
    pub(crate) value: u32,
    pub(crate) percent: bool,
}

impl Quantity for Weight {
    const WHAT: &'static str = "a weight";
    fn read(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError {
            message: format!("`{text}` is not a weight"),
            suggestion: Some("60%".to_string()),
        };
        if text.trim().ends_with('%') {
            let share = units::parse_share(text).map_err(|_| wrong())?;
            return Ok(Weight { value: share.0 / 100, percent: true });
        }
        u32::read(text).map(|value| Weight { value, percent: false }).map_err(|_| wrong())
    }
}
