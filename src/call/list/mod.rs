//! Lists: the iterator over pages, a page as it was received, the walk from one page to the next, and the guard that
//! notices an endless list.

mod guard;
pub(crate) mod page;
pub(crate) mod pager;
mod prefetch;
mod walk;
