//! Parses the text of `/metrics` and rejects what Prometheus would reject (OpenMetrics 1.0).

use std::collections::{BTreeMap, BTreeSet};

/// The samples of one scrape, by name with labels.
#[derive(Debug)]
pub(crate) struct Exposition {
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Parses a text; panics if it is malformed.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").expect("the last line says that nothing is missing");
        let (mut samples, mut types, mut family) = (BTreeMap::new(), BTreeMap::new(), String::new());
        let mut described = BTreeSet::new();
        for line in lines.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (kind, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                assert!(is_name(name), "{line}");
                match kind {
                    "HELP" => {
                        assert!(described.insert(name), "{name} is described twice");
                        assert!(!rest.trim_end_matches('.').is_empty(), "{line}");
                        family = name.to_owned();
                    }
                    "TYPE" => assert!(types.insert(name, rest).is_none(), "{name} has two types"),
                    _ => assert!(kind == "UNIT" && name.ends_with(rest), "{line}"),
                }
                assert_eq!(name, family, "families stand together");
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect("the end of the labels")));
            let suffix = name.strip_prefix(&family).expect("a series stands under its family");
            let fits = match types[family.as_str()] {
                "counter" => suffix == "_total",
                "gauge" => suffix.is_empty(),
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => false,
            };
            assert!(fits && is_name(name), "{line}");
            check_labels(labels);
            let value: f64 = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
        let exposition = Self { samples };
        exposition.check_histograms(lines);
        exposition
    }

    /// Returns the value of a series, named without the prefix, with labels as in the text; 0 if it is missing.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.samples.get(&format!("ownerrez_gateway_{series}")).copied().unwrap_or(0.0)
    }

    /// Returns the sum over all series with a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let name = format!("ownerrez_gateway_{name}");
        let of_it = |series: &str| series == name || series.starts_with(&format!("{name}{{"));
        self.samples.iter().filter(|(series, _)| of_it(series)).map(|(_, value)| value).sum()
    }

    /// Returns the number of series.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Buckets must not decrease, and the last one must equal the count.
    fn check_histograms(&self, lines: &str) {
        let mut before = (String::new(), 0.0);
        for line in lines.lines().filter(|line| line.contains("_bucket{")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let (name, labels) = series.split_once("_bucket{").unwrap();
            let (bound, labels) = labels.trim_end_matches('}').split_once('"').unwrap().1.split_once('"').unwrap();
            let labels = labels.trim_start_matches(',');
            let histogram = format!("{name}|{labels}");
            if before.0 == histogram {
                assert!(value >= before.1, "{line} is less than the bucket before");
            }
            before = (histogram, value);
            if bound == "+Inf" {
                let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
                assert_eq!(self.samples[&format!("{name}_count{labels}")].to_bits(), value.to_bits(), "{line}");
                assert!(self.samples.contains_key(&format!("{name}_sum{labels}")), "{line}");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with("ownerrez_gateway_")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let mut names = BTreeSet::new();
    for label in labels.trim_end_matches('"').split("\",") {
        let (name, value) = label.split_once("=\"").expect("name and value");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()) && names.insert(name), "{labels}");
        assert!(!value.contains(['"', '\\']), "{labels}: none of our values needs an escape");
    }
}
