//! Certificate and key.

parameters! {
    CERTIFICATE: Text = "local.encryption.certificate", "", 0, 0, false, Restart, Status::Active, "all daemons", "The certificate chain (PEM); unset is config/certs/server.crt. Ours.";
    KEY: Text = "local.encryption.key", "", 0, 0, false, Restart, Status::Active, "all daemons", "The private key (PEM); unset is config/certs/server.key. Ours.";
    CERTIFICATES: Text = "local.encryption.certificates", "config/certs", 0, 0, false, Restart, Status::Active, "all daemons", "The folder of further certificates, shown to who asks for one of their names: NAME.crt with NAME.key, or folders with fullchain.pem and privkey.pem. NAME.ocsp beside a certificate is stapled. Ours.";
    CLIENT_AUTHORITIES: Text = "local.encryption.clientauthorities", "", 0, 0, false, Restart, Status::Active, "all daemons", "Authorities (PEM) whose certificates clients may log in with (SASL EXTERNAL); unset asks clients for none. Ours.";
    CLIENT_NAMES: List = "local.encryption.clientnames", "mail uid", 0, 0, false, Restart, Status::Active, "smtpd, imapd, popd", "What of a client's certificate is the uid or the address of the user, in order: mail, uid, cn. Ours.";
    CIPHERS: Text = "local.encryption.ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", 0, 0, false, Restart, Status::Active, "all daemons", "The ciphers of TLS 1.2 that clients get, in OpenSSL's words; those of TLS 1.3 are all good. The default are those with forward secrecy and AEAD (RFC 9325 §4.2). What clients of before 2014 need, ECDHE-RSA-AES256-SHA384 say, can be added. Ours.";
    NSS: Text = "encryption.*", "", 0, 0, false, Restart, Status::Ignored("TLS 1.2 and later: local.encryption.ciphers"), "nobody", "Settings of the original's TLS library.";
    NSS_FAMILY: Text = "encryption.*.*", "", 0, 0, false, Restart, Status::Ignored("TLS 1.2 and later: local.encryption.ciphers"), "nobody", "A setting of the original's TLS library.";
}
