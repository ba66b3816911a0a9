//! What `microtome-handler` gives to the code that `#[function]` writes, and no more: a stand-in, because this crate
//! lies below that one. Nothing travels here and nothing is registered; the registration only has to be a constant.

use std::fmt::Display;

#[derive(Debug, PartialEq)]
pub(crate) struct TaskError(pub(crate) String);

impl TaskError {
    pub(crate) fn failed(error: &(impl Display + ?Sized)) -> TaskError {
        TaskError(error.to_string())
    }
}

/// Bounds as the true one has them, but for serde.
pub(crate) trait Function: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    type Args: Send + 'static;
    type Output: Send + 'static;

    fn call(&self, args: Self::Args) -> Result<Self::Output, TaskError>;
}

pub(crate) mod __private {
    //! What only written code names.

    pub(crate) mod inventory {
        //! Stands in for the crate of this name.

        macro_rules! submit {
            ($value:expr) => {
                const _: $crate::handler::__private::Registered = $value;
            };
        }
        pub(crate) use submit;
    }

    pub(crate) struct Registered;

    impl Registered {
        pub(crate) const fn new<F: super::Function>(_: F, _: fn(&mut ())) -> Registered {
            Registered
        }
    }

    pub(crate) fn run_batch<F: super::Function>(_: F, _: &mut ()) {}
}
