use proptest::prelude::*;

use super::*;
use crate::{MISTAKES_MAX, RULES_MAX};

const HEADER: &[u8] = b"From: Spam <s@x.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_VIAGRA?=\r\n\
                        Received: one\r\nReceived: two\r\n three\r\nAuth-Sender: joe\r\n\r\nSubject: body\r\n";

fn mail(header: &[u8]) -> Mail<'_> {
    let controls = vec![
        (Control::HostFrom, "mx.x.example [192.0.2.7]".to_owned()),
        (Control::UserFrom, "<s@x.example> BODY=8BITMIME".to_owned()),
        (Control::ChannelTo, "<alice@example.test>".to_owned()),
        (Control::ChannelTo, "<bob@example.test>".to_owned()),
        (Control::MtaHops, "2".to_owned()),
        (Control::MessageSize, "1713".to_owned()),
    ];
    Mail { header, controls }
}

fn judge(rules: &str) -> Judgement {
    Filter::parse(rules.as_bytes()).unwrap().judge(&mail(HEADER))
}

fn fires(rule: &str) -> bool {
    judge(&format!("{rule} DROP")).verdict == Verdict::Drop
}

fn mistakes(rules: &str) -> Vec<String> {
    Filter::parse(rules.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn fields_are_decoded_unfolded_and_compared_as_the_flags_say() {
    assert!(fires("Subject viagra") && fires("SUBJECT \"^grüße viagra$\"") && fires("subject GRÜSSE|GRÜßE"));
    assert!(!fires("Subject:case viagra") && fires("Subject:case VIAGRA") && fires("Subject :case VIAGRA"));
    assert!(fires("Received \"^two three$\"") && fires("Received ^one$") && !fires("Received body"));
    assert!(!fires("Subject body") && !fires("X-Missing .*") && fires("From \"<s@x\\.example>\""));
    assert!(fires("Subject \"[[:alpha:]]{6}\"") && !fires("Subject ^viagra"));
}

#[test]
fn the_envelope_is_looked_at_by_name_and_a_header_field_is_none_of_it() {
    assert!(
        fires("Host-From \"\\[192\\.0\\.2\\.\"") && fires("user-from ^<s@x") && fires("User-From 8bitmime")
    );
    assert!(fires("Channel-To bob@") && !fires("Channel-To carol@"));
    assert!(fires("MTA-Hops ^2$") && fires("Message-Size ^[0-9]{4,}$") && !fires("Message-Size ^[0-9]{5,}$"));
    assert!(!fires("Auth-Sender .*"), "the sender wrote that field");
    assert!(fires("* viagra") && fires("* bob@") && fires("* joe"));
    assert!(!fires("*:envonly viagra") && fires("*:envonly bob@") && fires("* :envonly:case bob"));
    assert!(fires("Channel-To:envonly alice"));
}

#[test]
fn the_walk_goes_down_jumps_and_ends() {
    let judgement = judge(
        "Subject viagra COPY spam@example.test\n* . COPY spam@example.test\n\
         :A From x\\.example JUMP b\nFrom . DROP\n:B From . COPY two@example.test\n\
         From nobody REJECT no\nFrom . HOLD\nFrom . DROP\n",
    );
    assert_eq!(judgement.verdict, Verdict::Hold);
    assert_eq!(judgement.copies, ["spam@example.test", "two@example.test"]);
    let told: Vec<String> = judgement.fired.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1 COPY <spam@example.test>",
            "line 2 COPY <spam@example.test>",
            "line 3 (:A) JUMP",
            "line 5 (:B) COPY <two@example.test>",
            "line 7 HOLD"
        ]
    );
    assert_eq!(judge("From . EXIT\nFrom . DROP").verdict, Verdict::Pass);
    let reject = judge("From . reject \"No \\\"bulk\\\" \\\\ mail\"\nFrom . DROP");
    assert_eq!(reject.verdict, Verdict::Reject("No \"bulk\" \\ mail".into()));
    assert!(judge("# nothing\n\n").fired.is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let wrong = "Subject\nSubject x\nSubject x FLY\nSubject ( DROP\n:A Subject x JUMP nowhere\n:a Subject x JUMP A\n\
                 Subject x RUN prog\nSubject x COPY nobody\nSubject x REJECT\nSubject x REJECT two words\n\
                 Sub:fast x DROP\nSubject:envonly x DROP\nSubject x DROP now\n\"a b\" x DROP\n:only\nSubject \"x DROP\n\
                 Subject x REJECT \"\u{e9}\"\n";
    let told = mistakes(wrong);
    let expected = [
        "line 1: the criterion is missing",
        "line 2: the action is missing",
        "line 3: \"FLY\" is no action",
        "line 4: the expression \"(\" is wrong: unclosed group",
        "line 5: there is no label :nowhere",
        "line 6: the label :a stands in a line above, too",
        "line 6: JUMP goes down only",
        "line 7: RUN is not carried out here",
        "line 8: \"nobody\" is no address",
        "line 9: REJECT takes a text",
        "line 10: REJECT takes a text, in quotes, and nothing behind it",
        "line 11: :fast is no flag",
        "line 12: \"Subject\" is no line of the envelope",
        "line 13: DROP takes no argument",
        "line 14: \"a b\" is no name of a field",
        "line 15: there is a label and no rule",
        "line 16: the quotes are not closed",
        "line 17: the text of REJECT",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!(Filter::parse(b"a b DROP\nc \xff DROP").unwrap_err()[0].line, 2);
}

#[test]
fn everything_has_a_limit() {
    assert!(mistakes("Subject \"(x{1000}){1000}\" DROP")[0].contains("bytes of memory"));
    assert!(mistakes(&"a b DROP\n".repeat(RULES_MAX + 1))[0].contains("more than"));
    assert!(Filter::parse(&[b' '; 300_000]).is_err());
    assert_eq!(mistakes(&"a\n".repeat(500)).len(), MISTAKES_MAX);
    let copies: String = (0..17).map(|number| format!("a b COPY c{number}@d.example\n")).collect();
    assert!(mistakes(&copies)[0].starts_with("line 17: COPY to more than 16"));
    let long = format!("Subject: {} needle\r\n\r\n", "é".repeat(VALUE_BYTES_MAX / 2 - 3));
    let filter = Filter::parse(b"Subject needle DROP").unwrap();
    assert_eq!(filter.judge(&mail(long.as_bytes())).verdict, Verdict::Pass, "cut before it");
    let many = "X: y\r\n".repeat(HEADER_BYTES_MAX / 6 + 1) + "Subject: needle\r\n\r\n";
    assert_eq!(filter.judge(&mail(many.as_bytes())).verdict, Verdict::Pass);
}

#[test]
fn an_expression_that_would_take_for_ever_elsewhere_does_not() {
    let subject = format!("Subject: {}!\r\n\r\n", "a".repeat(60_000));
    let filter = Filter::parse(b"Subject \"^(a+)+$\" DROP\nSubject \"(a|aa)*b\" DROP").unwrap();
    assert_eq!(filter.judge(&mail(subject.as_bytes())).verdict, Verdict::Pass);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_each_walk_ends(
        lines in prop::collection::vec("(:[a-c] )?(Subject|\\*|From:case|x) (\\.|x|\\(|\"a b\") (DROP|EXIT|HOLD|JUMP [a-c]|COPY a@b\\.c|REJECT \"n o\"|RUN)( |#|\"|\\\\)?", 0..12),
        header in any::<Vec<u8>>(),
    ) {
        if let Ok(filter) = Filter::parse(lines.join("\n").as_bytes()) {
            let judgement = filter.judge(&mail(&header));
            prop_assert!(judgement.fired.len() <= filter.len());
            prop_assert!(judgement.fired.windows(2).all(|two| two[0].line < two[1].line));
        }
    }

    #[test]
    fn bytes_by_chance_are_rules_or_mistakes(text in any::<Vec<u8>>()) {
        if let Err(mistakes) = Filter::parse(&text) {
            prop_assert!(!mistakes.is_empty() && mistakes.len() <= MISTAKES_MAX);
        }
    }
}
