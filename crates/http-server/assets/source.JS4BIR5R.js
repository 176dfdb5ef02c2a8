import{a}from"./chunk.56PKHNGG.js";import"./chunk.YDQCZNNO.js";import"./chunk.337HPUAK.js";import"./chunk.JVDJQJX3.js";export{a as showSource};
