import{D as a,E as b}from"./chunk.3Q76TPGJ.js";import"./chunk.P6SHVIBN.js";export{b as App,a as startApp};
