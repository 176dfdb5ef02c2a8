//! STATUS: numbers of a mailbox that is not selected (RFC 3501 §6.3.10), with SIZE (RFC 8438).

use connection::Output;
use message_store::Mailbox;

use crate::answer;
use crate::refusal::Refusal;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Size,
}

/// `* STATUS name (MESSAGES 231 UIDNEXT 44292)`; `name` is as the client shall see it.
pub fn run(mailbox: &Mailbox, name: &str, items: &[Item], out: &mut Output) -> Result<(), Refusal> {
    let status = mailbox.status()?;
    out.push(b"* STATUS ");
    answer::string(out, name.as_bytes());
    out.push(b" (");
    for (index, item) in items.iter().enumerate() {
        let (word, value): (&[u8], u64) = match item {
            Item::Messages => (b"MESSAGES ", status.exists.into()),
            Item::Recent => (b"RECENT ", status.recent.into()),
            Item::UidNext => (b"UIDNEXT ", status.uid_next.into()),
            Item::UidValidity => (b"UIDVALIDITY ", mailbox.uid_validity().into()),
            Item::Unseen => (b"UNSEEN ", status.unseen.into()),
            Item::Size => (b"SIZE ", status.size_bytes),
        };
        out.push(if index == 0 { b"" } else { b" " });
        out.push(word);
        answer::digits(out, value);
    }
    out.push(b")\r\n");
    Ok(())
}
