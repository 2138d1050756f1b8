//! A small search index of operations over names, titles, subjects, descriptions and arguments.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Operation};

/// The weight of a word by its position.
const IN_NAME: f64 = 6.0;
const IN_TITLE: f64 = 4.0;
const IN_SUBJECT: f64 = 3.0;
const IN_DESCRIPTION: f64 = 1.5;
const IN_ARGUMENTS: f64 = 1.0;
/// A synonym counts less than the word itself, and so does a word that only has the same prefix.
const BY_SYNONYM: f64 = 0.7;
const BY_BEGINNING: f64 = 0.5;
/// The minimum length of a common prefix; a shorter one is not significant.
const BEGINNING: usize = 4;
/// The maximum number of words of a query that are used.
const WORDS: usize = 30;

/// The indexed words of each operation.
pub(super) struct Index {
    /// The risk, the name, and each stem with its weight.
    operations: Vec<(RiskRank, String, BTreeMap<String, f64>)>,
    /// The significance of a stem: rare ones are more significant.
    rarity: BTreeMap<String, f64>,
    stop_words: BTreeSet<String>,
    /// Stem to the stems of its synonyms.
    synonyms: BTreeMap<String, Vec<String>>,
}

/// The risk of an operation for the account, lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RiskRank {
    Lists,
    Reads,
    Writes,
    Destroys,
}

impl RiskRank {
    fn of(operation: &Operation) -> Self {
        match (operation.is_destructive(), operation.is_read_only()) {
            (true, _) => Self::Destroys,
            (false, false) => Self::Writes,
            (false, true) if operation.returns_list() => Self::Lists,
            (false, true) => Self::Reads,
        }
    }
}

impl Index {
    pub(super) fn new(
        catalog: &Catalog,
        stop_words: &BTreeSet<String>,
        synonyms: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let operations = catalog.operations();
        let operations: Vec<_> = operations
            .map(|operation| (RiskRank::of(operation), operation.name().to_owned(), weights(operation)))
            .collect();
        let mut rarity: BTreeMap<String, f64> = BTreeMap::new();
        for stem in operations.iter().flat_map(|(_, _, weights)| weights.keys()) {
            *rarity.entry(stem.clone()).or_default() += 1.0;
        }
        let all = f64::from(u32::try_from(operations.len()).unwrap_or(u32::MAX));
        for holders in rarity.values_mut() {
            *holders = (1.0 + all / *holders).ln();
        }
        let synonyms = synonyms.iter().map(|(word, same)| {
            (stem(word), same.iter().flat_map(|same| words(same).map(|word| stem(&word)).collect::<Vec<_>>()).collect())
        });
        Self { operations, rarity, stop_words: stop_words.clone(), synonyms: synonyms.collect() }
    }

    /// Returns the significant words of a query, separated by spaces.
    pub(super) fn significant_words(&self, query: &str) -> String {
        let significant_words: Vec<String> = words(query).filter(|word| !self.stop_words.contains(word)).collect();
        significant_words.join(" ")
    }

    /// Returns the names of all matching operations, best first; among equal matches the one with the lowest risk
    /// first.
    pub(super) fn search(&self, query: &str) -> Vec<&str> {
        let asked: BTreeSet<String> =
            words(query).filter(|word| !self.stop_words.contains(word)).take(WORDS).map(|word| stem(&word)).collect();
        let plain = query.trim();
        let mut found: Vec<(f64, RiskRank, &str)> = self
            .operations
            .iter()
            .map(|(risk, name, weights)| {
                let exact = if name == plain { f64::MAX } else { 0.0 };
                let fit = asked.iter().map(|stem| self.fit(stem, weights)).sum::<f64>();
                (exact + fit, *risk, name.as_str())
            })
            .filter(|(fit, _, _)| *fit > 0.0)
            .collect();
        found.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| (one.1, one.2).cmp(&(other.1, other.2))));
        found.into_iter().map(|(_, _, name)| name).collect()
    }

    /// Returns how well one word of a query matches one operation.
    fn fit(&self, asked: &str, weights: &BTreeMap<String, f64>) -> f64 {
        let itself = self.weight(asked, weights);
        let same = self.synonyms.get(asked).into_iter().flatten();
        let same = same.map(|stem| self.weight(stem, weights) * BY_SYNONYM);
        let alike = weights.iter().filter(|(stem, _)| {
            let (short, long) = if stem.len() < asked.len() { (stem.as_str(), asked) } else { (asked, stem.as_str()) };
            short.len() >= BEGINNING && short != long && long.starts_with(short)
        });
        let alike =
            alike.map(|(stem, weight)| weight * self.rarity.get(stem).copied().unwrap_or_default() * BY_BEGINNING);
        itself + same.chain(alike).fold(0.0, f64::max)
    }

    fn weight(&self, stem: &str, weights: &BTreeMap<String, f64>) -> f64 {
        let weight = weights.get(stem).copied().unwrap_or_default();
        weight * self.rarity.get(stem).copied().unwrap_or_default()
    }
}

fn weights(operation: &Operation) -> BTreeMap<String, f64> {
    let tool = operation.tool();
    let arguments = tool.input_schema.get("properties").and_then(|properties| properties.as_object());
    let arguments: Vec<&str> = arguments.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let subject = format!("{} {}", operation.group(), operation.toolset().name());
    let mut weights = BTreeMap::new();
    for (text, weight) in [
        (operation.name(), IN_NAME),
        (tool.title.as_deref().unwrap_or_default(), IN_TITLE),
        (&subject, IN_SUBJECT),
        (tool.description.as_deref().unwrap_or_default(), IN_DESCRIPTION),
        (&arguments.join(" "), IN_ARGUMENTS),
    ] {
        for word in words(text) {
            let known: &mut f64 = weights.entry(stem(&word)).or_default();
            *known = known.max(weight);
        }
    }
    weights
}

/// Returns the words of a text in lower case; underscores separate words too.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Removes the endings of number and tense from a word. Crude, but the same for query and index.
fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    let cut = |stem: &mut String, ending: &str, least: usize| {
        let fits = stem.ends_with(ending) && stem.len() >= least + ending.len();
        if fits {
            stem.truncate(stem.len() - ending.len());
        }
        fits
    };
    if cut(&mut stem, "ies", 3) {
        stem.push('y');
    } else if !stem.ends_with("ss") {
        cut(&mut stem, "s", 3);
    }
    if !cut(&mut stem, "ing", 4) {
        cut(&mut stem, "ed", 4);
    }
    cut(&mut stem, "e", 4);
    stem
}
