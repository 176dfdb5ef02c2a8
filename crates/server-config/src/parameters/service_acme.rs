//! The certificate that is ordered by ACME (RFC 8555).

parameters! {
    NAMES: List = "service.acme.names", "", 0, 0, false, Restart, Status::Active, "stored, msg-acme", "The host names of the certificate that is ordered by ACME, as clients use them; the first is the usual one. Unset orders nothing. Ours.";
    DIRECTORY: Https = "service.acme.directory", "https://acme-v02.api.letsencrypt.org/directory", 0, 0, false, Restart, Status::Active, "stored, msg-acme", "The URL of the ACME directory of the certificate authority. Another one has a new certificate ordered. Ours.";
    AGREE_TOS: Switch = "service.acme.agreetos", "no", 0, 1, false, Now, Status::Active, "stored, msg-acme", "Whether you agree to the terms of service of the authority; without that nothing is ordered. msg-acme terms says where they are. Ours.";
    CONTACT: List = "service.acme.contact", "", 0, 0, false, Now, Status::Active, "stored, msg-acme", "Mail addresses at which the authority may reach you. Ours.";
    CA_FILE: Text = "service.acme.cafile", "", 0, 0, false, Restart, Status::Active, "stored, msg-acme", "The certificates (PEM) of the authorities that the directory's own certificate must come from, for a private one; unset is the system's. Ours.";
    EAB_KID: Text = "service.acme.eabkid", "", 0, 0, false, Now, Status::Active, "stored, msg-acme", "The key identifier that an authority gave you with which you have an account already (external account binding). Ours.";
    EAB_KEY: Text = "service.acme.eabkey", "", 0, 0, false, Now, Status::Active, "stored, msg-acme", "The key to service.acme.eabkid as the authority gave it (base64url), or file:PATH of a file that holds it. Ours.";
    PORT: Port = "service.acme.port", "0", 0, 65535, false, Restart, Status::Active, "stored, msg-acme", "A port on which stored answers the authority's challenges (http-01); 0: mshttpd does on its own. The authority asks port 80, so that must lead here. Ours.";
    RENEW_PERCENT: Count = "service.acme.renewpercent", "33", 1, 90, false, Now, Status::Active, "stored, msg-acme", "A new certificate is ordered when so much of the life of the present one is left, in percent. Ours.";
    ORDERS_MAX: Count = "service.acme.ordersmax", "5", 1, 1000, false, Now, Status::Active, "stored, msg-acme", "Orders within 24 hours at most, whatever happens. Ours.";
    REUSE_KEY: Switch = "service.acme.reusekey", "no", 0, 1, false, Now, Status::Active, "stored, msg-acme", "Whether the key stays when the certificate is renewed, as TLSA records of the key need it. Ours.";
}
