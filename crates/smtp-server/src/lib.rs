//! The smtp-accept module: an SMTP conversation that ends in a committed queue entry.
