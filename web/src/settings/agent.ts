/** "Firefox, Linux" out of what a browser calls itself. */
export function agentName(agent: string): string {
    const programs: [RegExp, string][] = [
        [/Edg\//, 'Edge'],
        [/OPR\//, 'Opera'],
        [/Firefox\/|FxiOS/, 'Firefox'],
        [/Chrome\/|CriOS/, 'Chrome'],
        [/Safari\//, 'Safari'],
    ];
    const systems: [RegExp, string][] = [
        [/iPhone|iPad/, 'iOS'],
        [/Android/, 'Android'],
        [/Windows/, 'Windows'],
        [/Mac OS X/, 'macOS'],
        [/CrOS/, 'ChromeOS'],
        [/Linux/, 'Linux'],
    ];
    const named = [programs, systems].map((list) => list.find(([pattern]) => pattern.test(agent))?.[1]).filter((one) => one !== undefined);
    return named.length > 0 ? named.join(', ') : agent.slice(0, 40);
}
