//! Locks of open file descriptions, freed by the kernel when their holder dies.
