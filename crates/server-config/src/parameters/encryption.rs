//! Certificate and key.

parameters! {
    CERTIFICATE: Text = "local.encryption.certificate", "", 0, 0, false, Restart, Status::Active, "all daemons", "The certificate chain (PEM); unset is config/certs/server.crt. Ours.";
    KEY: Text = "local.encryption.key", "", 0, 0, false, Restart, Status::Active, "all daemons", "The private key (PEM); unset is config/certs/server.key. Ours.";
    NSS: Text = "encryption.*", "", 0, 0, false, Restart, Status::Ignored("TLS 1.2 and later with the system's ciphers"), "nobody", "Settings of the original's TLS library.";
    NSS_FAMILY: Text = "encryption.*.*", "", 0, 0, false, Restart, Status::Ignored("TLS 1.2 and later with the system's ciphers"), "nobody", "A setting of the original's TLS library.";
}
