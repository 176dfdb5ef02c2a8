// Made-up messages for the stand-in: the first dozen show what a reading pane must cope with, the rest fill the list.

import { deflateSync, crc32 } from 'node:zlib';

const person = (name, email) => ({ name, email });
export const PEOPLE = [
    person('Mara Okafor', 'mara@harbour.example'), person('Jonas Feldmann', 'jonas.feldmann@werft.example'), person('Élodie Marchand', 'elodie@atelier.example'), person('高橋 美咲', 'misaki@minato.example'), person('ليلى حدّاد', 'layla@marsa.example'),
    person('Tom Brightwater', 'tom@regatta.example'), person('Priya Raman', 'priya@charts.example'), person('Harbour Office', 'office@harbour.example'), person('Old Salts mailing list', 'salts@lists.example'), person(null, 'billing@ropes-and-sails.example'),
    person('Ingrid Solheim', 'ingrid@fjord.example'), person('Chandler & Sons', 'orders@chandler.example'), person('Weather Desk', 'forecast@weather.example'), person('Zoë van den Berg', 'zoe@tide.example'),
];
const SUBJECTS = ['Berth plan for the spring season', 'Re: Survey of the north pier', 'Invoice 2026-1187', 'Minutes of Tuesday’s meeting', 'Tide tables for December', 'Your order has been shipped', 'Crew list, please check', 'Gale warning lifted', 'Photos from the launch', 'Question about the rudder fittings', 'Agenda for the annual general meeting', 'New moorings on the west side', 'Lost: one oilskin jacket', 'Quote for re-rigging'];
const PREVIEWS = ['I have gone through the plan and marked the three berths that we can still move before Easter.', 'Thank you for the drawings. The measurements on sheet four do not quite agree with what we found.', 'Please find attached the invoice for the work of last month. Payment is due within thirty days.', 'A short summary of what we agreed on, and who does what until next week.', 'The parcel left our warehouse this morning and should reach you on Thursday.', 'Could everybody look whether name and telephone number are right? The list goes to print on Friday.'];

/** A small picture: a gradient of `width` by `height`. */
function png(width, height, from, to) {
    const rows = Buffer.alloc((width * 3 + 1) * height);
    for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) for (let c = 0; c < 3; c += 1) rows[y * (width * 3 + 1) + 1 + x * 3 + c] = Math.round(from[c] + ((to[c] - from[c]) * (x / width + y / height)) / 2);
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type), data]);
        const sum = Buffer.alloc(4);
        sum.writeUInt32BE(sum32(body));
        const size = Buffer.alloc(4);
        size.writeUInt32BE(data.length);
        return Buffer.concat([size, body, sum]);
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function sum32(bytes) {
    if (crc32) return crc32(bytes);
    let crc = -1;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

const NEWSLETTER = `<div style="background:#eef4f6;padding:24px"><table width="560" align="center" cellpadding="0" cellspacing="0" style="background:#ffffff;border-radius:8px"><tr><td style="padding:32px;font-family:Georgia,serif;color:#1d2b33"><h1 style="margin:0 0 12px;font-size:26px;color:#0b6585">The season opens on 12 April</h1><img data-remote="http://tracker.example/a.png" alt="[a regatta at sunset]" width="496" height="120" style="background:#cfe4ea"><p>Dear members,</p><p>the harbour office has confirmed the dates, and the first regatta will be held on the second weekend. Entries are open from today; <a href="https://regatta.example/enter?member=1187" target="_blank" rel="noopener noreferrer">enter your boat here</a>.</p><p><a href="https://evil.example/steal" target="_blank" rel="noopener noreferrer">https://bank.example/login</a></p><table width="100%"><tr><td width="50%" style="padding:12px;background:#f6f0e4"><b>Class A</b><br>from 9 m, 14 entries</td><td style="padding:12px;background:#e4eef6"><b>Class B</b><br>under 9 m, 31 entries</td></tr></table><p style="color:#77858c;font-size:12px">You receive this because you are a member.</p></td></tr></table></div>`;

const SPECIAL = {
    0: { subject: 'Survey of the north pier', from: [PEOPLE[0]], thread: 'T-pier', text: 'Good morning Anna,\n\nthe diver’s report is in, and it is better than we feared: two of the piles need new collars, the rest is sound. I have put the photographs and the table of measurements into the attachments.\n\nCould you look at sheet four before Thursday? The figures there do not quite agree with the drawing that Jonas sent.\n\nThe whole survey is at https://harbour.example/survey/2026/north-pier?part=4\n\nBest wishes\nMara\n\n> On Monday Anna Lindqvist wrote:\n> Do we know yet when the report comes?\n', preview: 'Good morning Anna, the diver’s report is in, and it is better than we feared: two of the piles need new collars, the rest is sound.', attachments: [{ name: 'pile-7-collar.png', type: 'image/png', data: png(480, 320, [12, 80, 110], [220, 235, 240]) }, { name: 'pile-9-waterline.png', type: 'image/png', data: png(480, 320, [160, 110, 40], [245, 235, 215]) }, { name: 'measurements.csv', type: 'text/csv', data: Buffer.from('pile,depth m,diameter cm\n7,4.2,38\n8,4.4,41\n9,4.1,36\n') }, { name: 'notes.txt', type: 'text/plain', data: Buffer.from('Collars: stainless, 40 cm.\nSecond dive in May.\n') }, { name: 'Drawing 4 – north pier, revised after the second survey of November.pdf', type: 'application/pdf', data: Buffer.from('%PDF-1.4') }] },
    1: { subject: 'The season opens on 12 April', from: [PEOPLE[5]], replyTo: [person('Prizes', 'win@prizes.example')], html: NEWSLETTER, remote: true, preview: 'Dear members, the harbour office has confirmed the dates, and the first regatta will be held on the second weekend.' },
    2: { subject: 'Re: Survey of the north pier', from: [PEOPLE[1]], cc: [PEOPLE[0], PEOPLE[6]], thread: 'T-pier', text: 'Sheet four was drawn before the dredging. I will send a new one tomorrow.\n\nJonas\n', preview: 'Sheet four was drawn before the dredging. I will send a new one tomorrow.' },
    3: { subject: 'جدول المدّ والجزر لشهر ديسمبر', from: [PEOPLE[4]], html: '<div dir="rtl"><p>مرحبًا آنا،</p><p>أرفق لك جدول المدّ والجزر لشهر ديسمبر. الأرقام مأخوذة من محطة <b>المرسى القديم</b>.</p><p>مع التحية،<br>ليلى</p></div>', preview: 'مرحبًا آنا، أرفق لك جدول المدّ والجزر لشهر ديسمبر. الأرقام مأخوذة من محطة المرسى القديم.' },
    4: { subject: '港湾会議の議事録', from: [PEOPLE[3]], text: 'アンナさん\n\n火曜日の会議の議事録をお送りします。ご確認ください。\n\n高橋', preview: 'アンナさん 火曜日の会議の議事録をお送りします。ご確認ください。' },
    5: { subject: null, from: [PEOPLE[9]], text: 'Invoice attached.', preview: 'Invoice attached.', attachments: [{ name: 'invoice.pdf', type: 'application/pdf', data: Buffer.from('%PDF-1.4') }] },
    6: { subject: 'A subject that goes on and on, because whoever wrote it put the whole of the message into it, and then some more, so that it cannot be shown in one line anywhere', from: [person('Somebody with a very long name indeed, of the Association of Friends of the Old Harbour', 'a.very.long.address.that.does.not.end@association-of-friends-of-the-old-harbour.example')], text: 'Yes.', preview: 'Yes.' },
    7: { subject: 'Re: Survey of the north pier', from: [person('Anna Lindqvist', 'anna@example.com')], to: [PEOPLE[0]], thread: 'T-pier', text: 'Do we know yet when the report comes?\n\nAnna', preview: 'Do we know yet when the report comes?' },
};

export function message(n) {
    const special = SPECIAL[n];
    if (special) return special;
    const pick = (list, by) => list[(n * by + (n >> 4)) % list.length];
    const first = pick(PEOPLE, 7);
    const base = n >= 40 && n % 10 < 3 ? n - (n % 10) : n;
    const subject = SUBJECTS[(base * 5 + (base >> 4)) % SUBJECTS.length];
    const preview = pick(PREVIEWS, 3);
    return { subject: n % 10 === 1 ? `Re: ${subject}` : subject, from: [first], preview, text: `${preview}\n\nMessage ${n}.\n\n${first.name ?? ''}`, attachments: n % 9 === 4 ? [{ name: 'plan.png', type: 'image/png', data: Buffer.alloc(0) }] : [] };
}
