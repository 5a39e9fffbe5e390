//! Waiting: the pure machine that decides about a poll, and the waits for one thing and for many,
//! which ask lists where there are any.

pub(crate) mod all;
pub(crate) mod one;
pub(crate) mod poll;
pub(crate) mod status_list;
