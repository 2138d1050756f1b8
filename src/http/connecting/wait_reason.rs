//! The texts for an attempt to connect that waits: the reason, and the expected duration.

use chrono::TimeDelta;

use crate::{
    allowance::QueueScope,
    session::{ASK_AGAIN_AFTER, QueueWait, WaitReason},
};

/// Returns the reason for the wait, in sentences.
pub(in crate::http) fn reason_text(reason: WaitReason) -> String {
    match reason {
        WaitReason::Limit(_) => "OwnerRez limits the requests of this gateway, and none is available for this attempt \
                                 at the moment."
            .to_owned(),
        WaitReason::OwnShare { requests, .. } => format!(
            "Attempts to connect from one network may send {} within 5 minutes, so that others can connect too. Your \
             network has reached this limit.",
            count(requests, "request")
        ),
        WaitReason::BadCodes => "OwnerRez has rejected attempts to connect from your network, or by your user, within \
                                 the last hour. Until one succeeds, other attempts have priority, and only few \
                                 requests are available for this one."
            .to_owned(),
        WaitReason::UnderWay => "Another attempt to connect from your network is in progress.".to_owned(),
        WaitReason::NoPlace(scope) => {
            let whose = match scope {
                QueueScope::Source => " from your network address",
                QueueScope::Network => " from your network",
                QueueScope::Everyone => "",
            };
            format!("The queue is full: {} attempts to connect{whose} are already waiting.", scope.capacity())
        }
    }
}

/// Returns what happens next, and when.
pub(in crate::http) fn outlook_text(QueueWait { reason, about }: QueueWait) -> String {
    let span = duration_text(about);
    match reason {
        WaitReason::Limit(ahead) => {
            format!("{} The wait is about {span}, or longer if many other attempts arrive.", ahead_of(ahead, ""))
        }
        WaitReason::OwnShare { ahead, .. } => {
            format!("{} The wait is about {span}.", ahead_of(ahead, " from your network"))
        }
        WaitReason::BadCodes => format!("The wait is about {span}, or longer if many other attempts arrive."),
        WaitReason::UnderWay => {
            "This attempt continues when that one has ended, usually within a few seconds.".to_owned()
        }
        WaitReason::NoPlace(_) => format!(
            "This attempt is not in the queue yet. A place becomes free in about {span}, or sooner if one of them is \
             abandoned."
        ),
    }
}

fn ahead_of(ahead: u32, whose: &str) -> String {
    match ahead {
        0 => format!("Your attempt is the next one{whose}."),
        1 => format!("One attempt to connect{whose} is ahead of yours."),
        ahead => format!("{ahead} attempts to connect{whose} are ahead of yours."),
    }
}

fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Returns a duration in words, rounded up. It is at least the interval after which the caller asks again.
fn duration_text(about: TimeDelta) -> String {
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
            assert_eq!(duration_text(TimeDelta::seconds(seconds)), expected);
        }
    }
}
