//! Medians over the rounds, and ratios of them, as Markdown.

use crate::median;

/// One figure of a sample.
#[derive(Clone, Copy)]
pub(crate) struct Column<S> {
    name: &'static str,
    digits: usize,
    of: fn(&S) -> Option<f64>,
    ratio: bool,
}

/// Samples by contender.
pub(crate) struct Table<S> {
    names: Vec<&'static str>,
    samples: Vec<Vec<S>>,
}

impl<S> Column<S> {
    /// A figure that is shown with so many digits after the point.
    pub(crate) const fn new(name: &'static str, digits: usize, of: fn(&S) -> Option<f64>) -> Self {
        Column { name, digits, of, ratio: false }
    }

    /// The same, compared with that of the peers.
    pub(crate) const fn ratio(self) -> Self {
        Column { ratio: true, ..self }
    }

    /// The figure of one sample with its name.
    pub(crate) fn told(&self, sample: &S) -> Option<String> {
        (self.of)(sample).map(|value| format!("{} {value:.*}", self.name, self.digits))
    }

    fn median(&self, samples: &[S]) -> Option<f64> {
        let values: Vec<f64> = samples.iter().filter_map(self.of).collect();
        (!values.is_empty()).then(|| median(values))
    }
}

impl<S> Table<S> {
    /// A table without samples; the first contender is ours.
    pub(crate) fn new(names: Vec<&'static str>) -> Self {
        let samples = names.iter().map(|_| Vec::new()).collect();
        Table { names, samples }
    }

    /// One run of a contender.
    pub(crate) fn add(&mut self, contender: usize, sample: S) {
        self.samples[contender].push(sample);
    }

    /// Medians, and the first contender's over those of each other.
    pub(crate) fn render(&self, columns: &[Column<S>]) -> String {
        let heads: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let mut text =
            format!("| contender | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
        let rows: Vec<Vec<Option<f64>>> = self
            .samples
            .iter()
            .map(|samples| columns.iter().map(|column| column.median(samples)).collect())
            .collect();
        let mut line = |name: &str, cells: Vec<Option<String>>| {
            let cells: Vec<String> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into())).collect();
            text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
        };
        for (name, row) in self.names.iter().zip(&rows) {
            let cell = |(value, column): (&Option<f64>, &Column<S>)| {
                value.map(|value| format!("{value:.*}", column.digits))
            };
            line(name, row.iter().zip(columns).map(cell).collect());
        }
        let (Some((own, peers)), Some(ours)) = (self.names.split_first(), rows.first()) else { return text };
        for (peer, theirs) in peers.iter().zip(&rows[1..]) {
            let cell = |((ours, theirs), column): ((&Option<f64>, &Option<f64>), &Column<S>)| {
                let (ours, theirs) = ((*ours)?, (*theirs)?);
                (column.ratio && theirs > 0.0).then(|| format!("{:.2}", ours / theirs))
            };
            line(&format!("{own} ÷ {peer}"), ours.iter().zip(theirs).zip(columns).map(cell).collect());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_stand_under_each_other() {
        let mut table = Table::new(vec!["runner", "wrk"]);
        for (ours, theirs) in [(10.0, 4.0), (30.0, 5.0), (20.0, 6.0)] {
            table.add(0, (ours, Some(1.0)));
            table.add(1, (theirs, None));
        }
        let columns = [
            Column::new("rate", 1, |s: &(f64, Option<f64>)| Some(s.0)).ratio(),
            Column::new("p50", 0, |s| s.1),
        ];
        assert_eq!(
            table.render(&columns),
            "| contender | rate | p50 |\n|---|---|---|\n| runner | 20.0 | 1 |\n| wrk | 5.0 | – |\n\
             | runner ÷ wrk | 4.00 | – |\n"
        );
        assert_eq!(columns[0].told(&(2.0, None)).as_deref(), Some("rate 2.0"));
    }
}
