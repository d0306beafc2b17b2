//! Health of targets: circuit breakers, cool-downs and measured speed, and what further calls the fleet can bear.
//!
//! A 429 cools its target until it is due and is neutral to the breaker; errors in a row open it; after `open` one
//! probe is let through. A target without credit or with a refused key rests: calls go elsewhere, and where there is
//! nobody else, one at a time may find out whether it works again. Where its provider has several keys, the key cools
//! or rests, for all targets of that provider, and the target is out only while no key is left. A caller's own 4xx
//! never counts.
//!
//! Every process decides by its own view, without a store call. On Redis the views of all replicas are put together
//! about once a second, and at once when one changes ([`Targets::exchange`]); only the probe of a half-open breaker
//! asks the store, because there is one for all. A process that can't reach the store goes by its own view.

mod board;
mod budget;
mod health;
mod keys;
mod permit;
mod redis;
mod view;

pub use budget::RetryRule;
pub use health::{BreakerRule, BreakerState};
pub use permit::Permit;
pub use view::Targets;
