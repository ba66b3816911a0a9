//! How it is computed: the scheduler, the memory budget, the executor.
