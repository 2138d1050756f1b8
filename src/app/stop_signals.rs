//! The signals that stop the process in an orderly way: Ctrl-C, SIGTERM, and SIGHUP unless the process was started to
//! outlive its terminal (`nohup`).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The handlers of the stop signals. Active as soon as this exists, also while the gateway still starts.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Installs the handlers. Must be called inside a runtime.
    ///
    /// # Errors
    /// If the system does not let the process handle signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the first signal. After it, a second Ctrl-C or SIGTERM ends the process at once, as users expect. A
    /// second SIGHUP does not, since a terminal that closes may send it twice.
    pub async fn first(mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
        actix_rt::spawn(async move {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            std::process::exit(130);
        });
    }
}

/// Returns whether the process was started with SIGHUP ignored. Known on Linux only.
fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup_by(&status))
}

/// Reads the mask of ignored signals in `proc_pid_status(5)`: bit 0 is signal 1, SIGHUP.
fn ignores_hangup_by(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_read_from_the_mask() {
        assert!(ignores_hangup_by("Name:\tx\nSigIgn:\t0000000000000001\n"));
        assert!(ignores_hangup_by("SigIgn:\t0000000000001001"));
        assert!(!ignores_hangup_by("SigIgn:\t0000000000001000"));
        assert!(!ignores_hangup_by("SigIgn:\tx") && !ignores_hangup_by(""));
    }
}
