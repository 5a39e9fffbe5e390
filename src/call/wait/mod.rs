//! Waiting: the pure state machine that decides after each poll, and the waits for one resource and for many, which
//! poll a list where the platform has one.

pub(crate) mod all;
pub(crate) mod one;
pub(crate) mod poll;
pub(crate) mod status_list;
