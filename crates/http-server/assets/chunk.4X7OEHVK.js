var e={app:"/assets/app.D4OVQWLD.css",base:"/assets/base.JKAZC6YY.css",compose:"/assets/compose.KJ3ESXJG.css"};export{e as a};
