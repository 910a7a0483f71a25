//! Pages of lists.

/// A page of a list ends after this much of data, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// The items of a page, and where the next one begins, if there is one.
pub struct ListPage<T, P> {
    pub items: Vec<T>,
    pub next: Option<P>,
}

/// How many items of these sizes a page has until it has 1 MiB of data; one at least.
pub fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let within = |size: &usize| {
        bytes += size;
        bytes <= LIST_BYTES_MAX
    };
    sizes.take_while(within).count().max(1)
}

impl<T, P> ListPage<T, P> {
    /// Cuts a page out of `items`, which were read with one item more than `limit`. That item shows
    /// that there is a next page, which begins after the `position` of this page's last item.
    pub fn cut(items: Vec<T>, limit: i64, position: impl Fn(&T) -> P) -> Self {
        Self::cut_at(items, limit, |_| 0, position)
    }

    /// As [`ListPage::cut`], but the page also ends after 1 MiB of data, measured by `size`. It has
    /// one item at least.
    pub fn cut_at(
        mut items: Vec<T>,
        limit: i64,
        size: impl Fn(&T) -> usize,
        position: impl Fn(&T) -> P,
    ) -> Self {
        let fitting = fitting(items.iter().map(size));
        let limit = usize::try_from(limit)
            .expect("a limit was checked")
            .min(fitting);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(position);
        Self { items, next }
    }
}
