//! Typical queries of users, and the operations they mean.

use super::*;

fn found(query: &str) -> Vec<String> {
    let catalog = Catalog::embedded().unwrap_or_else(|error| panic!("{error}"));
    let tool_search = ToolSearch::embedded(&catalog).unwrap_or_else(|error| panic!("{error}"));
    tool_search.index.search(query).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_operation_that_is_meant_is_among_those_that_are_shown_in_full() {
    let mut missed = Vec::new();
    for (query, meant) in [
        ("surcharges", "list_surcharges"),
        ("what do we charge for cleaning", "list_surcharges"),
        ("pet fee", "list_surcharges"),
        ("add a cleaning surcharge", "create_surcharge"),
        ("payouts to my bank", "list_deposits"),
        ("one payout", "get_deposit"),
        ("processing fees", "list_fees"),
        ("new coupon", "create_discount"),
        ("remove a discount", "delete_discount"),
        ("edit discount", "update_discount"),
        ("put a tag on a booking", "create_tag"),
        ("put label on guest", "create_tag"),
        ("remove tag by name", "delete_tag_by_name"),
        ("define a new tag", "create_tag_definition"),
        ("custom field definitions", "list_field_definitions"),
        ("set custom field", "create_field"),
        ("delete phone number of guest", "delete_guest_phone"),
        ("remove email address of a guest", "delete_guest_email_address"),
        ("webhooks", "list_webhook_subscriptions"),
        ("subscribe to webhook", "create_webhook_subscription"),
        ("webhook categories", "get_webhook_categories"),
        ("wifi password", "list_listings"),
        ("listing photos", "list_listings"),
        ("channels", "list_listing_sites"),
        ("change a quote", "update_quote"),
        ("nightly price overrides", "list_spot_rates"),
        ("read one refund", "get_refund"),
        ("get_field", "get_field"),
    ] {
        let found = found(query);
        if !found.iter().take(SCHEMAS_SHOWN).any(|name| name == meant) {
            missed.push(format!("{query}: {meant}, not {:?}", &found[..found.len().min(5)]));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_operation_is_found_by_its_name_and_by_its_title() {
    let catalog = Catalog::embedded().unwrap();
    for operation in catalog.operations() {
        assert_eq!(found(operation.name())[0], operation.name());
        let title = operation.tool().title.clone().unwrap_or_default();
        let found = found(&title);
        assert!(found.iter().take(3).any(|name| name == operation.name()), "{title}: {:?}", &found[..3]);
    }
}

#[test]
fn what_means_nothing_finds_nothing() {
    for query in ["", "  ", "the of and", "xyzzy", "🦀", "%_%", &"x".repeat(200)] {
        assert_eq!(found(query), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn synonyms_lead_somewhere() {
    let table: Table = serde_json::from_str(include_str!("../../../config/on_demand.json")).unwrap();
    for word in table.synonyms.values().flatten() {
        assert!(!found(word).is_empty(), "{word}");
    }
    for word in table.synonyms.keys() {
        assert!(!table.stop_words.contains(word), "{word}");
    }
}
