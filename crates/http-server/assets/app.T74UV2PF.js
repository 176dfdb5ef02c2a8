import{D as a,E as b}from"./chunk.BAAFS652.js";import"./chunk.JL4OKEBF.js";export{b as App,a as startApp};
