//! The effect of each variation on the report of a probe: everything that reading can show.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ownerrez_gateway::{
    app::{self, ProbeAs},
    catalog::probe::{End, Entry, ProbeReport},
    config::{Config, SingleAccount, Sources},
    domain::AccountId,
    simulator::{Simulator, SimulatorOptions, Variation, Variations},
};

use super::Impatient;
use crate::world::ManualClock;

/// The changes of the report when a variation is turned on: `+` for an added entry, `-` for a removed one. Entries are
/// written without operations and counts. Those of an operation that is no longer seen are omitted.
const SHOWN: &[(Variation, &[&str])] = &[
    (Variation::InactiveHidden, &["+InactiveHidden"]),
    (Variation::ThreadOnly, &["+NeverSeen thread_id"]),
    (Variation::BookingProperty, &["-NeverSeen property"]),
    (
        Variation::ChargeCategory,
        &[
            "+Words charges.category administrative,booking,cleaning,rent,resort,tax",
            "+Words charges.category administrative,cleaning,rent,resort,tax",
            "+Words charges.category cleaning,rent,tax",
            "-NeverSeen charges.category",
        ],
    ),
    (Variation::ListingsNotEnabled, &["+get_listing NoId", "+list_listings Refused 402"]),
    (Variation::MessagingNotEnabled, &["+get_message NoId", "+list_messages Refused 402"]),
    (Variation::NextPageRelative, &["+NextPageUrl relative", "-NextPageUrl absolute"]),
    (Variation::LastPageNull, &["+NextPageUrl null"]),
    (Variation::LastPageEmpty, &["+NextPageUrl empty"]),
    (Variation::EmptyPageWithoutItems, &["+EmptyPageWithoutItems"]),
    (Variation::NoUpdateTime, &["+SometimesAbsent updated_utc"]),
    (
        Variation::UnlinkedReviews,
        &[
            "+NeverSeen guest.first_name",
            "+NeverSeen guest.last_name",
            "+SometimesAbsent booking_id",
            "+SometimesAbsent guest_id",
        ],
    ),
    (Variation::CalendarMissingNights, &["+DaysMissing"]),
    (Variation::CalendarWithoutRules, &["+SometimesAbsent days.rules"]),
    (Variation::NoTimeZone, &["+SometimesAbsent time_zone"]),
    (Variation::SpotRateMidnights, &["+Formats date moment_utc", "-Formats date day"]),
];

/// Variations that no read shows, and the reasons.
const NOT_SHOWN: &[(Variation, &str)] = &[
    (Variation::UserAgentRefusedInFront, "every request has a User-Agent"),
    (Variation::CoHostReplies, "it concerns messages that are sent"),
    (Variation::ChargesOnRequest, "it concerns quotes that are made"),
    (Variation::NamedRecordsStay, "it concerns deletions"),
    (Variation::WebhookDrafts, "it concerns webhooks"),
    (Variation::WebhooksRepeated, "it concerns webhooks"),
    (Variation::WebhooksOutOfOrder, "it concerns webhooks"),
    (Variation::WebhooksWithoutEntity, "it concerns webhooks"),
    (Variation::WebhooksMissed, "it concerns webhooks"),
    (Variation::WebhooksStop, "it concerns webhooks"),
];

async fn probe(simulator: &Simulator, account: AccountId, clock: &Arc<ManualClock>) -> ProbeReport {
    let environment = [("OWNERREZ_API_URL", simulator.url()), ("OWNERREZ_APP_URL", simulator.url())];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = Config::load(Sources { file: None, environment }).unwrap();
    simulator.controls().forget_allowance();
    let access = simulator.controls().grant(account)["access_token"].as_str().unwrap().to_owned();
    let probe_as = ProbeAs::Account(SingleAccount::Bearer(access.into()));
    let report = app::probe(&config, &probe_as, true, Arc::new(Impatient(clock.clone()))).await.unwrap();
    assert_eq!(report.end, End::Complete, "{}", report.text());
    report
}

/// Returns the entries of a report, and what was not seen, each with its operation and without counts.
fn signs(report: &ProbeReport) -> BTreeSet<(String, String)> {
    let entry = |entry: &Entry| {
        let member = entry.member.as_ref().map(ToString::to_string);
        let words = entry.words.iter().map(ToString::to_string);
        let found = entry.found.iter().map(ToString::to_string).chain(words).collect::<Vec<_>>().join(",");
        let parts = [Some(format!("{:?}", entry.what)), member, Some(found).filter(|found| !found.is_empty())];
        (entry.operation.clone(), parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let not_seen = report.not_seen.iter().map(|one| {
        let status = one.status.map(|status| format!(" {status}")).unwrap_or_default();
        (one.operation.clone(), format!("{} {:?}{status}", one.operation, one.why))
    });
    report.findings.iter().chain(&report.remarks).map(entry).chain(not_seen).collect()
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
        let report = probe(&simulator, account, &clock).await;
        let (varied, is_gone) =
            (signs(&report), |operation: &str| report.not_seen.iter().any(|not_seen| not_seen.operation == operation));
        let came = varied.difference(&base).map(|(_, sign)| format!("+{sign}"));
        let went = base.difference(&varied).filter(|(operation, _)| !is_gone(operation));
        let changes: BTreeSet<String> = came.chain(went.map(|(_, sign)| format!("-{sign}"))).collect();
        let changes: Vec<String> = changes.into_iter().collect();
        assert!(report.findings.is_empty(), "the catalogue allows each: {}", report.text());
        let expected = shown.get(&variation).copied().unwrap_or_default();
        let is_listed = shown.contains_key(&variation) != NOT_SHOWN.iter().any(|(other, _)| *other == variation);
        if changes != expected || !is_listed {
            wrong.push(format!("(Variation::{variation:?}, &{changes:#?}),"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
