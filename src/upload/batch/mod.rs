//! A batch: many files, several at a time, one outcome for each.

pub(crate) mod builder;
pub(crate) mod create_all;
mod destination;
mod job;
pub(crate) mod name_lock;
mod outage;
mod polling;
mod scheduler;
mod sending;
