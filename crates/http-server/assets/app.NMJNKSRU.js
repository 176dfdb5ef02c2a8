import{D as a,E as b}from"./chunk.3WY6TGZF.js";import"./chunk.6GW2YNA4.js";export{b as App,a as startApp};
