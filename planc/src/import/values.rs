//! Expressions of a hand-written seed in the words of a fixture's columns.

use super::quoted;
use crate::graph::Json;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Interval, Subscript, UnaryOperator, Value,
};

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// The same in every row.
    Const(Json),
    /// An expression over `n` that gives a number, a text or a condition.
    Expr(String),
    /// A text with slots.
    Text(Vec<Part>),
    /// A length of time: amounts with their unit.
    Span(Vec<(String, Unit)>),
    /// The present, moved back (`true`) or forth.
    Time(bool, Vec<(String, Unit)>),
    /// `random()` times a whole number, plus one, cut to whole numbers or not.
    Random { scale: i64, plus: i64, whole: bool },
    /// A random part of a length of time.
    RandomSpan(String),
    /// A list.
    List(Vec<Made>),
    /// A JSON object.
    Object(Vec<(String, Made)>),
    /// A column's map, ready to be written, and what differs from the script.
    Ready(String, &'static str),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Slot(String),
}

/// A unit of time: its letter and its seconds.
pub(super) type Unit = (&'static str, i64);

/// Said of what the script draws anew on every run.
const DRAWN: &str = "drawn from the plan's seed: other values than the script's, the same on every run";

/// Names of the row's number in the script, and what they are in a fixture.
pub(super) struct Names {
    pub(super) names: Vec<String>,
    /// `n`, or an expression over it in brackets.
    pub(super) number: String,
    /// The largest number that a row has.
    pub(super) most: i64,
}

/// What a part of an expression could not be carried over for.
type Carried = Result<Made, String>;

impl Names {
    /// What an expression comes to, or why it cannot be carried over.
    pub(super) fn made(&self, expr: &Expr) -> Carried {
        match expr {
            Expr::Nested(inner) => self.made(inner),
            Expr::Value(value) => constant(&value.value),
            Expr::Identifier(name) => self.name(&name.value),
            Expr::CompoundIdentifier(parts) => {
                self.name(parts.last().map_or("", |part| part.value.as_str()))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(match self.made(expr)? {
                Made::Const(Json::Number(number)) => number_of(&format!("-{number}"))?,
                made => Made::Expr(format!("-{}", operand(&made)?)),
            }),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok(Made::Expr(format!("not {}", operand(&self.made(expr)?)?)))
            }
            Expr::Cast { expr, data_type, .. } => self.cast(self.made(expr)?, data_type),
            Expr::TypedString(typed) => self.cast(constant(&typed.value.value)?, &typed.data_type),
            Expr::Interval(interval) => self.interval(interval),
            Expr::BinaryOp { left, op, right } => self.binary(self.made(left)?, op, self.made(right)?),
            Expr::InList { expr, list, negated: false } => {
                let items: Vec<String> =
                    list.iter().map(|item| operand(&self.made(item)?)).collect::<Result<_, _>>()?;
                Ok(Made::Expr(format!("{} in [{}]", operand(&self.made(expr)?)?, items.join(", "))))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Floor { expr, .. } => match self.made(expr)? {
                Made::Random { scale, plus, .. } => Ok(Made::Random { scale, plus, whole: true }),
                made @ Made::Expr(_) => Ok(made),
                _ => Err("`floor` of this".into()),
            },
            Expr::Array(array) => Ok(Made::List(array.elem.iter().map(|e| self.made(e)).collect::<Result<_, _>>()?)),
            Expr::CompoundFieldAccess { root, access_chain } => self.element(root, access_chain),
            Expr::Function(function) => self.function(function),
            Expr::Subquery(_) => Err(
                "a query for a row of another table: write `{ references: TABLE.COLUMN, value: … }` with its key, or `sample: 100` for any of them".into(),
            ),
            other => Err(format!("`{}`", short(&other.to_string()))),
        }
    }

    fn name(&self, name: &str) -> Carried {
        match self.names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            true => Ok(Made::Expr(self.number.clone())),
            false => Err(format!("`{name}` is a value of another row or table")),
        }
    }

    fn cast(&self, made: Made, to: &DataType) -> Carried {
        let name = to.to_string().to_ascii_lowercase();
        let is = |names: &[&str]| {
            names.iter().any(|known| name == *known || name.starts_with(&format!("{known}(")))
        };
        if is(&["interval"]) {
            return span(&made);
        }
        if let (Made::Const(Json::String(text)), true) = (&made, is(&["json", "jsonb"])) {
            let json: Json =
                serde_json::from_str(text).map_err(|e| format!("this JSON cannot be read: {e}"))?;
            return Ok(Made::Ready(format!("{{ json: {json} }}"), ""));
        }
        if let (Made::Const(Json::String(text)), true) = (&made, name.ends_with("[]")) {
            return array(text);
        }
        if let (Made::Const(Json::String(text)), true) =
            (&made, is(&["int", "integer", "bigint", "smallint", "numeric"]))
        {
            return number_of(text);
        }
        let whole = is(&["int", "integer", "bigint", "smallint", "int4", "int8", "int2"]);
        Ok(match made {
            Made::Random { scale, plus, whole: false } if whole => {
                Made::Random { scale: scale + 1, plus, whole: true }
            }
            Made::Expr(expr) if is(&["text", "varchar", "character varying", "char"]) => {
                Made::Text(vec![Part::Slot(expr)])
            }
            Made::Const(Json::Number(number)) if is(&["text", "varchar", "character varying"]) => {
                Made::Const(Json::from(number.to_string()))
            }
            other => other,
        })
    }

    fn binary(&self, left: Made, op: &BinaryOperator, right: Made) -> Carried {
        let word = match op {
            BinaryOperator::StringConcat => {
                let mut parts = text(left)?;
                parts.extend(text(right)?);
                return Ok(Made::Text(parts));
            }
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "//",
            BinaryOperator::Modulo => "%",
            BinaryOperator::Eq => "==",
            BinaryOperator::NotEq => "!=",
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Gt => ">",
            BinaryOperator::GtEq => ">=",
            BinaryOperator::And => "and",
            BinaryOperator::Or => "or",
            other => return Err(format!("the operator `{other}`")),
        };
        match (left, word, right) {
            (Made::Time(back, mut moved), "+" | "-", Made::Span(by)) => {
                let back_now = word == "-";
                if !moved.is_empty() && back != back_now {
                    return Err("a time moved back and forth".into());
                }
                moved.extend(by);
                Ok(Made::Time(back_now, moved))
            }
            (Made::Time(_, moved), "+" | "-", Made::RandomSpan(to)) if moved.is_empty() => {
                let key = if word == "-" { "before_now" } else { "after_now" };
                Ok(Made::Ready(format!("{{ {key}: {{ from: 0s, to: {to} }} }}"), DRAWN))
            }
            (Made::Random { scale: 1, plus: 0, whole: false }, "*", Made::Span(by))
            | (Made::Span(by), "*", Made::Random { scale: 1, plus: 0, whole: false }) => {
                Ok(Made::RandomSpan(moved_by(&by)?))
            }
            (Made::Span(by), "*", factor) | (factor, "*", Made::Span(by)) => {
                let factor = operand(&factor)?;
                let times = |(amount, unit): (String, Unit)| match amount.as_str() {
                    "1" => (factor.clone(), unit),
                    _ => (format!("{factor} * {}", bracketed(&amount)), unit),
                };
                Ok(Made::Span(by.into_iter().map(times).collect()))
            }
            (Made::Span(mut all), "+", Made::Span(more)) => {
                all.extend(more);
                Ok(Made::Span(all))
            }
            (Made::Random { scale, plus: 0, whole: false }, "*", Made::Const(Json::Number(by)))
            | (Made::Const(Json::Number(by)), "*", Made::Random { scale, plus: 0, whole: false }) => {
                let by = by.as_i64().ok_or("`random()` times a broken number")?;
                let scale = scale.checked_mul(by).ok_or("a number that is too large")?;
                Ok(Made::Random { scale, plus: 0, whole: false })
            }
            (Made::Random { scale, plus, whole }, "+", Made::Const(Json::Number(by)))
            | (Made::Const(Json::Number(by)), "+", Made::Random { scale, plus, whole }) => {
                let by = by.as_i64().ok_or("`random()` plus a broken number")?;
                let plus = plus.checked_add(by).ok_or("a number that is too large")?;
                Ok(Made::Random { scale, plus, whole })
            }
            (left, "//", right) if decimal(&left) || decimal(&right) => Err("a division of decimals".into()),
            (left, word, right) => Ok(Made::Expr(format!("{} {word} {}", operand(&left)?, operand(&right)?))),
        }
    }

    fn case(&self, subject: Option<&Expr>, conditions: &[CaseWhen], rest: Option<&Expr>) -> Carried {
        let subject = subject.map(|subject| operand(&self.made(subject)?)).transpose()?;
        let mut out = match rest {
            Some(rest) => operand(&self.made(rest)?)?,
            None => return Err("`CASE` without `ELSE`".into()),
        };
        for when in conditions.iter().rev() {
            let condition = match (&subject, self.made(&when.condition)?) {
                (_, Made::Random { .. }) => {
                    return Err("`CASE` over `random()`: write `{ weighted: … }`".into());
                }
                (Some(subject), value) => format!("{subject} == {}", operand(&value)?),
                (None, Made::Expr(condition)) => condition,
                (None, _) => return Err("this condition".into()),
            };
            out = format!("({} if {condition} else {out})", operand(&self.made(&when.result)?)?);
        }
        Ok(Made::Expr(out))
    }

    /// `(ARRAY['a', 'b'])[1 + g % 2]`.
    fn element(&self, root: &Expr, chain: &[AccessExpr]) -> Carried {
        let [AccessExpr::Subscript(Subscript::Index { index })] = chain else {
            return Err("this part of a value".into());
        };
        let Made::List(items) = self.made(root)? else { return Err("an element of this".into()) };
        match self.made(index)? {
            Made::Random { scale, plus: 1, whole: true } if scale == items.len() as i64 => {
                let one = |item: &Made| match item {
                    Made::Const(value) => Ok(format!("{{ value: {value}, weight: 1 }}")),
                    _ => Err("an element that is made of others".to_string()),
                };
                let items: Vec<String> = items.iter().map(one).collect::<Result<_, _>>()?;
                Ok(Made::Ready(format!("{{ weighted: [{}] }}", items.join(", ")), DRAWN))
            }
            index => {
                let items: Vec<String> = items.iter().map(operand).collect::<Result<_, _>>()?;
                Ok(Made::Expr(format!("[{}][{} - 1]", items.join(", "), operand(&index)?)))
            }
        }
    }

    fn function(&self, function: &Function) -> Carried {
        let name = function.name.to_string().to_ascii_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let arguments = arguments(function);
        let made = |at: usize| -> Carried {
            self.made(arguments.get(at).ok_or_else(|| format!("`{name}` with too few arguments"))?)
        };
        match name {
            "now"
            | "current_timestamp"
            | "clock_timestamp"
            | "transaction_timestamp"
            | "statement_timestamp"
            | "localtimestamp" => Ok(Made::Time(true, Vec::new())),
            "random" => Ok(Made::Random { scale: 1, plus: 0, whole: false }),
            "trunc" | "floor" | "round" => match made(0)? {
                Made::Random { scale, plus, .. } => {
                    let scale = if name == "round" { scale + 1 } else { scale };
                    Ok(Made::Random { scale, plus, whole: true })
                }
                _ => Err(format!("`{name}` of this")),
            },
            "gen_random_uuid" | "uuid_generate_v4" => Ok(Made::Ready("{ uuid: true }".into(), DRAWN)),
            "md5" => {
                Ok(Made::Ready("{ hex: 32 }".into(), "as long as the digest, drawn from the plan's seed"))
            }
            "lpad" => self.lpad(made(0)?, made(1)?, made(2)?),
            "to_char" => match (made(0)?, made(1)?) {
                (value @ Made::Expr(_), Made::Const(Json::String(format))) => {
                    match format.strip_prefix("FM") {
                        Some(zeros) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => self
                            .lpad(value, Made::Const(Json::from(zeros.len())), Made::Const(Json::from("0"))),
                        _ => Err(format!("`to_char` with the format `{format}`")),
                    }
                }
                _ => Err("`to_char` of this".into()),
            },
            "concat" => {
                let mut parts = Vec::new();
                for argument in &arguments {
                    parts.extend(text(self.made(argument)?)?);
                }
                Ok(Made::Text(parts))
            }
            "format" => self.format(&arguments),
            "jsonb_build_object" | "json_build_object" => {
                let mut fields = Vec::new();
                for pair in arguments.chunks(2) {
                    let [key, value] = pair else { return Err(format!("`{name}` with a key alone")) };
                    let Made::Const(Json::String(key)) = self.made(key)? else {
                        return Err("a key that is not a plain text".into());
                    };
                    fields.push((key, self.made(value)?));
                }
                Ok(Made::Object(fields))
            }
            "jsonb_build_array" | "json_build_array" => {
                let items: Vec<Made> =
                    arguments.iter().map(|item| self.made(item)).collect::<Result<_, _>>()?;
                Ok(Made::Ready(format!("{{ json: {} }}", flow(&Made::List(items))?), ""))
            }
            other => Err(format!("the function `{other}`")),
        }
    }

    /// `lpad(g::text, 5, '0')`.
    fn lpad(&self, value: Made, width: Made, fill: Made) -> Carried {
        let slot = match value {
            Made::Expr(expr) => expr,
            Made::Text(parts) => match parts.as_slice() {
                [Part::Slot(expr)] => expr.clone(),
                _ => return Err("`lpad` of a text".into()),
            },
            _ => return Err("`lpad` of this".into()),
        };
        let (Made::Const(width), Made::Const(fill)) = (width, fill) else {
            return Err("`lpad` by this".into());
        };
        if fill != "0" {
            return Err("`lpad` with something else than zeros".into());
        }
        let width = width.as_i64().ok_or("`lpad` by this")?;
        if slot == self.number && self.most.to_string().len() as i64 > width {
            return Err(format!("`lpad` cuts numbers of more than {width} digits, and there are some"));
        }
        Ok(Made::Text(vec![Part::Slot(format!("{} | pad({width})", bracketed(&slot)))]))
    }

    /// `format('x-%s', g)`.
    fn format(&self, arguments: &[&Expr]) -> Carried {
        let Some(Made::Const(Json::String(pattern))) =
            arguments.first().map(|first| self.made(first)).transpose()?
        else {
            return Err("`format` without a plain text".into());
        };
        let mut parts = Vec::new();
        let mut values = arguments.iter().skip(1);
        for (at, piece) in pattern.split("%s").enumerate() {
            if piece.contains('%') {
                return Err(format!("the format `{pattern}`"));
            }
            if at > 0 {
                let value = values.next().ok_or("`format` with too few values")?;
                parts.extend(text(self.made(value)?)?);
            }
            parts.extend(text(Made::Const(Json::from(piece)))?);
        }
        Ok(Made::Text(parts))
    }

    fn interval(&self, interval: &Interval) -> Carried {
        let mut parts = text(self.made(&interval.value)?)?;
        if let Some(field) = &interval.leading_field {
            parts.push(Part::Literal(format!(" {field}").to_ascii_lowercase()));
        }
        span(&Made::Text(parts))
    }
}

/// How a column is written, and what is to be said of it.
pub(super) fn column(made: &Made) -> Result<(String, &'static str), String> {
    Ok(match made {
        Made::Time(past, by) => {
            let key = if *past { "before_now" } else { "after_now" };
            let by = if by.is_empty() { "0s".into() } else { moved_by(by)? };
            (format!("{{ {key}: {} }}", quoted_duration(&by)), "")
        }
        Made::Random { scale, plus, whole: true } if *scale > 0 => {
            let to = plus.checked_add(scale - 1).ok_or("a number that is too large")?;
            (format!("{{ integer: {{ from: {plus}, to: {to} }} }}"), DRAWN)
        }
        Made::Random { scale, plus, .. } => {
            let to = plus.checked_add(*scale).ok_or("a number that is too large")?;
            (format!("{{ decimal: {{ from: {plus}, to: {to} }} }}"), DRAWN)
        }
        Made::Object(_) => (format!("{{ json: {} }}", flow(made)?), ""),
        Made::Ready(text, note) => (text.clone(), note),
        other => (flow(other)?, ""),
    })
}

/// A value inside of others.
fn flow(made: &Made) -> Result<String, String> {
    Ok(match made {
        Made::Const(Json::String(text)) => quoted(&literal(text)?),
        Made::Const(value) => value.to_string(),
        Made::Expr(expr) => Json::from(format!("{{{{ {} }}}}", open(expr))).to_string(),
        Made::Text(parts) => {
            let one = |part: &Part| match part {
                Part::Literal(text) => text.clone(),
                Part::Slot(expr) => format!("{{{{ {} }}}}", open(expr)),
            };
            quoted(&parts.iter().map(one).collect::<String>())
        }
        Made::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Made::Object(fields) => {
            let one =
                |(key, value): &(String, Made)| Ok::<_, String>(format!("{}: {}", quoted(key), flow(value)?));
            let fields: Vec<String> = fields.iter().map(one).collect::<Result<_, _>>()?;
            if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
        }
        _ => return Err("a drawn value or a time inside of another".into()),
    })
}

fn constant(value: &Value) -> Carried {
    Ok(Made::Const(match value {
        Value::Number(text, _) => return number_of(text),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Json::from(text.as_str()),
        Value::DollarQuotedString(text) => Json::from(text.value.as_str()),
        Value::Boolean(value) => Json::from(*value),
        Value::Null => Json::Null,
        other => return Err(format!("`{other}`")),
    }))
}

fn number_of(text: &str) -> Carried {
    let number = serde_json::from_str::<Json>(text.trim()).ok().filter(Json::is_number);
    number.map(Made::Const).ok_or_else(|| format!("the number `{text}`"))
}

fn decimal(made: &Made) -> bool {
    matches!(made, Made::Const(Json::Number(number)) if number.as_i64().is_none())
}

/// `'{a,b}'` of plain words.
fn array(text: &str) -> Carried {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or("this array")?;
    if inner.contains(['"', '{', '\\']) {
        return Err("an array with quotes in its text".into());
    }
    let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(Made::List(items.map(|item| Made::Const(Json::from(item))).collect()))
}

/// A text that no template is seen in.
fn literal(text: &str) -> Result<String, String> {
    if text.contains("{{") || text.contains("{%") {
        Err("a text with `{{` in it".into())
    } else {
        Ok(text.into())
    }
}

/// The pieces of a text.
fn text(made: Made) -> Result<Vec<Part>, String> {
    Ok(match made {
        Made::Const(Json::String(text)) => vec![Part::Literal(literal(&text)?)],
        Made::Const(Json::Number(number)) => vec![Part::Literal(number.to_string())],
        Made::Expr(expr) => vec![Part::Slot(expr)],
        Made::Text(parts) => parts,
        _ => return Err("a text made of a drawn value or a time".into()),
    })
}

/// As a part of a larger expression.
fn operand(made: &Made) -> Result<String, String> {
    match made {
        Made::Const(Json::String(text)) if !text.contains(['\'', '\\', '{', '}', '\n']) => {
            Ok(format!("'{text}'"))
        }
        Made::Const(Json::String(_)) => Err("a text with quotes or braces inside an expression".into()),
        Made::Const(Json::Null) => Err("`NULL` inside an expression".into()),
        Made::Const(value) => Ok(value.to_string()),
        Made::Expr(expr) => Ok(bracketed(expr)),
        Made::Text(parts) => {
            let one = |part: &Part| match part {
                Part::Literal(text) => operand(&Made::Const(Json::from(text.as_str()))),
                Part::Slot(expr) => Ok(bracketed(expr)),
            };
            let parts: Vec<String> = parts.iter().map(one).collect::<Result<_, _>>()?;
            Ok(format!("({})", parts.join(" ~ ")))
        }
        _ => Err("an expression over a drawn value or a time".into()),
    }
}

fn bracketed(expr: &str) -> String {
    let plain = expr.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain || open(expr).len() < expr.len() { expr.into() } else { format!("({expr})") }
}

/// Without brackets that hold all of it.
fn open(expr: &str) -> &str {
    let Some(inner) = expr.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return expr };
    let mut depth = 0_i32;
    for byte in inner.bytes() {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        if depth < 0 {
            return expr;
        }
    }
    inner
}

/// `5 days`, `{{ n }} minutes`.
fn span(made: &Made) -> Carried {
    let parts = match made {
        Made::Span(_) => return Ok(made.clone()),
        Made::Const(Json::String(text)) => vec![Part::Literal(text.clone())],
        Made::Text(parts) => parts.clone(),
        _ => return Err("this length of time".into()),
    };
    let mut out = Vec::new();
    let mut amount: Option<String> = None;
    for part in parts {
        let words: Vec<String> = match part {
            Part::Slot(expr) => {
                if amount.replace(expr).is_some() {
                    return Err("this length of time".into());
                }
                continue;
            }
            Part::Literal(text) => text.split_whitespace().map(str::to_ascii_lowercase).collect(),
        };
        for word in words {
            match amount.take() {
                None if word.bytes().all(|byte| byte.is_ascii_digit()) => amount = Some(word),
                None => return Err(format!("the length of time `{word}`")),
                Some(amount) => out.push((amount, unit(&word)?)),
            }
        }
    }
    if amount.is_some() || out.is_empty() {
        Err("a length of time without a unit".into())
    } else {
        Ok(Made::Span(out))
    }
}

fn unit(word: &str) -> Result<Unit, String> {
    Ok(match word.strip_suffix('s').unwrap_or(word) {
        "" | "second" | "sec" => ("s", 1),
        "minute" | "min" => ("m", 60),
        "hour" | "h" | "hr" => ("h", 3_600),
        "day" | "d" => ("d", 86_400),
        "week" | "w" => ("", 7 * 86_400),
        _ => return Err(format!("`{word}` as a unit of time: its length is not always the same")),
    })
}

/// A duration of the plan's language.
fn moved_by(by: &[(String, Unit)]) -> Result<String, String> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let [(amount, (letter, _))] = by
        && !letter.is_empty()
    {
        return Ok(if number(amount) {
            format!("{amount}{letter}")
        } else {
            format!("{{{{ {} }}}}{letter}", open(amount))
        });
    }
    let one = |(amount, (_, seconds)): &(String, Unit)| match seconds {
        1 => bracketed(amount),
        _ => format!("{} * {seconds}", bracketed(amount)),
    };
    let terms: Vec<String> = by.iter().map(one).collect();
    Ok(format!("{{{{ {} }}}}s", terms.join(" + ")))
}

fn quoted_duration(text: &str) -> String {
    if text.contains("{{") { Json::from(text).to_string() } else { text.into() }
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let one = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(one).collect()
}

/// A text cut to a length that a message bears.
fn short(text: &str) -> String {
    if text.chars().count() > 60 {
        format!("{} …", text.chars().take(60).collect::<String>())
    } else {
        text.into()
    }
}
