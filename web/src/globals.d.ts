/** Addresses of the style sheets by name, put in by web/build.mjs. */
declare const STYLE_URLS: Readonly<Record<string, string>>;
