//! SASL mechanisms as text: challenge and response to credentials.
