//! What a probe shows of the ways in which the real service varies: exactly what reading can show.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ownerrez_gateway::{
    app::{self, ProbeAs},
    catalog::probe::{End, Entry, ProbeReport},
    config::{Config, OwnAccount, Sources},
    domain::AccountId,
    sandbox::{Simulator, SimulatorOptions, Variation, Variations},
};

use super::Impatient;
use crate::world::ManualClock;

/// What changes in the report when a variation is turned on: `+` for an entry that comes, `-` for one that goes. Entries
/// are written without their counts.
const SHOWN: &[(Variation, &[&str])] = &[];

/// Variations that no read shows, and why.
const NOT_SHOWN: &[(Variation, &str)] = &[
    (Variation::UserAgentRefusedInFront, "every request has a User-Agent"),
    (Variation::CoHostReplies, "it concerns messages that are sent"),
    (Variation::ChargesOnRequest, "it concerns quotes that are made"),
    (Variation::NamedRecordsStay, "it concerns deletions"),
];

async fn probe(simulator: &Simulator, account: AccountId, clock: &Arc<ManualClock>) -> ProbeReport {
    let environment = [("OWNERREZ_API_URL", simulator.url()), ("OWNERREZ_APP_URL", simulator.url())];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = Config::load(Sources { file: None, environment }).unwrap();
    simulator.controls().forget_allowance();
    let access = simulator.controls().grant(account)["access_token"].as_str().unwrap().to_owned();
    let probe_as = ProbeAs::Account(OwnAccount::Bearer(access.into()));
    let report = app::probe(&config, &probe_as, true, Arc::new(Impatient(clock.clone()))).await.unwrap();
    assert_eq!(report.end, End::Complete, "{}", report.text());
    report
}

/// The entries of a report and what was not seen, without counts.
fn signs(report: &ProbeReport) -> BTreeSet<String> {
    let entry = |sort: &str, entry: &Entry| {
        let member = entry.member.as_ref().map(ToString::to_string).unwrap_or_default();
        let words = entry.words.iter().map(ToString::to_string);
        let found = entry.found.iter().map(ToString::to_string).chain(words).collect::<Vec<_>>().join(",");
        format!("{sort} {:?} {} {member} {found}", entry.what, entry.operation).trim_end().to_owned()
    };
    let findings = report.findings.iter().map(|found| entry("finding", found));
    let remarks = report.remarks.iter().map(|found| entry("remark", found));
    let not_seen =
        report.not_seen.iter().map(|one| format!("not seen {} {:?} {:?}", one.operation, one.why, one.status));
    findings.chain(remarks).chain(not_seen).collect()
}

#[actix_web::test]
async fn a_probe_shows_exactly_the_variations_that_reading_can_show() {
    let clock = ManualClock::new();
    let simulator = Simulator::start(SimulatorOptions::new(clock.clone())).await.unwrap();
    let account = simulator.controls().accounts()[0].id;
    let vary = |variation: Option<Variation>| {
        simulator.controls().vary(account, |variations| {
            *variations = Variations::none();
            if let Some(variation) = variation {
                variations.set(variation, true);
            }
        });
    };
    vary(None);
    let base = probe(&simulator, account, &clock).await;
    assert!(base.is_fine(), "{}", base.text());
    let base = signs(&base);

    let shown: BTreeMap<Variation, &[&str]> = SHOWN.iter().copied().collect();
    let mut wrong = Vec::new();
    for variation in Variation::ALL {
        vary(Some(variation));
        let varied = signs(&probe(&simulator, account, &clock).await);
        let changes: Vec<String> = varied
            .difference(&base)
            .map(|sign| format!("+{sign}"))
            .chain(base.difference(&varied).map(|sign| format!("-{sign}")))
            .collect();
        let expected = shown.get(&variation).copied().unwrap_or_default();
        let is_listed = shown.contains_key(&variation) != NOT_SHOWN.iter().any(|(other, _)| *other == variation);
        if changes != expected || !is_listed {
            wrong.push(format!("(Variation::{variation:?}, &{changes:#?}),"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
