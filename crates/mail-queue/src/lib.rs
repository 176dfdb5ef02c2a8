//! Messages in transit: their states on disk and their hand-over.
