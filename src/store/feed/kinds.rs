//! Which kinds of changes a page of the feed has.

use crate::domain::ChangeKind;

/// The kinds of changes that a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// Everything that the feed tells of.
    pub fn all() -> Self {
        ChangeKind::ALL
            .into_iter()
            .filter(|kind| kind.feed_name().is_some())
            .collect()
    }

    pub fn contains(self, kind: ChangeKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    fn bit(kind: ChangeKind) -> u32 {
        1 << kind as u32
    }

    /// The names that the database has for them; `None` for everything that the feed tells of.
    pub(in crate::store) fn names(self) -> Option<Vec<&'static str>> {
        let kinds = ChangeKind::ALL.into_iter();
        let names = kinds
            .filter(|kind| self.contains(*kind))
            .map(ChangeKind::name);
        (self != Self::all()).then(|| names.collect())
    }

    /// The kinds of these names; `None` if one of them is no kind that this version knows.
    pub(in crate::store) fn of_names(names: Option<&[String]>) -> Option<Self> {
        let Some(names) = names else {
            return Some(Self::all());
        };
        names.iter().map(|name| ChangeKind::named(name)).collect()
    }

    /// The names as an array of PostgreSQL; without a list the statement is faster.
    pub(super) fn literal(self) -> Option<String> {
        let names = self.names()?;
        Some(format!("{{{}}}", names.join(",")))
    }
}

impl FromIterator<ChangeKind> for Kinds {
    fn from_iter<T: IntoIterator<Item = ChangeKind>>(kinds: T) -> Self {
        Self(
            kinds
                .into_iter()
                .fold(0, |bits, kind| bits | Self::bit(kind)),
        )
    }
}
