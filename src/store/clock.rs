//! The time that rooms on SQLite go by. On Redis the server's clock decides, so that all replicas agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One moment, told twice. Equal as long as nobody sets the system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix milliseconds of the wall clock: for dates. It may step in both directions.
    pub unix_ms: u64,
    /// Unix milliseconds at start plus the time since: for durations. It never steps, so that setting the clock
    /// neither frees a window nor expires a hold.
    pub steady_ms: u64,
}

#[derive(Clone)]
pub enum Clock {
    System(Anchor),
    /// For tests.
    Stepped(Arc<SteppedClock>),
}

/// Where the steady clock started.
#[derive(Clone, Copy)]
pub struct Anchor {
    unix_ms: u64,
    at: Instant,
}

impl Clock {
    pub fn system() -> Self {
        Clock::System(Anchor { unix_ms: unix_ms(), at: Instant::now() })
    }

    pub fn now(&self) -> Now {
        match self {
            Clock::System(anchor) => {
                Now { unix_ms: unix_ms(), steady_ms: anchor.unix_ms.saturating_add(whole_ms(anchor.at.elapsed())) }
            }
            Clock::Stepped(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct SteppedClock {
    unix_ms: AtomicU64,
    steady_ms: AtomicU64,
}

impl SteppedClock {
    pub fn at(unix_ms: u64) -> Arc<Self> {
        Arc::new(SteppedClock { unix_ms: AtomicU64::new(unix_ms), steady_ms: AtomicU64::new(unix_ms) })
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an operator or NTP would; no time passes.
    pub fn set_wall(&self, unix_ms: u64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.unix_ms.load(Ordering::SeqCst), steady_ms: self.steady_ms.load(Ordering::SeqCst) }
    }
}

fn unix_ms() -> u64 {
    whole_ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole_ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
