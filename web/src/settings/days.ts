// Days on the clock of the user, and moments as JMAP has them.

/** The day on the user's clock, moved by some days; '' for none. */
export function localDay(utc: string | null, days: number): string {
    if (utc === null || Number.isNaN(Date.parse(utc))) return '';
    const date = new Date(utc);
    // Midnight is the end of the day before; any other time is on its day.
    if (days < 0 && (date.getHours() > 0 || date.getMinutes() > 0)) return ymd(date);
    date.setDate(date.getDate() + days);
    return ymd(date);
}

function ymd(date: Date): string {
    const two = (value: number): string => String(value).padStart(2, '0');
    return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Midnight of the user's clock at the beginning of a day, `days` later, as UTCDate (RFC 8620, section 1.4). */
export function instant(day: string, days: number): string | null {
    const found = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day);
    if (!found) return null;
    const date = new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3]) + days);
    return date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}
