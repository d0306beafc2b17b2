//! What tokens cost, and how many a request can have. Needs no network: the price list is part of the program.

mod book;
mod bundled;
mod listing;
mod longest;
mod newer;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use book::PriceBook;
pub use listing::{Account, Listing, Rates, Row};
