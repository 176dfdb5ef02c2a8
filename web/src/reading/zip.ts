// A zip archive of files as they are (method 0, stored), names in UTF-8 (general purpose bit 11): PKWARE APPNOTE 4.3.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc >>> 0;
});

export function crc32(bytes: Uint8Array): number {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
    return (crc ^ 0xffffffff) >>> 0;
}

/** The pieces of the archive. Names that occur twice get a number; what would lead out of a folder is taken out of them. */
export function zip(files: readonly { name: string; bytes: Uint8Array }[], date: Date): Uint8Array<ArrayBuffer>[] {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    const directory: Uint8Array<ArrayBuffer>[] = [];
    let offset = 0;
    const used = new Set<string>();
    for (const { name: wanted, bytes } of files) {
        const name = new TextEncoder().encode(unique(wanted.replaceAll(/[/\\:\u0000-\u001f]/g, '_').replace(/^\.+/, '_'), used));
        const common = header(bytes, name.length, date);
        const local = new Uint8Array(30 + name.length);
        local.set([0x50, 0x4b, 3, 4]);
        local.set(common, 4);
        local.set(name, 30);
        pieces.push(local, bytes as Uint8Array<ArrayBuffer>);
        const entry = new Uint8Array(46 + name.length);
        entry.set([0x50, 0x4b, 1, 2, 20, 0]);
        entry.set(common, 6);
        new DataView(entry.buffer).setUint32(42, offset, true);
        entry.set(name, 46);
        directory.push(entry);
        offset += local.length + bytes.length;
    }
    const size = directory.reduce((sum, entry) => sum + entry.length, 0);
    const end = new Uint8Array(22);
    end.set([0x50, 0x4b, 5, 6]);
    const view = new DataView(end.buffer);
    view.setUint16(8, files.length, true);
    view.setUint16(10, files.length, true);
    view.setUint32(12, size, true);
    view.setUint32(16, offset, true);
    return [...pieces, ...directory, end];
}

/** The 26 bytes that the local header and the directory entry have in common: version to extra field length. */
function header(bytes: Uint8Array, nameLength: number, date: Date): Uint8Array {
    const out = new Uint8Array(26);
    const view = new DataView(out.buffer);
    view.setUint16(0, 20, true);
    view.setUint16(2, 1 << 11, true);
    view.setUint16(6, (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1), true);
    view.setUint16(8, ((Math.max(1980, date.getFullYear()) - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate(), true);
    view.setUint32(10, crc32(bytes), true);
    view.setUint32(14, bytes.length, true);
    view.setUint32(18, bytes.length, true);
    view.setUint16(22, nameLength, true);
    return out;
}

function unique(name: string, used: Set<string>): string {
    const dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length;
    let candidate = name;
    for (let number = 2; used.has(candidate.toLowerCase()); number += 1) candidate = `${name.slice(0, dot)} (${number})${name.slice(dot)}`;
    used.add(candidate.toLowerCase());
    return candidate;
}
