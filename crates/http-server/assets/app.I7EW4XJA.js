import{D as a,E as b}from"./chunk.52UXFL7B.js";import"./chunk.6GW2YNA4.js";export{b as App,a as startApp};
