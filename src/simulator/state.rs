//! The state of a running simulator, behind one lock that is never held across an await.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{
    call::Call,
    clock::ShiftedClock,
    demo_account::DemoAccount,
    operations::Operations,
    records::Records,
    request_record::RequestRecord,
    script::{self, Gate, Rule},
    seed::{Plan, Portfolio, Seeder},
    switches::Switches,
    tokens::{Policy, Tokens},
    variations::{Table, Variations},
    webhooks::{Queue, Service},
    window::Window,
};
use crate::domain::{AccountId, Clock};

/// The period of the rate limit.
const ALLOWANCE_PERIOD: TimeDelta = TimeDelta::minutes(5);
/// The number of requests in the log: enough for any test, bounded for a demonstration that runs for weeks.
const LOG_LENGTH: usize = 100_000;

/// An account and its records.
pub(super) struct Account {
    pub(super) demo: DemoAccount,
    pub(super) records: Records,
    pub(super) variations: Variations,
    /// The data for the generation of the records. Most tests never use most accounts, so records are generated on
    /// first use.
    unfilled: Option<(Plan, Rng, DateTime<Utc>)>,
}

impl Account {
    /// Generates the records before their first use.
    pub(super) fn fill(&mut self) {
        if let Some((plan, rng, now)) = self.unfilled.take() {
            Seeder::new(&plan, rng, now, &mut self.records).fill();
            self.records.note_changes();
        }
    }
}

/// The state behind the lock.
pub(super) struct State {
    pub(super) accounts: Vec<Account>,
    pub(super) switches: Switches,
    pub(super) tokens: Tokens,
    pub(super) rules: Vec<Rule>,
    pub(super) gates: Vec<Arc<Gate>>,
    /// Gates that were created over `/_control`, by their ids.
    pub(super) numbered_gates: HashMap<u64, Arc<Gate>>,
    pub(super) log: VecDeque<RequestRecord>,
    /// Number of the request at the front of `log`.
    pub(super) log_start: u64,
    pub(super) webhooks: Queue,
    windows: HashMap<IpAddr, Window>,
    /// The accounts whose personal access tokens each address used, with the time of the last use.
    personal: HashMap<IpAddr, HashMap<AccountId, DateTime<Utc>>>,
}

/// The configuration of an initial state.
pub(super) struct Beginning {
    pub(super) seed: u64,
    pub(super) switches: Switches,
    /// The size of the first account's portfolio, if it is not the default.
    pub(super) portfolio: Option<Portfolio>,
    /// The variations of every demo account, if they are not those of the table.
    pub(super) variations: Option<Variations>,
}

/// The state behind its lock, and the data that needs none.
pub(super) struct Shared {
    pub(super) clock: ShiftedClock,
    pub(super) operations: Operations,
    pub(super) variations: Table,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) beginning: Beginning,
    pub(super) state: Mutex<State>,
    /// Changes with every entry of the log, for tests that wait for a request.
    pub(super) logged: watch::Sender<()>,
    pub(super) webhooks: Service,
}

/// The decisions made when a request arrives.
pub(super) struct Arrival {
    pub(super) number: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) admitted: bool,
    pub(super) gates: Vec<Arc<Gate>>,
    pub(super) rule: Option<Rule>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_client(&self, id: &str, secret: &str) -> bool {
        id == self.client_id && secret == self.client_secret.expose_secret()
    }

    /// Logs a request, counts it, and selects the rule and gates for it.
    pub(super) fn arrive(&self, call: &Call) -> Arrival {
        let now = self.clock.now();
        let mut state = self.lock();
        let account = state.account_behind(call);
        let path = call.masked_path();
        let number = state.log_start + state.log.len() as u64;
        if state.log.len() == LOG_LENGTH {
            state.log.pop_front();
            state.log_start += 1;
        }
        state.log.push_back(RequestRecord {
            method: call.method.clone(),
            path: path.to_owned(),
            query: call.query_text.clone(),
            user_agent: call.user_agent.clone(),
            credentials: call.credentials(),
            account: account.map(|id| id.0),
            body: call.loggable_body(),
            status: None,
            at: now,
        });
        let admitted = !call.is_api() || state.admit(call.peer, now);
        self.logged.send_replace(());
        // Rules and gates do not apply to requests above the rate limit.
        let rule = if admitted { script::take_rule(&mut state.rules, &call.method, path, account) } else { None };
        state.gates.retain(|gate| !gate.is_open());
        let gates =
            state.gates.iter().filter(|gate| admitted && gate.holds(&call.method, path, account)).cloned().collect();
        Arrival { number, at: now, admitted, gates, rule }
    }

    /// Adds the status to the log entry of a request.
    pub(super) fn answered(&self, number: u64, status: u16) {
        let mut state = self.lock();
        let index = number.checked_sub(state.log_start).and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| state.log.get_mut(index)) {
            record.status = Some(status);
        }
    }

    /// Returns the state after start.
    pub(super) fn fresh_state(&self) -> State {
        State::new(&self.beginning, &self.variations, self.clock.now())
    }
}

impl State {
    pub(super) fn new(beginning: &Beginning, table: &Table, now: DateTime<Utc>) -> Self {
        let mut state = State {
            accounts: Vec::new(),
            switches: beginning.switches.clone(),
            tokens: Tokens::default(),
            rules: Vec::new(),
            gates: Vec::new(),
            numbered_gates: HashMap::new(),
            log: VecDeque::new(),
            log_start: 0,
            webhooks: Queue::default(),
            windows: HashMap::new(),
            personal: HashMap::new(),
        };
        for (index, mut plan) in Plan::demo_accounts().into_iter().enumerate() {
            if index == 0
                && let Some(portfolio) = beginning.portfolio
            {
                plan = Plan::of_size(&plan.tenant_label, portfolio);
            }
            let variations = beginning.variations.clone().unwrap_or_else(|| table.at_first(&plan.tenant_label));
            state.open_account(plan, variations, beginning.seed, now);
        }
        state
    }

    /// Adds an account with a generated portfolio.
    pub(super) fn open_account(
        &mut self,
        plan: Plan,
        variations: Variations,
        seed: u64,
        now: DateTime<Utc>,
    ) -> DemoAccount {
        let index = self.accounts.len() as u64;
        let slug: String = plan.tenant_label.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let demo = DemoAccount {
            id: AccountId(70_101 + index as i64),
            name: plan.tenant_label.clone(),
            email: format!("{slug}{}@accounts.example", index + 1),
            time_zone: plan.home().time_zone.to_owned(),
            personal_access_token: format!("pt_sandbox_{slug}_{}", index + 1),
        };
        self.accounts.push(Account {
            demo: demo.clone(),
            records: Records::new(40_000 + 10_000_000 * index as i64),
            variations,
            unfilled: Some((plan, Rng::with_seed(seed.wrapping_add(index)), now)),
        });
        demo
    }

    pub(super) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.demo.id == id)
    }

    pub(super) fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.demo.id == id)
    }

    /// Returns the account with this personal access token.
    pub(super) fn account_by_pat(&self, email: &str, token: &str) -> Option<AccountId> {
        let found = self.accounts.iter().find(|account| {
            account.demo.email.eq_ignore_ascii_case(email) && account.demo.personal_access_token == token
        });
        found.map(|account| account.demo.id)
    }

    pub(super) fn account_behind(&self, call: &Call) -> Option<AccountId> {
        if let Some(bearer) = call.bearer() {
            return self.tokens.owner(bearer);
        }
        if let Some(account) = call.basic().and_then(|(user, password)| self.account_by_pat(&user, &password)) {
            return Some(account);
        }
        if let Some(token) = call.token_in_path() {
            return self.tokens.owner(token);
        }
        let form = call.form();
        ["refresh_token", "code"].iter().find_map(|name| self.tokens.owner(form.get(*name)?))
    }

    /// Returns whether an address may use this account's personal access token: it may use those of two accounts in 24
    /// hours (article "API authentication").
    pub(super) fn admit_personal(&mut self, peer: IpAddr, account: AccountId, now: DateTime<Utc>) -> bool {
        let seen = self.personal.entry(peer).or_default();
        seen.retain(|_, last| *last + TimeDelta::hours(24) > now);
        let admitted = seen.contains_key(&account) || seen.len() < 2;
        if admitted {
            seen.insert(account, now);
        }
        admitted
    }

    fn admit(&mut self, peer: IpAddr, now: DateTime<Utc>) -> bool {
        let limit = self.switches.request_limit;
        let window = self.windows.entry(peer).or_insert_with(|| Window::new(limit, ALLOWANCE_PERIOD));
        window.set_limit(limit);
        window.admit(now)
    }

    /// Resets the rate limit.
    pub(super) fn forget_allowance(&mut self) {
        self.windows.clear();
    }

    pub(super) fn policy(&self) -> Policy {
        Policy {
            life_seconds: self.switches.token_life_seconds,
            rotate_refresh: self.switches.rotate_refresh_tokens,
            refresh_ends_old_access: self.switches.refresh_ends_old_access,
            second_grant_ends_first: self.switches.second_grant_ends_first,
            read_only: self.switches.read_only,
        }
    }

    /// Returns the token response for a new grant.
    pub(super) fn grant(&mut self, account: AccountId, now: DateTime<Utc>) -> Option<Value> {
        self.account(account)?;
        let policy = self.policy();
        let reply = self.tokens.grant(account, policy, now);
        Some(self.signed(account, reply))
    }

    /// Adds the account to a token response.
    pub(super) fn signed(&self, account: AccountId, mut reply: Map<String, Value>) -> Value {
        reply.insert("user_id".into(), account.0.into());
        if let Some(account) = self.account(account) {
            reply.insert("user_display_name".into(), account.demo.name.clone().into());
        }
        reply.into()
    }
}
