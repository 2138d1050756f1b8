//! The limits that the rules for requests and those for webhooks share: an account, and a number of matches.

/// Returns the number of matches of a rule that does not set it.
pub(super) fn once() -> Option<u32> {
    Some(1)
}

/// Defines the methods that set the members `account` and `times` of a rule.
macro_rules! rule_limits {
    ($rule:ty, $matched:literal) => {
        impl $rule {
            #[doc = concat!("Restricts the rule to the ", $matched, " of this account.")]
            pub fn account(mut self, account: $crate::domain::AccountId) -> Self {
                self.account = Some(account.0);
                self
            }

            #[doc = concat!("Applies the rule to the next `times` ", $matched, ".")]
            pub fn times(mut self, times: u32) -> Self {
                self.times = Some(times);
                self
            }

            #[doc = concat!(
                                        "Applies the rule to all ",
                                        $matched,
                                        " until [`Controls::clear_rules`](crate::simulator::Controls::clear_rules)."
                                    )]
            pub fn always(mut self) -> Self {
                self.times = None;
                self
            }
        }
    };
}
pub(super) use rule_limits;
