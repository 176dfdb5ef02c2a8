import{a}from"./chunk.AZ35CTXC.js";import"./chunk.O3JAI33F.js";import"./chunk.J2TRVJU5.js";import"./chunk.XFPXIZKX.js";export{a as showSource};
