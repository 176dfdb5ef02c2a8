var a={app:"/assets/app.VOW43XGQ.css",base:"/assets/base.JKAZC6YY.css",compose:"/assets/compose.SBW6V72G.css",settings:"/assets/settings.BGZK33I7.css"};export{a};
