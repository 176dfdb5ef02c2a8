import{D as a,E as b}from"./chunk.FT535HCP.js";import"./chunk.P6SHVIBN.js";export{b as App,a as startApp};
