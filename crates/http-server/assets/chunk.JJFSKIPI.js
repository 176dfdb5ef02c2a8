var a={app:"/assets/app.ZU7ZIR5Q.css",base:"/assets/base.JKAZC6YY.css",compose:"/assets/compose.SBW6V72G.css",settings:"/assets/settings.JOBWLK7C.css"};export{a};
