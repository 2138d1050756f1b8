//! The routes in the sources, compared with the lists that must name each of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    keys::DOORS,
    managing::MANAGING,
    rest::{Credential, ENDPOINTS},
    world::{Gateway, on_each_database},
};

/// The functions that add a resource, with the text before the path in their call.
const ADDERS: [&str; 3] = ["resource_at(", "with_cors(config, ", "web::resource("];

/// A path of the route table, such as `/api/keys/{id}`, with its methods.
#[derive(Debug)]
struct Route {
    pattern: String,
    /// Empty if the route takes every method.
    methods: BTreeSet<String>,
    file: String,
}

impl Route {
    /// Returns whether a path belongs to this route.
    fn matches(&self, path: &str) -> bool {
        let (mut pattern, mut path) = (self.pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(part), Some(_)) if part.ends_with(":.*}") => return true,
                (Some(part), Some(segment)) if part == segment || (part.starts_with('{') && !segment.is_empty()) => {}
                _ => return false,
            }
        }
    }

    fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

/// The source files outside the simulator, each with its path from the root.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files.retain(|name, _| !name.starts_with("src/simulator"));
    files
}

/// Returns the string literals in a text.
fn literals(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the strings that a constant consists of. The file itself takes precedence, then its folder, then `http`.
fn constant(sources: &BTreeMap<String, String>, file: &str, name: &str) -> Vec<String> {
    let folder = &file[..file.rfind('/').unwrap()];
    for scope in [file, folder, "src/http", "src/"] {
        let defined: BTreeSet<Vec<String>> = sources
            .iter()
            .filter(|(file, _)| file.starts_with(scope))
            .filter_map(|(_, text)| {
                let definition = &text[text.find(&format!("const {name}: "))?..];
                let value = &definition[definition.find('=')?..];
                Some(literals(&value[..value.find(';')?]))
            })
            .collect();
        match defined.len() {
            0 => {}
            1 => return defined.into_iter().next().unwrap(),
            _ => panic!("{file}: {name} is ambiguous"),
        }
    }
    panic!("{file}: where is {name} defined?")
}

/// Returns the paths that the first argument of a call names: a literal, several, a constant, or the variable of a loop
/// over a constant. `before` is the text of the file up to the call.
fn paths(sources: &BTreeMap<String, String>, file: &str, before: &str, argument: &str) -> Vec<String> {
    let argument = argument.trim().trim_start_matches('&');
    if argument.contains('"') {
        return literals(argument);
    }
    let name = argument.rsplit("::").next().unwrap();
    if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return constant(sources, file, name);
    }
    let head = format!("for {name} in ");
    let start = before.rfind(&head).unwrap_or_else(|| panic!("{file}: what are the values of `{name}`?"));
    let over = before[start + head.len()..].split_whitespace().next().unwrap();
    constant(sources, file, over.rsplit("::").next().unwrap())
}

/// Returns the text up to the closing bracket of a call; `text` starts behind the opening one.
fn arguments(text: &str) -> &str {
    let mut level = 1;
    let end = text.find(|c| {
        level += i32::from(c == '(' || c == '[') - i32::from(c == ')' || c == ']');
        level == 0
    });
    &text[..end.unwrap()]
}

/// Reads the route table.
fn routes() -> Vec<Route> {
    let sources = sources();
    let mut routes = Vec::new();
    for (file, text) in sources.iter().filter(|(file, _)| *file != "src/http/resource.rs") {
        let mut starts: Vec<(usize, &str)> = ADDERS
            .iter()
            .flat_map(|adder| text.match_indices(adder))
            .filter(|(at, _)| !text[..*at].ends_with("fn "))
            .collect();
        starts.sort_unstable();
        for (index, (at, adder)) in starts.iter().enumerate() {
            let call = arguments(&text[at + adder.len()..]);
            // Inside `with_cors`, whose calls are counted.
            if call == "path, allow" {
                continue;
            }
            let end = starts.get(index + 1).map_or(text.len(), |(next, _)| *next);
            let registered: BTreeSet<String> = ["get", "head", "post", "put", "patch", "delete"]
                .iter()
                .filter(|method| text[*at..end].contains(&format!("web::{method}()")))
                .map(|method| method.to_uppercase())
                .collect();
            let (path, allowed) = match *adder {
                "web::resource(" => (call, String::new()),
                _ => call.split_once(", ").map(|(path, rest)| (path, literals(rest).swap_remove(0))).unwrap(),
            };
            let methods: BTreeSet<String> =
                allowed.split(", ").filter(|method| !method.is_empty()).map(str::to_owned).collect();
            // The MCP endpoint decides itself.
            if !registered.is_empty() {
                assert_eq!(registered, methods, "{file}: the `Allow` of {path} differs from its handlers");
            }
            for pattern in paths(&sources, file, &text[..*at], path) {
                routes.push(Route { pattern, methods: methods.clone(), file: file.clone() });
            }
        }
        assert!(!text.contains(".route(\"") && !text.contains("web::scope("), "{file}: use `resource_at`");
    }
    assert!(routes.len() > 30, "only {} routes found", routes.len());
    routes
}

#[test]
fn every_route_is_in_the_list_of_endpoints() {
    let routes = routes();
    for route in &routes {
        let listed = |method: &str| {
            ENDPOINTS.iter().any(|(known, path, _)| route.matches(path) && (method.is_empty() || *known == method))
        };
        // Handlers of GET also answer HEAD.
        let mut methods: Vec<&str> = route.methods.iter().map(String::as_str).filter(|one| *one != "HEAD").collect();
        if methods.is_empty() {
            methods.push("");
        }
        for method in methods {
            let Route { pattern, file, .. } = route;
            assert!(listed(method), "{method} {pattern} ({file}): add it to ENDPOINTS in tests/gateway/rest.rs");
        }
    }
    for (method, path, _) in ENDPOINTS {
        let known = routes.iter().any(|route| route.matches(path) && route.takes(method));
        assert!(known, "ENDPOINTS in tests/gateway/rest.rs: there is no route {method} {path}");
    }
}

/// Returns the first route of a path and a method, as an index.
fn index_of(routes: &[Route], method: &str, path: &str) -> Option<usize> {
    routes.iter().position(|route| route.matches(path) && route.takes(method))
}

#[test]
fn every_route_that_needs_a_key_is_in_the_list_of_doors() {
    let routes = routes();
    let doors: BTreeSet<_> = DOORS.iter().map(|(method, path)| (*method, index_of(&routes, method, path))).collect();
    for (method, path, credential) in ENDPOINTS {
        let route = index_of(&routes, method, path);
        let listed = doors.contains(&(method, route));
        let hint = "compare DOORS in tests/gateway/keys.rs with ENDPOINTS in rest.rs";
        assert_eq!(listed, *credential == Credential::Key, "{method} {path}: {hint}");
    }
}

#[actix_web::test]
async fn a_read_key_may_call_every_route_that_is_not_in_the_list_of_managing_ones() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let made = alice.post("/api/keys", &json!({"name": "reader", "scope": "read"})).await;
        let reader = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        let key_routes = ENDPOINTS.iter().filter(|(_, _, credential)| *credential == Credential::Key);
        for (method, path, _) in key_routes.filter(|(_, path, _)| path.starts_with("/api/")) {
            let listed = MANAGING.iter().any(|(managing, at, _)| (managing, at) == (method, path));
            assert!(listed || *method == "GET", "{method} {path}: add it to MANAGING in tests/gateway/managing.rs");
            let json = [("content-type", "application/json")];
            let reply = reader.send(method, path, &json, Some("{}".to_owned())).await;
            let hint = "compare its extractor with MANAGING in tests/gateway/managing.rs";
            assert_eq!(reply.error() == "insufficient_scope", listed, "{method} {path}: {}; {hint}", reply.body);
        }
        gateway.stop().await;
    })
    .await;
}

/// Returns the rows of the tables of a page, each as its first cell and the second one.
fn rows(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let cells = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    };
    text.lines().filter_map(cells).collect()
}

#[test]
fn the_reference_of_the_rest_endpoints_names_each_with_its_scope() {
    let mut described = BTreeSet::new();
    for (endpoint, scope) in rows("docs/KEYS.md").iter().filter(|(endpoint, _)| endpoint.contains(" /api/")) {
        let (method, path) = endpoint.split('`').nth(1).unwrap().split_once(' ').unwrap();
        described.insert((method.to_owned(), path.to_owned(), scope.clone()));
    }
    let routes = routes();
    let mut expected = BTreeSet::new();
    for (method, path, credential) in ENDPOINTS.iter().filter(|(_, path, _)| path.starts_with("/api/")) {
        let scope = match credential {
            Credential::Key if MANAGING.iter().any(|(managing, at, _)| (managing, at) == (method, path)) => "full",
            Credential::Key => "any",
            Credential::Nothing if *path == "/api/users/register" => "none",
            // Pages, and what OwnerRez calls.
            _ => continue,
        };
        let pattern = &routes[index_of(&routes, method, path).unwrap()].pattern;
        expected.insert((method.to_string(), pattern.clone(), scope.to_owned()));
    }
    assert_eq!(described, expected, "the table at the end of docs/KEYS.md");
}

#[test]
fn the_readme_names_every_route_or_what_is_above_it() {
    let moved = ["/oauth/callback", "/sse", "/message"];
    let named: Vec<String> = [("README.md", false), ("docs/UPGRADE.md", true)]
        .into_iter()
        .flat_map(|(page, old)| rows(page).into_iter().map(move |(cell, _)| (cell, old)))
        .flat_map(|(cell, old)| {
            let words: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            words.into_iter().map(move |word| (word, old))
        })
        .map(|(word, old)| (word.rsplit(' ').next().unwrap().to_owned(), old))
        .filter(|(path, old)| path.starts_with('/') && moved.contains(&path.as_str()) == *old)
        .map(|(path, _)| path)
        .collect();
    for Route { pattern, .. } in routes() {
        let is_named = named.iter().any(|path| match path.strip_suffix('…') {
            Some(start) => pattern.starts_with(start),
            None => pattern.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        });
        assert!(is_named, "{pattern}: add it to the table of endpoints in README.md");
    }
}
