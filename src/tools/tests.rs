//! The tool list as a whole, which every connected model reads.

mod consumers;

use rmcp::model::Tool;
use serde_json::Value;

use super::*;
use crate::{catalog::Catalog, domain::Scope};

/// Returns the default list of a user with full access.
fn default_list() -> Vec<Tool> {
    let catalog = Catalog::embedded().unwrap();
    let tool_search = ToolSearch::embedded(&catalog).unwrap();
    let mut tools = catalog.tools(Scope::Full);
    tools.extend(catalog.drafts().cloned());
    tools.extend(CompositeTools::embedded().unwrap().tools().cloned());
    tools.extend(tool_search.tools().cloned());
    tools
}

/// A token is about four characters of the compact JSON.
fn tokens(tools: &[Tool]) -> usize {
    serde_json::to_string(tools).unwrap().chars().count() / 4
}

/// docs/TOOLSETS.md contains the number.
#[test]
fn the_default_list_takes_less_than_8000_tokens_and_the_page_says_how_many() {
    let list = default_list();
    let tokens = tokens(&list);
    assert!(tokens < 8_000, "{} tools take {tokens} tokens", list.len());
    let page = include_str!("../../docs/TOOLSETS.md");
    let told = format!("{} tools, {tokens} tokens", list.len());
    assert!(page.contains(&told), "docs/TOOLSETS.md does not say that the default list holds {told}");
}

/// A tool that names another one leads a model there. So the other one has to be available: listed too, or named
/// together with the tool that calls it.
#[test]
fn what_listed_tools_point_to_is_listed() {
    let catalog = Catalog::embedded().unwrap();
    let list = default_list();
    for tool in &list {
        let text = serde_json::to_string(tool).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for named in words.filter(|word| catalog.get(word).is_some()) {
            assert!(list.iter().any(|listed| listed.name == named), "{} points to {named}", tool.name);
        }
    }
}

/// What clients see changes only deliberately.
#[test]
fn tools_of_our_own_are_as_in_the_snapshot() {
    let catalog = Catalog::embedded().unwrap();
    let (composite_tools, tool_search) = (CompositeTools::embedded().unwrap(), ToolSearch::embedded(&catalog).unwrap());
    let tools: Vec<Value> =
        composite_tools.tools().chain(tool_search.tools()).map(|tool| serde_json::to_value(tool).unwrap()).collect();
    insta::assert_json_snapshot!("own_tools", tools);
}
