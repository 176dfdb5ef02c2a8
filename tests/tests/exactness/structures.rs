//! Hard MIME, by hand. Line ends are LF here and CR LF in the message.

/// Name, and the message.
pub const MESSAGES: &[(&str, &str)] = &[
    // -- types and parameters --
    ("plain without MIME", "Subject: s\n\none\ntwo\n"),
    (
        "type in capitals",
        "Content-Type: TEXT/HTML; CHARSET=UTF-8\nContent-Transfer-Encoding: QUOTED-PRINTABLE\n\n<p>=41</p>\n",
    ),
    ("type without subtype", "Content-Type: text\n\nx\n"),
    ("type of slashes", "Content-Type: a/b/c\n\nx\n"),
    ("empty type", "Content-Type:\n\nx\n"),
    ("type of blanks", "Content-Type: text / html ; charset = utf-8\n\nx\n"),
    (
        "type with comments",
        "Content-Type: (c) text (d) / (e) plain (f) ; (g) charset (h) = (i) utf-8 (j)\n\nx\n",
    ),
    (
        "quoted parameters",
        "Content-Type: text/plain; name=\"a \\\"b\\\" c.txt\"; charset=\"us-ascii\"\n\nx\n",
    ),
    ("parameter without value", "Content-Type: text/plain; charset\n\nx\n"),
    ("parameter with empty value", "Content-Type: text/plain; name=; charset=\"\"\n\nx\n"),
    ("parameter without quotes", "Content-Type: application/pdf; name=a b c.pdf\n\nx\n"),
    ("semicolons astray", "Content-Type: text/plain;; charset=utf-8;\n\nx\n"),
    ("parameter twice", "Content-Type: text/plain; charset=a; charset=b\n\nx\n"),
    ("folded parameters", "Content-Type: text/plain;\n charset=utf-8;\n\tname=\"a\n b.txt\"\n\nx\n"),
    ("RFC 2231 charset", "Content-Type: application/x; name*=utf-8'de'%C3%A4%20b.bin\n\nx\n"),
    ("RFC 2231 pieces", "Content-Type: application/x; name*0=\"one\"; name*1=\"two\"; name*2=three\n\nx\n"),
    (
        "RFC 2231 pieces with charset",
        "Content-Type: application/x; name*0*=utf-8''%C3%A4; name*1=b; name*2*=%C3%B6\n\nx\n",
    ),
    ("RFC 2231 out of order", "Content-Type: application/x; name*1=two; name*0=one\n\nx\n"),
    ("RFC 2231 with a gap", "Content-Type: application/x; name*0=one; name*2=three\n\nx\n"),
    ("RFC 2231 broken", "Content-Type: application/x; name*=utf-8'%C3; name*x*=1; *=2\n\nx\n"),
    ("encoded word in a parameter", "Content-Type: application/x; name=\"=?utf-8?q?=C3=A4?=\"\n\nx\n"),
    (
        "8-bit parameter",
        "Content-Type: application/x; name=\"\u{e4}.bin\"\nContent-Disposition: attachment; filename=\u{e4}.bin\n\nx\n",
    ),
    ("two types", "Content-Type: text/html\nContent-Type: text/plain\n\nx\n"),
    ("unknown encoding", "Content-Transfer-Encoding: x-uuencode\n\nx\n"),
    ("encoding with a comment", "Content-Transfer-Encoding: (c) base64 (d)\n\neA==\n"),
    ("encoding with a parameter", "Content-Transfer-Encoding: 8bit; x=y\n\nx\n"),
    ("empty encoding", "Content-Transfer-Encoding:\n\nx\n"),
    // -- other fields of a part --
    (
        "id and description",
        "Content-ID: <1@t>\nContent-Description: a\n folded one\nContent-MD5: Q2hlY2s=\n\nx\n",
    ),
    ("id without brackets", "Content-ID: 1@t\n\nx\n"),
    ("disposition", "Content-Disposition: attachment; filename=\"a b.txt\"; size=10\n\nx\n"),
    ("disposition in capitals", "Content-Disposition: INLINE\n\nx\n"),
    ("disposition broken", "Content-Disposition: attachment filename=a\n\nx\n"),
    ("empty disposition", "Content-Disposition:\n\nx\n"),
    ("disposition RFC 2231", "Content-Disposition: attachment; filename*=iso-8859-1''%E4.txt\n\nx\n"),
    ("one language", "Content-Language: en\n\nx\n"),
    ("languages", "Content-Language: en, de (German), fr-CA\n\nx\n"),
    ("empty language", "Content-Language: \n\nx\n"),
    ("location", "Content-Location: http://a.test/b\n c\nContent-Base: http://c.test\n\nx\n"),
    ("8-bit description", "Content-Description: \u{e4}\n\nx\n"),
    // -- multiparts --
    (
        "two parts",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>\n--b--\n",
    ),
    (
        "preamble and epilogue",
        "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b--\nepilogue\n\n",
    ),
    (
        "alternative in mixed",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\nplain\n--i\nContent-Type: text/html\n\n<p>\n--i--\n\n--o\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=a.pdf\n\nQUJD\n--o--\n",
    ),
    (
        "related with start",
        "Content-Type: multipart/related; boundary=\"b c\"; type=\"text/html\"; start=\"<1@t>\"\n\n--b c\nContent-ID: <1@t>\nContent-Type: text/html\n\n<p>\n--b c\nContent-Type: image/png\nContent-ID: <2@t>\n\npng\n--b c--\n",
    ),
    ("no boundary parameter", "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n"),
    ("empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\none\n----\n"),
    ("boundary that never comes", "Content-Type: multipart/mixed; boundary=b\n\nno part\n"),
    ("only the end", "Content-Type: multipart/mixed; boundary=b\n\n--b--\n"),
    ("no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n"),
    ("no end, no line end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none"),
    (
        "ends in a part's header",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n",
    ),
    ("ends behind a boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n"),
    ("ends in a boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b"),
    ("end without line end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--"),
    ("no body of the multipart", "Content-Type: multipart/mixed; boundary=b\n\n"),
    ("no empty line of the multipart", "Content-Type: multipart/mixed; boundary=b\n"),
    ("boundary with blanks behind", "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b-- \n"),
    (
        "boundary with text behind",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bx\n\ntwo\n--b--\n",
    ),
    (
        "boundary with dash behind",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b-\n\ntwo\n--b--\n",
    ),
    (
        "boundary is another's beginning",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n",
    ),
    (
        "inner boundary is the outer's beginning",
        "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--bb\n\ntwo\n--bb--\n",
    ),
    (
        "the same boundary inside",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n\n--b\n\ntwo\n--b--\n",
    ),
    ("boundary with blanks", "Content-Type: multipart/mixed; boundary=\" b \"\n\n-- b \n\none\n-- b --\n"),
    (
        "boundary of punctuation",
        "Content-Type: multipart/mixed; boundary=\"'()+_,-./:=?\"\n\n--'()+_,-./:=?\n\none\n--'()+_,-./:=?--\n",
    ),
    (
        "boundary without quotes",
        "Content-Type: multipart/mixed; boundary=a=b:c\n\n--a=b:c\n\none\n--a=b:c--\n",
    ),
    ("boundary in capitals", "Content-Type: multipart/mixed; boundary=B\n\n--b\n\none\n--B\n\ntwo\n--B--\n"),
    (
        "boundary in RFC 2231",
        "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\none\n--ab--\n",
    ),
    (
        "outer ends the inner",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o\n\ntwo\n--o--\n",
    ),
    (
        "outer end ends all",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o--\nepilogue\n",
    ),
    (
        "outer ends inner preamble",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--o\n\ntwo\n--o--\n",
    ),
    (
        "part behind the end",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
    ),
    ("empty part", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\n\n\n--b\n--b--\n"),
    (
        "part without empty line",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n\ntwo\n--b--\n",
    ),
    (
        "part begins with text",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nno header here\n\none\n--b--\n",
    ),
    ("parts without line ends", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\n--b\n\none\n\n--b--"),
    (
        "deep",
        "Content-Type: multipart/a; boundary=1\n\n--1\nContent-Type: multipart/b; boundary=2\n\n--2\nContent-Type: multipart/c; boundary=3\n\n--3\nContent-Type: multipart/d; boundary=4\n\n--4\n\none\n--4--\n--3--\n--2--\n--1--\n",
    ),
    (
        "signed",
        "Content-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"; micalg=pgp-sha256\n\n--b\nContent-Type: text/plain\n\none\n--b\nContent-Type: application/pgp-signature; name=signature.asc\nContent-Description: OpenPGP\n\n-----BEGIN\n-----END\n--b--\n",
    ),
    (
        "report",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nnotice\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a.test\n\nFinal-Recipient: rfc822; a@a.test\nAction: failed\n\n--b\nContent-Type: text/rfc822-headers\n\nSubject: s\n--b--\n",
    ),
    (
        "multipart in base64",
        "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\none\n--b--\n",
    ),
    (
        "multipart with description",
        "Content-Type: multipart/mixed; boundary=b; x=y\nContent-Description: d\nContent-Disposition: inline; a=b\nContent-Language: en, de\nContent-Location: l\nContent-ID: <1@t>\n\n--b\n\none\n--b--\n",
    ),
    (
        "parts of every kind",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\nx\n--b\nContent-Type: audio/x; a=b\n\nx\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\u{e4}\n--b\nContent-Type: message/partial; id=1\n\nx\n--b\nContent-Type: message/external-body; access-type=x\n\nx\n\n--b--\n",
    ),
    // -- messages inside --
    ("message", "Content-Type: message/rfc822\n\nSubject: inner\nFrom: a@a.test\n\none\ntwo\n"),
    (
        "message in a part",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: message/rfc822; name=x\nContent-Disposition: attachment\n\nSubject: inner\nTo: A: b@b.test;\n\none\n--b--\n",
    ),
    (
        "multipart message in a part",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\nContent-Type: text/html\n\n<p>\n--i--\n--o--\n",
    ),
    (
        "message in a message",
        "Content-Type: message/rfc822\n\nSubject: 1\nContent-Type: message/rfc822\n\nSubject: 2\nContent-Type: message/rfc822\n\nSubject: 3\n\nthree\n",
    ),
    ("message without a body", "Content-Type: message/rfc822\n\nSubject: inner\n\n"),
    ("message without anything", "Content-Type: message/rfc822\n\n"),
    ("message without a header", "Content-Type: message/rfc822\n\n\nbody only\n"),
    (
        "message cut in its header",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: cut\n--b\n\ntwo\n--b--\n",
    ),
    (
        "message without empty line",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n--b\n\ntwo\n--b--\n",
    ),
    (
        "message in base64",
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCnRleHQK\n",
    ),
    ("message/global", "Content-Type: message/global\n\nSubject: \u{e4}\n\none\n"),
    (
        "digest",
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: 2\n\ntwo\n--b\nContent-Type: text/plain\n\nthree\n--b--\n",
    ),
    ("digest of nothing", "Content-Type: multipart/digest; boundary=b\n\n--b\n\n--b--\n"),
    (
        "multipart in a digest",
        "Content-Type: multipart/digest; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i--\n--o--\n",
    ),
    (
        "broken type in a digest",
        "Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: nonsense\n\nSubject: 1\n\none\n--b--\n",
    ),
    // -- bodies --
    (
        "quoted-printable",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=84pfel =\nund=20Birnen=\n=3D\nlost=\n",
    ),
    (
        "base64 text",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nw4RwZmVs\nIHVuZCBC\naXJuZW4=\n",
    ),
    (
        "latin-1 text",
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n=C4pfel und Birnen\n",
    ),
    ("html", "Content-Type: text/html; charset=utf-8\n\n<html><b>Birnen</b> &auml;</html>\n"),
    ("empty lines", "\n\n\n\n"),
    ("dots and froms", "Subject: s\n\n.\n..\nFrom here\n>From there\n--\n-- \n"),
    ("words over line ends", "Content-Transfer-Encoding: quoted-printable\n\nBir=\nnen und =C3=\n=84pfel\n"),
    (
        "words in two parts",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nBirnen\n--b\nContent-Type: application/octet-stream\n\nApfelmus\n--b--\n",
    ),
];
