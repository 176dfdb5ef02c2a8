//! Messages: each plug-in sees what those before it left.

use std::ffi::CString;

use plugins::host::{CONTINUE, NO_ACTION};
use plugins::wire::Frame;

use crate::ffi::{MessageModule, Shown};
use crate::serve::Desk;

/// NMS: what a plug-in returns.
const MSG_NOACTION: i32 = 0x02;
const MSG_CONTINUE: i32 = 0x04;

/// Asks all plug-ins of the stage.
pub fn show(desk: &Desk, frame: &Frame) -> Frame {
    let stage = frame.text(0);
    let Some(mut shown) = read(frame) else { return failed("a message that cannot be shown to plug-ins") };
    let mut changed = false;
    for module in desk.messages.iter().filter(|module| module.stage.to_string() == stage) {
        match ask(desk, module, &mut shown) {
            Some(has_changed) => changed |= has_changed,
            None => return failed(&format!("plug-in {} failed", module.name)),
        }
    }
    if !changed {
        return Frame::new(b'm', [[NO_ACTION]]);
    }
    let sender = shown.control("User-From").map(|value| value.to_bytes().to_vec()).unwrap_or_default();
    let mut fields = vec![vec![CONTINUE], Vec::new(), sender];
    fields.extend(shown.recipients().map(|one| one.to_bytes().to_vec()));
    Frame::new(b'm', fields)
}

/// Whether the message was changed; nothing when the plug-in failed.
fn ask(desk: &Desk, module: &MessageModule, shown: &mut Shown) -> Option<bool> {
    shown.begin();
    let call = desk.watch.call();
    let said = module.call(shown);
    drop(call);
    match said {
        MSG_NOACTION => {
            shown.take_back();
            Some(false)
        }
        MSG_CONTINUE => Some(true),
        _ => None,
    }
}

fn failed(why: &str) -> Frame {
    Frame::new(b'm', ["!", why])
}

fn read(frame: &Frame) -> Option<Shown> {
    let file = CString::new(frame.field(1)).ok()?;
    let mut fields = frame.fields.iter().skip(2);
    let mut control = Vec::new();
    for field in fields.by_ref() {
        if field.is_empty() {
            break;
        }
        let at = field.iter().position(|byte| *byte == b'=')?;
        let name = String::from_utf8(field[..at].to_vec()).ok()?;
        control.push((name, CString::new(&field[at + 1..]).ok()?));
    }
    let recipients = fields.map(|one| CString::new(one.clone()).ok()).collect::<Option<Vec<_>>>()?;
    Some(Shown::new(file, control, recipients))
}
