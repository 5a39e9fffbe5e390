//! Lists: the iterator over pages, a page as it was answered, the walk from one page to the next, and the guard that
//! notices a list without an end.

mod guard;
pub(crate) mod page;
pub(crate) mod pager;
mod prefetch;
mod walk;
