//! What is mapped over: any iterator of arguments, or several iterables side by side.
//!
//! *Invariant:* nothing is cut silently: where zipped iterables have different lengths, the item behind the last whole tuple
//! is an error, unless [`Zip::shortest`] was asked for.

use crate::error::{TaskError, TaskErrorKind};

/// Something to map over: an iterator of arguments, or a [`Zip`].
pub trait IntoArgs<A> {
    /// The arguments, one after the other; an `Err` stands for an item that cannot be made and is its result.
    type Iter: Iterator<Item = Result<A, TaskError>>;

    /// Starts iterating.
    fn into_args(self) -> Self::Iter;
}

impl<A, I: IntoIterator<Item = A>> IntoArgs<A> for I {
    type Iter = Plain<I::IntoIter>;

    fn into_args(self) -> Self::Iter {
        Plain(self.into_iter())
    }
}

/// The arguments of a plain iterator: none of them is an error.
#[derive(Clone, Debug)]
pub struct Plain<I>(I);

impl<I: Iterator> Iterator for Plain<I> {
    type Item = Result<I::Item, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// Iterables side by side; [`zip`] makes one.
#[derive(Clone, Debug)]
#[must_use = "give it to map or batched_map"]
pub struct Zip<T> {
    iterables: T,
    shortest: bool,
}

/// Puts two or three iterables side by side, as arguments of a function of as many. Different lengths are an error.
///
/// # Examples
/// ```
/// use microtome_handler::{Handler, TaskErrorKind, zip};
///
/// let handler = Handler::local();
/// let add = |(a, b): (u32, u32)| a + b;
/// let futures = handler.map(add, zip((1.., [10, 20])).shortest());
/// assert_eq!(handler.try_gather(futures)?, [11, 22]);
///
/// let futures = handler.map(add, zip(([1, 2, 3], [10, 20])));
/// let results = handler.gather(futures);
/// assert_eq!(results.len(), 3, "the two whole pairs, and an error in place of the third");
/// assert!(matches!(results[2].as_ref().unwrap_err().kind(), TaskErrorKind::UnequalLengths { pairs: 2, .. }));
/// # Ok::<(), microtome_handler::TaskError>(())
/// ```
pub fn zip<T>(iterables: T) -> Zip<T> {
    Zip { iterables, shortest: false }
}

impl<T> Zip<T> {
    /// Stops where the shortest ends, as `Iterator::zip` and Python's `zip` do.
    pub fn shortest(mut self) -> Zip<T> {
        self.shortest = true;
        self
    }
}

/// The tuples of a [`Zip`].
#[derive(Clone, Debug)]
pub struct Zipped<T> {
    iterators: T,
    shortest: bool,
    tuples: u64,
    over: bool,
}

impl<T> Zipped<T> {
    /// What comes behind the last whole tuple: nothing, or an error if only some have ended.
    fn end<X>(&mut self, ended: &[(&str, bool)]) -> Option<Result<X, TaskError>> {
        self.over = true;
        let first = ended.iter().find(|(_, ended)| *ended)?;
        if self.shortest || ended.iter().all(|(_, ended)| *ended) {
            return None;
        }
        Some(Err(TaskErrorKind::UnequalLengths { pairs: self.tuples, ended: first.0.to_owned() }.into()))
    }
}

macro_rules! zipped {
    ($($iterable:ident $item:ident $place:tt $name:literal),+) => {
        impl<$($item,)+ $($iterable),+> IntoArgs<($($item,)+)> for Zip<($($iterable,)+)>
        where
            $($iterable: IntoIterator<Item = $item>,)+
        {
            type Iter = Zipped<($($iterable::IntoIter,)+)>;

            fn into_args(self) -> Self::Iter {
                let iterators = ($(self.iterables.$place.into_iter(),)+);
                Zipped { iterators, shortest: self.shortest, tuples: 0, over: false }
            }
        }

        impl<$($iterable: Iterator),+> Iterator for Zipped<($($iterable,)+)> {
            type Item = Result<($($iterable::Item,)+), TaskError>;

            fn next(&mut self) -> Option<Self::Item> {
                if self.over {
                    return None;
                }
                let next = ($(self.iterators.$place.next(),)+);
                let ended = [$(($name, next.$place.is_none())),+];
                match next {
                    ($(Some($item),)+) => {
                        self.tuples += 1;
                        Some(Ok(($($item,)+)))
                    }
                    _ => self.end(&ended),
                }
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                // One more than the shortest: the error, where lengths differ.
                let hints = [$(self.iterators.$place.size_hint()),+];
                let low = hints.iter().map(|hint| hint.0).min().unwrap_or(0);
                let high = hints.iter().filter_map(|hint| hint.1).min();
                let equal = hints.iter().all(|hint| *hint == hints[0]);
                let more = usize::from(!self.shortest && !equal);
                (low, high.map(|high| high.saturating_add(more)))
            }
        }
    };
}

#[expect(non_snake_case, reason = "the names of the type parameters serve for their values, too")]
mod tuples {
    use super::{IntoArgs, TaskError, Zip, Zipped};

    zipped!(I A 0 "first", J B 1 "second");
    zipped!(I A 0 "first", J B 1 "second", K C 2 "third");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<A, T: IntoArgs<A>>(args: T) -> Vec<Result<A, TaskErrorKind>> {
        args.into_args().map(|item| item.map_err(|error| error.kind().clone())).collect()
    }

    #[test]
    fn equal_lengths_end_together() {
        assert_eq!(all(zip(([1, 2], ["a", "b"]))), [Ok((1, "a")), Ok((2, "b"))]);
        assert_eq!(all(zip(([1], [2], [3]))), [Ok((1, 2, 3))]);
        assert_eq!(all::<(u8, u8), _>(zip(([], []))), []);
    }

    #[test]
    fn the_one_that_ended_is_named_whichever_it_is() {
        let unequal = |pairs, ended: &str| TaskErrorKind::UnequalLengths { pairs, ended: ended.to_owned() };
        assert_eq!(all(zip(([1], [1, 2]))), [Ok((1, 1)), Err(unequal(1, "first"))]);
        assert_eq!(all(zip((vec![1, 2], vec![1]))), [Ok((1, 1)), Err(unequal(1, "second"))]);
        let none: Vec<i32> = Vec::new();
        assert_eq!(all(zip((vec![1, 2], vec![1, 2], none))), [Err(unequal(0, "third"))]);
    }

    #[test]
    fn the_shortest_ends_it_when_asked() {
        assert_eq!(all(zip((0.., [5, 6])).shortest()), [Ok((0, 5)), Ok((1, 6))]);
    }
}
