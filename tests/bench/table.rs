//! Figures, their medians, and the tables of the report.

use std::fmt::Write;

/// A figure that was measured several times; the median counts.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|known| *known < value);
        self.0.insert(at, value);
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match (self.0.get(middle), self.0.get(middle.wrapping_sub(1))) {
            (Some(upper), Some(lower)) if self.0.len().is_multiple_of(2) => (upper + lower) / 2.0,
            (Some(middle), _) => *middle,
            _ => f64::NAN,
        }
    }

    fn lowest(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    fn highest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Returns the median, followed by the lowest and the highest value.
    pub(crate) fn text(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.lowest(), self.highest())
    }
}

/// The table of targets and the table of plain figures.
#[derive(Default)]
pub(crate) struct Report {
    targets: String,
    figures: String,
    missed: u32,
}

impl Report {
    /// Adds a figure with a bound: `found` must not be above it. `from` describes the measurements behind `found`.
    pub(crate) fn target(&mut self, what: &str, bound: f64, unit: &str, found: f64, from: &str) {
        // Written so that NaN is a miss.
        let reached = found <= bound;
        self.missed += u32::from(!reached);
        let verdict = if reached { "reached" } else { "**missed**" };
        let _ = writeln!(self.targets, "| {what} | at most {bound}{unit} | {found:.2}{unit} | {verdict} | {from} |");
    }

    /// Adds a figure of both.
    pub(crate) fn figure(&mut self, what: &str, digits: usize, gateway: &Samples, passthrough: &Samples) {
        let ratio = gateway.median() / passthrough.median();
        let _ =
            writeln!(self.figures, "| {what} | {} | {} | {ratio:.2} |", gateway.text(digits), passthrough.text(digits));
    }

    /// Adds a figure that only the gateway has.
    pub(crate) fn gateway_figure(&mut self, what: &str, digits: usize, gateway: &Samples) {
        let _ = writeln!(self.figures, "| {what} | {} | | |", gateway.text(digits));
    }

    /// Returns both tables as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let Self { targets, figures, missed: _ } = self;
        format!(
            "| Target | Bound | Found | | From |\n|---|---|---|---|---|\n{targets}\n\
             | Figure | Gateway | Pass-through | Ratio |\n|---|---|---|---|\n{figures}"
        )
    }

    /// Returns the number of missed targets.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }
}
