//! The durability seam: what is promised to be on stable storage, and when.
