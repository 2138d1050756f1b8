//! The texts for an attempt to connect that waits: the reason, and the expected duration.

use chrono::TimeDelta;

use crate::session::{ASK_AGAIN_AFTER, Crowd, WaitReason, Waits};

/// Returns the reason for the wait, in sentences.
pub(super) fn why(reason: WaitReason) -> String {
    match reason {
        WaitReason::Limit(_) => "OwnerRez limits how many requests this gateway may send, and none is free for this \
                                 attempt at this moment."
            .to_owned(),
        WaitReason::OwnShare { requests, .. } => format!(
            "So that others can connect as well, attempts to connect from one network may send {} within 5 minutes. Your \
             network has sent as many.",
            count(requests, "request")
        ),
        WaitReason::BadCodes => "OwnerRez has refused attempts to connect from your network, or by your user, within the \
                                 last hour. Until one succeeds, others go first, and few requests are for attempts like \
                                 this one."
            .to_owned(),
        WaitReason::UnderWay => "Another attempt to connect from your network is under way.".to_owned(),
        WaitReason::NoPlace(crowd) => {
            let whose = match crowd {
                Crowd::Source => " from your network address",
                Crowd::Network => " from your network",
                Crowd::Everyone => "",
            };
            format!("{} attempts to connect{whose} wait already, and no more may.", crowd.places())
        }
    }
}

/// Returns what happens next, and when.
pub(super) fn when(Waits { reason, about }: Waits) -> String {
    let span = span(about);
    match reason {
        WaitReason::Limit(ahead) => {
            format!("{} That takes about {span}, or longer if many others come.", ahead_of(ahead, ""))
        }
        WaitReason::OwnShare { ahead, .. } => {
            format!("{} That takes about {span}.", ahead_of(ahead, " from your network"))
        }
        WaitReason::BadCodes => format!("That takes about {span}, or longer if many others come."),
        WaitReason::UnderWay => "This one goes on when that one has ended, usually within a few seconds.".to_owned(),
        WaitReason::NoPlace(_) => format!(
            "This attempt has no place yet. A place becomes free in about {span}, or sooner if one of them gives up."
        ),
    }
}

fn ahead_of(ahead: u32, whose: &str) -> String {
    match ahead {
        0 => format!("You are the next one{whose}."),
        1 => format!("One attempt to connect{whose} goes before yours."),
        ahead => format!("{ahead} attempts to connect{whose} go before yours."),
    }
}

fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Returns a duration in words, rounded up. It is at least the interval after which the caller asks again.
fn span(about: TimeDelta) -> String {
    match about.max(ASK_AGAIN_AFTER).num_seconds() {
        seconds @ 0..=9 => format!("{seconds} seconds"),
        seconds @ 10..=89 => format!("{} seconds", (seconds / 10 + 1) * 10),
        seconds => format!("{} minutes", seconds / 60 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        for (seconds, expected) in [
            (-1, "5 seconds"),
            (0, "5 seconds"),
            (9, "9 seconds"),
            (10, "20 seconds"),
            (89, "90 seconds"),
            (90, "2 minutes"),
            (300, "6 minutes"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), expected);
        }
    }
}
