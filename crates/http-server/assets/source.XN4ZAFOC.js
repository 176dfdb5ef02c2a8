import{a}from"./chunk.T5GHECGI.js";import"./chunk.CMFSQUNS.js";import"./chunk.HK2UG445.js";import"./chunk.SRCABXKL.js";export{a as showSource};
