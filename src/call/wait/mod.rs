//! Waiting: the pure machine that decides about a poll, and the waits for one thing and for many.

pub(crate) mod all;
pub(crate) mod one;
pub(crate) mod poll;
