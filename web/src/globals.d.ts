/** Addresses of the style sheets by name, as JSON, put in by web/build.mjs. */
declare const STYLE_URLS: string;
