import{C as a,D as b}from"./chunk.UC6GIH3W.js";import"./chunk.77XC7E6W.js";export{b as App,a as startApp};
