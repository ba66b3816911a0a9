//! What is to be computed: lazy arrays, estimates, task graphs.
