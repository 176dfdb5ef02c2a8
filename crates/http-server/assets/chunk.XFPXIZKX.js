var a={app:"/assets/app.AEU5LSFS.css",base:"/assets/base.JKAZC6YY.css",compose:"/assets/compose.QILVVJGK.css",settings:"/assets/settings.XTVQ6ZGR.css"};export{a};
