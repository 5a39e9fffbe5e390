//! Lists: the iterator over pages, the page as it was answered, and the walk from one page to the next.

pub(crate) mod page;
pub(crate) mod pager;
mod prefetch;
mod walk;
