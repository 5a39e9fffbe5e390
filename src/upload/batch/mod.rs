//! A batch of uploads: several files at a time, with one outcome for each.

pub(crate) mod builder;
pub(crate) mod create_all;
mod destination;
mod job;
pub(crate) mod name_lock;
mod outage;
mod polling;
mod scheduler;
mod sending;
