//! A store in trouble: what clients see of it, what is lost, and how it ends.

mod pause;
