// QR codes (ISO/IEC 18004) of short texts: byte mode, error correction level M, versions 1 to 20. No host of anybody else's is asked for
// the picture of a secret.
import { h } from '../dom.ts';

const VERSION_MAX = 20;
/** By version, of level M: error correction codewords of each block, and blocks (table 9). */
const CORRECTION = [0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const BLOCKS = [0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];

/** Rows of modules, dark ones true; without the quiet zone. Null: the text is too long. */
export function qrCode(text: string): boolean[][] | null {
    const bytes = new TextEncoder().encode(text);
    const version = Array.from({ length: VERSION_MAX }, (_, at) => at + 1).find((one) => 4 + lengthBits(one) + 8 * bytes.length <= 8 * dataCodewords(one));
    if (version === undefined) return null;
    const words = interleaved(version, padded(version, bytes));
    let best: { rows: boolean[][]; penalty: number } | undefined;
    for (let mask = 0; mask < 8; mask += 1) {
        const rows = new Drawing(version).draw(words, mask);
        const worth = penalty(rows);
        if (!best || worth < best.penalty) best = { rows, penalty: worth };
    }
    return best?.rows ?? null;
}

/** The code as a picture, dark on white in every theme: a camera reads no other. */
export function qrPicture(rows: readonly boolean[][], label: string): HTMLElement {
    const size = rows.length + 8;
    const canvas = h('canvas', { width: size, height: size, class: 'qr', role: 'img', 'aria-label': label });
    const paint = canvas.getContext('2d');
    if (paint) {
        paint.fillStyle = '#fff';
        paint.fillRect(0, 0, size, size);
        paint.fillStyle = '#000';
        rows.forEach((row, y) => row.forEach((dark, x) => dark && paint.fillRect(x + 4, y + 4, 1, 1)));
    }
    return canvas;
}

const lengthBits = (version: number): number => (version < 10 ? 8 : 16);

function rawModules(version: number): number {
    let modules = (16 * version + 128) * version + 64;
    if (version >= 2) {
        const marks = Math.floor(version / 7) + 2;
        modules -= (25 * marks - 10) * marks - 55;
        if (version >= 7) modules -= 36;
    }
    return modules;
}

const codewords = (version: number): number => Math.floor(rawModules(version) / 8);
const dataCodewords = (version: number): number => codewords(version) - (CORRECTION[version] ?? 0) * (BLOCKS[version] ?? 0);

/** Mode, length, bytes, terminator, and padding up to what the version holds. */
function padded(version: number, bytes: Uint8Array): number[] {
    const bits: number[] = [];
    const push = (value: number, count: number): void => {
        for (let at = count - 1; at >= 0; at -= 1) bits.push((value >>> at) & 1);
    };
    push(4, 4);
    push(bytes.length, lengthBits(version));
    for (const byte of bytes) push(byte, 8);
    const room = 8 * dataCodewords(version);
    push(0, Math.min(4, room - bits.length));
    push(0, (8 - (bits.length % 8)) % 8);
    for (let pad = 0xec; bits.length < room; pad ^= 0xec ^ 0x11) push(pad, 8);
    return Array.from({ length: bits.length / 8 }, (_, at) => bits.slice(8 * at, 8 * at + 8).reduce((value, bit) => (value << 1) | bit, 0));
}

/** Data and correction of the blocks, taken in turns. */
function interleaved(version: number, data: readonly number[]): number[] {
    const [count, correction] = [BLOCKS[version] ?? 1, CORRECTION[version] ?? 0];
    const whole = codewords(version);
    const short = Math.floor(whole / count) - correction;
    const longOnes = whole % count;
    const generator = generatorOf(correction);
    const blocks: number[][] = [];
    const checks: number[][] = [];
    for (let at = 0, from = 0; at < count; at += 1) {
        const length = short + (at < count - longOnes ? 0 : 1);
        const block = data.slice(from, from + length);
        from += length;
        blocks.push(block);
        checks.push(remainder(block, generator));
    }
    const turns = (lists: readonly number[][], length: number): number[] => Array.from({ length }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat();
    return [...turns(blocks, short + 1), ...turns(checks, correction)];
}

/** In the field of 256 elements over x^8 + x^4 + x^3 + x^2 + 1. */
function product(a: number, b: number): number {
    let value = 0;
    for (let at = 7; at >= 0; at -= 1) {
        value = (value << 1) ^ ((value >>> 7) * 0x11d);
        value ^= ((b >>> at) & 1) * a;
    }
    return value;
}

/** Of Reed and Solomon, without the leading one. */
function generatorOf(degree: number): number[] {
    const result: number[] = Array.from({ length: degree }, (_, at) => (at === degree - 1 ? 1 : 0));
    let root = 1;
    for (let round = 0; round < degree; round += 1) {
        for (let at = 0; at < degree; at += 1) result[at] = product(result[at] ?? 0, root) ^ (result[at + 1] ?? 0);
        root = product(root, 2);
    }
    return result;
}

function remainder(data: readonly number[], generator: readonly number[]): number[] {
    const result = generator.map(() => 0);
    for (const byte of data) {
        const factor = byte ^ (result.shift() ?? 0);
        result.push(0);
        generator.forEach((one, at) => (result[at] = (result[at] ?? 0) ^ product(one, factor)));
    }
    return result;
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
    (x, y) => (x + y) % 2 === 0,
    (_, y) => y % 2 === 0,
    (x) => x % 3 === 0,
    (x, y) => (x + y) % 3 === 0,
    (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
    (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
    (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
    (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

class Drawing {
    private readonly size: number;
    private readonly rows: boolean[][];
    /** What is no data. */
    private readonly fixed: boolean[][];

    constructor(private readonly version: number) {
        this.size = 17 + 4 * version;
        const empty = (): boolean[][] => Array.from({ length: this.size }, () => new Array<boolean>(this.size).fill(false));
        this.rows = empty();
        this.fixed = empty();
    }

    draw(words: readonly number[], mask: number): boolean[][] {
        this.patterns(mask);
        this.data(words, mask);
        return this.rows;
    }

    private set(x: number, y: number, dark: boolean): void {
        const [row, fixed] = [this.rows[y], this.fixed[y]];
        if (!row || !fixed || x < 0 || x >= this.size) return;
        row[x] = dark;
        fixed[x] = true;
    }

    private patterns(mask: number): void {
        const { size } = this;
        for (let at = 0; at < size; at += 1) {
            this.set(6, at, at % 2 === 0);
            this.set(at, 6, at % 2 === 0);
        }
        for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) {
            for (let dy = -4; dy <= 4; dy += 1) {
                for (let dx = -4; dx <= 4; dx += 1) {
                    const ring = Math.max(Math.abs(dx), Math.abs(dy));
                    this.set(x + dx, y + dy, ring !== 2 && ring !== 4);
                }
            }
        }
        const marks = this.alignments();
        const last = marks.length - 1;
        marks.forEach((x, i) =>
            marks.forEach((y, j) => {
                if ((i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0)) return;
                for (let dy = -2; dy <= 2; dy += 1) for (let dx = -2; dx <= 2; dx += 1) this.set(x + dx, y + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
            }),
        );
        this.format(mask);
        if (this.version >= 7) this.versionBits();
    }

    private alignments(): number[] {
        if (this.version === 1) return [];
        const count = Math.floor(this.version / 7) + 2;
        const step = Math.floor((this.version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
        const others = Array.from({ length: count - 1 }, (_, at) => this.size - 7 - at * step);
        return [6, ...others.reverse()];
    }

    /** Level M and the mask, twice. */
    private format(mask: number): void {
        let rest = mask;
        for (let round = 0; round < 10; round += 1) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
        const bits = ((mask << 10) | rest) ^ 0x5412;
        const bit = (at: number): boolean => ((bits >>> at) & 1) === 1;
        const { size } = this;
        for (let at = 0; at <= 5; at += 1) this.set(8, at, bit(at));
        this.set(8, 7, bit(6));
        this.set(8, 8, bit(7));
        this.set(7, 8, bit(8));
        for (let at = 9; at < 15; at += 1) this.set(14 - at, 8, bit(at));
        for (let at = 0; at < 8; at += 1) this.set(size - 1 - at, 8, bit(at));
        for (let at = 8; at < 15; at += 1) this.set(8, size - 15 + at, bit(at));
        this.set(8, size - 8, true);
    }

    private versionBits(): void {
        let rest = this.version;
        for (let round = 0; round < 12; round += 1) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
        const bits = (this.version << 12) | rest;
        for (let at = 0; at < 18; at += 1) {
            const [near, far] = [Math.floor(at / 3), this.size - 11 + (at % 3)];
            const dark = ((bits >>> at) & 1) === 1;
            this.set(far, near, dark);
            this.set(near, far, dark);
        }
    }

    /** In columns of two from the right, up and down in turns. */
    private data(words: readonly number[], mask: number): void {
        let at = 0;
        for (let right = this.size - 1; right >= 1; right -= 2) {
            if (right === 6) right = 5;
            for (let step = 0; step < this.size; step += 1) {
                const y = ((right + 1) & 2) === 0 ? this.size - 1 - step : step;
                for (const x of [right, right - 1]) {
                    const row = this.rows[y];
                    if (!row || this.fixed[y]?.[x]) continue;
                    const bit = (((words[at >>> 3] ?? 0) >>> (7 - (at & 7))) & 1) === 1;
                    row[x] = bit !== (MASKS[mask]?.(x, y) ?? false);
                    at += 1;
                }
            }
        }
    }
}

/** How hard it is to read: long runs, blocks, what looks like a corner, and too much of one colour. */
function penalty(rows: readonly boolean[][]): number {
    const size = rows.length;
    const at = (x: number, y: number): boolean => rows[y]?.[x] ?? false;
    let sum = 0;
    const lines = [...rows.map((row) => row), ...rows.map((_, x) => rows.map((row) => row[x] ?? false))];
    for (const line of lines) {
        const text = line.map((dark) => (dark ? '1' : '0')).join('');
        for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
        for (const corner of ['10111010000', '00001011101']) for (let from = text.indexOf(corner); from >= 0; from = text.indexOf(corner, from + 1)) sum += 40;
    }
    let dark = 0;
    for (let y = 0; y < size; y += 1) {
        for (let x = 0; x < size; x += 1) {
            if (at(x, y)) dark += 1;
            if (x + 1 < size && y + 1 < size && at(x, y) === at(x + 1, y) && at(x, y) === at(x, y + 1) && at(x, y) === at(x + 1, y + 1)) sum += 3;
        }
    }
    const total = size * size;
    return sum + 10 * Math.max(0, Math.ceil(Math.abs(dark * 20 - total * 10) / total) - 1);
}
