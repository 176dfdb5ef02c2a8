var a={app:"/assets/app.ECPNETVK.css",base:"/assets/base.JKAZC6YY.css",compose:"/assets/compose.EUQWWZ3F.css",settings:"/assets/settings.JOBWLK7C.css"};export{a};
