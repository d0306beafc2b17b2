//! Streams: what passes untouched, what is added and left out, when the head goes out, and how a stream may end.

mod commits;
mod limits;
mod passthrough;
mod translated;
mod writes;
