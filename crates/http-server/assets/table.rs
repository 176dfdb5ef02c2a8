// Made by web/build.mjs. Every file of the web mail, sorted by name: plain, gzip, brotli.
&[
    Asset { name: "index.html", media_type: "text/html; charset=utf-8", sha256: "95778bd5a8468fd5e9dd2338a8d48dc2538beab4a1124e6ebad9955051003360", plain: include_bytes!("index.html"), gzip: include_bytes!("index.html.gz"), brotli: include_bytes!("index.html.br") },
]
